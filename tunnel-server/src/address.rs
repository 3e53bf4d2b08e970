//! Whose connection it is, as far as limits are concerned.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// Who counts as one: an IPv4 address, or an IPv6 network of 64 bits, of which a household has one at
/// least.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// A network, `ADDRESS` or `ADDRESS/BITS`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why this is no network.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum NetworkError {
    /// What is before the slash is no address.
    #[error("an IP address is expected, perhaps with /BITS")]
    Address,
    /// What is after the slash is no number of bits that such an address has.
    #[error("the bits after the slash are at most 32 for IPv4, and 128 for IPv6")]
    Bits,
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits: u8 = bits
            .map_or(Ok(all), str::parse)
            .map_err(|_| NetworkError::Bits)?;
        if bits > all {
            return Err(NetworkError::Bits);
        }
        // IPv4 that is written as IPv6 is meant as IPv4.
        match (address.to_canonical(), bits.checked_sub(96)) {
            (address @ IpAddr::V4(_), Some(bits)) if all == 128 => Ok(Self { address, bits }),
            _ => Ok(Self { address, bits }),
        }
    }
}

impl Network {
    /// The networks of a machine with itself.
    pub const LOOPBACK: [Self; 2] = [
        Self {
            address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
            bits: 8,
        },
        Self {
            address: IpAddr::V6(Ipv6Addr::LOCALHOST),
            bits: 128,
        },
    ];

    /// Whether an address is of this network. One of IPv4 that is written as one of IPv6 is one of
    /// IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

/// Finds out for whom a connection was made, from the proxies that are believed.
#[derive(Clone, Debug)]
pub struct Proxies(Vec<Network>);

impl Proxies {
    /// Believes the proxies in these networks.
    pub fn new(trusted: Vec<Network>) -> Self {
        Self(trusted)
    }

    /// Whether there is a proxy at this address that is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Returns for whom a connection from `peer` was made, with the lines of `X-Forwarded-For` that
    /// came with it, in order. `None` if a trusted proxy does not say it.
    ///
    /// Each proxy adds to the end whom it was called by, so the list counts from its end, and only
    /// as far as those who wrote it are believed.
    pub fn source<'a>(
        &self,
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> Option<Source> {
        if !self.trusts(peer) {
            return Some(peer.into());
        }
        let mut believed = peer;
        let mut any = false;
        for entry in forwarded.rev().flat_map(|line| line.rsplit(',')) {
            any = true;
            let Some(address) = forwarded_address(entry.trim()) else {
                break;
            };
            believed = address;
            if !self.trusts(address) {
                break;
            }
        }
        any.then(|| believed.into())
    }
}

/// Reads an entry of `X-Forwarded-For`: an address, which some proxies write with a port.
fn forwarded_address(entry: &str) -> Option<IpAddr> {
    if let Ok(address) = entry.parse() {
        return Some(address);
    }
    if let Ok(with_port) = entry.parse::<std::net::SocketAddr>() {
        return Some(with_port.ip());
    }
    let bare = entry.strip_prefix('[')?.strip_suffix(']')?;
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_household_counts_as_one() {
        assert_eq!(
            Source::from(ip("2001:db8:1:2:3:4:5:6")),
            Source::from(ip("2001:db8:1:2::1"))
        );
        assert_ne!(
            Source::from(ip("2001:db8:1:3::1")),
            Source::from(ip("2001:db8:1:2::1"))
        );
        assert_eq!(
            Source::from(ip("::ffff:192.0.2.1")),
            Source::from(ip("192.0.2.1"))
        );
        assert_ne!(Source::from(ip("192.0.2.1")), Source::from(ip("192.0.2.2")));
    }

    #[test]
    fn networks_are_read_and_contain_what_they_say() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains(ip("10.1.255.1")));
        assert!(network.contains(ip("::ffff:10.1.0.1")));
        assert!(!network.contains(ip("10.2.0.1")));
        assert!(!network.contains(ip("::1")));
        let all: Network = "::/0".parse().unwrap();
        assert!(all.contains(ip("2001:db8::1")));
        let one: Network = "192.0.2.7".parse().unwrap();
        assert!(one.contains(ip("192.0.2.7")) && !one.contains(ip("192.0.2.6")));
        for (text, error) in [
            ("", NetworkError::Address),
            ("example.org", NetworkError::Address),
            ("10.0.0.0/33", NetworkError::Bits),
            ("::/129", NetworkError::Bits),
            ("::/-1", NetworkError::Bits),
            ("::/", NetworkError::Bits),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let source = |peer: &str, lines: &[&str]| proxies.source(ip(peer), lines.iter().copied());
        let is = |text: &str| Some(Source::from(ip(text)));
        // Who is no proxy may say what he likes.
        assert_eq!(source("192.0.2.1", &["198.51.100.1"]), is("192.0.2.1"));
        assert_eq!(source("10.0.0.1", &["198.51.100.1"]), is("198.51.100.1"));
        // What was there before the proxy wrote is the peer's own word.
        assert_eq!(
            source("10.0.0.1", &["203.0.113.9, 198.51.100.1"]),
            is("198.51.100.1")
        );
        assert_eq!(
            source("10.0.0.1", &["203.0.113.9", "198.51.100.1 , 10.0.0.2"]),
            is("198.51.100.1")
        );
        assert_eq!(
            source("10.0.0.1", &["198.51.100.1:4711"]),
            is("198.51.100.1")
        );
        assert_eq!(
            source("10.0.0.1", &["[2001:db8::1]:4711"]),
            is("2001:db8::1")
        );
        assert_eq!(source("10.0.0.1", &["[2001:db8::1]"]), is("2001:db8::1"));
        // What the proxy wrote cannot be read: it stands for its callers itself.
        assert_eq!(
            source("10.0.0.1", &["198.51.100.1, unknown"]),
            is("10.0.0.1")
        );
        assert_eq!(source("10.0.0.1", &[]), None);
    }
}
