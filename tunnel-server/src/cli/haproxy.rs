//! `handfast-relay haproxy-config`.

use std::io::Write as _;

use clap::Args;

use super::failure::CliError;
use crate::haproxy::{Balancer, Node};
use crate::limits::Limits;

/// Options of `haproxy-config`.
#[derive(Args, Debug)]
pub(super) struct HaproxyConfig {
    /// The nodes: the --node-id of each, and where it listens.
    #[arg(value_name = "HEX=HOST:PORT", required = true)]
    nodes: Vec<Node>,
    /// Where HAProxy is to listen, in its own form.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = ":::443 v4v6", value_parser = one_line)]
    listen: String,
    /// The file with certificate chain and key for HAProxy.
    #[arg(
        long,
        value_name = "PEM",
        default_value = "/etc/haproxy/handfast-relay.pem",
        value_parser = one_word
    )]
    tls_pem: String,
    /// Let HAProxy speak plain text, for a test or behind something that does TLS.
    #[arg(long, conflicts_with = "tls_pem")]
    no_tls: bool,
    /// How long a tunnel may live at the nodes, as their own --lifetime.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().total.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    lifetime: u64,
}

fn one_line(text: &str) -> Result<String, &'static str> {
    let is_line = !text.trim().is_empty() && !text.contains(char::is_control);
    let is_bare = !text.contains(['#', '"', '\'', '\\']);
    (is_line && is_bare)
        .then(|| text.to_owned())
        .ok_or("an address is expected, as in :443")
}

fn one_word(text: &str) -> Result<String, &'static str> {
    let is_word =
        !text.is_empty() && !text.contains(|it: char| it.is_whitespace() || it.is_control());
    is_word
        .then(|| text.to_owned())
        .ok_or("one word is expected, without spaces")
}

pub(super) fn run(asked: HaproxyConfig) -> Result<(), CliError> {
    let tls = match asked.no_tls {
        true => String::new(),
        // WebSocket over HTTP/2 is another protocol, which the nodes do not speak.
        false => format!(" ssl crt {} alpn http/1.1", asked.tls_pem),
    };
    let balancer = Balancer {
        bind: asked.listen + &tls,
        lifetime: asked.lifetime,
        nodes: asked.nodes,
    };
    let text = balancer.configuration().map_err(CliError::Balancer)?;
    let _ = write!(std::io::stdout(), "{text}");
    Ok(())
}
