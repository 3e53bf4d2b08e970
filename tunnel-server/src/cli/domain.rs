//! `handfast-relay domain`.

use std::io::Write as _;

use clap::Args;
use handfast_proto::hybrid::tunnel::TunnelDomain;

use super::failure::CliError;
use crate::pattern::Pattern;

/// What begins the name of every relay; what follows is what one registers.
const PREFIX: &str = "cable.";

/// Options of `domain`.
#[derive(Args, Debug)]
pub(super) struct Domain {
    /// Names, such as wufkweyy3uaxb.com with or without cable., or numbers, such as 266.
    #[arg(value_name = "NAME|NUMBER", required_unless_present = "search")]
    wanted: Vec<String>,
    /// Print all names that match: * is any text, ? one character, as in 'h*.org' or '?????fast*'.
    /// Without a dot it is for the part before it.
    #[arg(long, value_name = "PATTERN", conflicts_with = "wanted")]
    search: Option<String>,
}

pub(super) fn run(domain: &Domain) -> Result<(), CliError> {
    if let Some(pattern) = &domain.search {
        let found = search(pattern)?;
        found.iter().for_each(|(number, host)| say(*number, host));
    }
    for text in &domain.wanted {
        let (number, host) = find(text)?;
        say(number, &host);
    }
    Ok(())
}

fn say(number: u16, host: &str) {
    // Who reads may have read enough.
    let _ = writeln!(std::io::stdout(), "{number:>5} {host}");
}

fn find(text: &str) -> Result<(u16, String), CliError> {
    if let Ok(number) = text.parse::<u32>() {
        let domain = u16::try_from(number)
            .map(TunnelDomain)
            .map_err(|_| CliError::NoNumber(number))?;
        let host = domain.host().ok_or(CliError::NoNumber(number))?;
        return Ok((domain.0, host));
    }
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    let host = match name.strip_prefix(PREFIX) {
        Some(_) => name,
        None => format!("{PREFIX}{name}"),
    };
    match TunnelDomain::of_host(&host) {
        Some(domain) => Ok((domain.0, host)),
        None => Err(CliError::NoDomain(text.to_owned())),
    }
}

fn search(pattern: &str) -> Result<Vec<(u16, String)>, CliError> {
    let wanted = pattern.strip_prefix(PREFIX).unwrap_or(pattern);
    let is_whole = wanted.contains('.');
    let wanted = Pattern::new(wanted);
    let found: Vec<_> = TunnelDomain::known()
        .filter_map(|domain| Some((domain.0, domain.host()?)))
        .filter(|(number, host)| {
            let name = host.strip_prefix(PREFIX).unwrap_or(host);
            let label = name.split_once('.').map_or(name, |(label, _)| label);
            *number >= 256 && wanted.matches(if is_whole { name } else { label })
        })
        .collect();
    if found.is_empty() {
        return Err(CliError::NoMatch(pattern.to_owned()));
    }
    Ok(found)
}
