//! Which relay is examined.

use std::str::FromStr;

use handfast_proto::hybrid::tunnel::TunnelDomain;
use thiserror::Error;
use url::{Host, Url};

use super::Finding;

/// A relay's address.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    host: Host<String>,
    port: u16,
    tls: bool,
}

/// Why text is no relay's address.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum TargetError {
    /// It is no URL with a host.
    #[error("a relay's address is expected, such as wss://cable.example.com")]
    Malformed,
    /// It has a path, a query or a user.
    #[error("only wss://HOST or wss://HOST:PORT is expected; the paths are known")]
    Extra,
    /// It is not a WebSocket's.
    #[error("a relay's address begins with wss://, or ws:// without TLS")]
    Scheme,
}

impl FromStr for Target {
    type Err = TargetError;

    /// Reads `wss://HOST[:PORT]` or `ws://HOST[:PORT]`; `HOST[:PORT]` alone means `wss`.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let whole = match text.contains("://") {
            true => text.to_owned(),
            false => format!("wss://{text}"),
        };
        let url = Url::parse(&whole).map_err(|_| TargetError::Malformed)?;
        let tls = match url.scheme() {
            "wss" => true,
            "ws" => false,
            _ => return Err(TargetError::Scheme),
        };
        let is_bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !is_bare {
            return Err(TargetError::Extra);
        }
        Ok(Self {
            host: url.host().ok_or(TargetError::Malformed)?.to_owned(),
            port: url.port_or_known_default().ok_or(TargetError::Malformed)?,
            tls,
        })
    }
}

impl Target {
    /// Returns the host, without the brackets of an IPv6 address.
    pub(super) fn host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn tls(&self) -> bool {
        self.tls
    }

    /// Returns the URL of a path there.
    pub(super) fn at(&self, path: &str) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}:{}{path}", self.host, self.port)
    }

    /// Returns who a browser says that it is, when it asks this relay.
    pub(super) fn origin(&self) -> String {
        format!("wss://{}", self.host)
    }

    /// Says whether others can find the relay by its name.
    pub(super) fn name(&self) -> Finding {
        const ABOUT: &str = "name";
        let host = self.host();
        match TunnelDomain::of_host(&host) {
            Some(TunnelDomain(number)) if self.tls && self.port == 443 => {
                Finding::good(ABOUT, format!("{host} is tunnel domain {number}"))
            }
            Some(TunnelDomain(number)) => Finding::noted(
                ABOUT,
                format!("{host} is tunnel domain {number}, but this is not where others look"),
                "Whoever knows only the number comes to port 443 with TLS.",
            ),
            None => Finding::noted(
                ABOUT,
                format!("{host} is no tunnel domain"),
                "Only computers that are told of it find it. For a name that all find see `handfast-relay domain --help`.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_perhaps_a_port() {
        for (text, url) in [
            ("wss://Relay.example", "wss://relay.example:443/x"),
            ("relay.example", "wss://relay.example:443/x"),
            ("relay.example:8443", "wss://relay.example:8443/x"),
            ("ws://127.0.0.1:80/", "ws://127.0.0.1:80/x"),
            ("wss://[::1]:1", "wss://[::1]:1/x"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().at("/x"), url, "{text}");
        }
        for (text, wanted) in [
            ("", TargetError::Malformed),
            ("wss://", TargetError::Malformed),
            ("wss://a b", TargetError::Malformed),
            ("https://relay.example", TargetError::Scheme),
            ("wss://relay.example/cable/new", TargetError::Extra),
            ("wss://me@relay.example", TargetError::Extra),
            ("wss://relay.example?x", TargetError::Extra),
        ] {
            assert_eq!(text.parse::<Target>(), Err(wanted), "{text}");
        }
    }
}
