//! What can go wrong, in words: what happened, and what to do.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::haproxy::BalancerError;
use crate::tls::TlsError;

#[derive(Debug, Error)]
pub(super) enum CliError {
    #[error("The address {address} of {option} cannot be used: {error}.\n{}", bind_hint(.error))]
    Bind {
        option: &'static str,
        address: SocketAddr,
        error: io::Error,
    },
    #[error(
        "{}.\nGive every node a --node-id and an address of its own.",
        capital(.0)
    )]
    Balancer(#[source] BalancerError),
    #[error(
        "The certificate file {} cannot be used: {}.\nGive a PEM file with --ca-file.",
        .0.display(), .1
    )]
    CaFile(PathBuf, String),
    #[error("The relay is not good: see the lines with ✗.")]
    NotGood,
    #[error(
        "The service manager has passed no TCP socket.\nStart the relay with its socket unit, or give an address to --listen."
    )]
    NotPassed,
    #[error(
        "The service manager has passed {0} sockets, and the relay listens to one.\nGive the socket unit one ListenStream; [::]:443 is for IPv4, too."
    )]
    SeveralPassed(usize),
    #[error(
        "{0} is no relay's name: such a name comes out of a number.\nSearch one that can be registered with --search."
    )]
    NoDomain(String),
    #[error("No relay's name is known for {0}.\nThe numbers 0, 1 and 256 to 65535 have names.")]
    NoNumber(u32),
    #[error("No name matches {}.\n{}", .0, match_hint(.0))]
    NoMatch(String),
    #[error(
        "Without TLS the relay listens only on a loopback address, and {0} is none.\nGive --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that does TLS, or name one elsewhere with --trusted-proxy."
    )]
    PlainInPublic(SocketAddr),
    #[error("The relay could not start: {0}.\nFree some memory or descriptors and try again.")]
    Start(#[source] io::Error),
    #[error("{}.\n{}", capital(.0), tls_hint(.0))]
    Tls(#[source] TlsError),
}

impl CliError {
    /// Returns the exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::PlainInPublic(_) | Self::Balancer(_) => 2,
            _ => 1,
        }
    }
}

fn bind_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => {
            "See who has it with `ss -ltnp`, or choose another; port 0 takes a free one."
        }
        ErrorKind::PermissionDenied => {
            "Ports below 1024 need a right: let systemd open it (packaging/relay), or give the program \
             CAP_NET_BIND_SERVICE."
        }
        _ => "Choose an address of this machine, or 0.0.0.0 or [::] for all of them.",
    }
}

fn match_hint(pattern: &str) -> String {
    match pattern.contains(['*', '?']) {
        true => {
            "The letters are a to z and 2 to 7, 10 to 13 of them; the names end with .com, .org, \
                 .net or .info."
                .to_owned()
        }
        false => format!("A pattern is for the whole: '*{pattern}*' also has text around it."),
    }
}

fn tls_hint(error: &TlsError) -> &'static str {
    if error.is_for_want_of_permission() {
        "Let the user that runs the relay read it."
    } else {
        "Give PEM files that belong together with --tls-cert and --tls-key."
    }
}

/// Says an error as the begin of a sentence.
fn capital(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}
