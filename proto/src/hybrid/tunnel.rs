//! Where client and phone meet: tunnel domains, identifiers and paths (`hybrid-transport.md` §4,
//! §5.1).

use core::fmt::{self, Write as _};

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The WebSocket subprotocol of every tunnel.
pub const SUBPROTOCOL: &str = "fido.cable";

/// The response header in which a relay tells a phone its routing ID, 3 bytes in hex.
pub const ROUTING_ID_HEADER: &str = "X-caBLE-Routing-ID";

/// How many assigned tunnel domains are known here; the QR code says so.
pub const ASSIGNED_DOMAINS: u16 = 2;

/// Why text is no identifier.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum HexError {
    /// A character that is no hexadecimal digit.
    #[error("not hexadecimal")]
    Digit,
    /// Too few or too many digits.
    #[error("not of the right length")]
    Length,
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(HexError::Length);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            let value = char::from(digit)
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok());
            *byte = *byte << 4 | value.ok_or(HexError::Digit)?;
        }
    }
    Ok(bytes)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02X}");
            text
        })
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, PartialEq)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// Reads hexadecimal digits of either case.
            ///
            /// # Errors
            ///
            /// [`HexError`].
            pub fn parse_hex(text: &str) -> Result<Self, HexError> {
                parse_hex(text).map(Self)
            }

            /// Returns the bytes in upper-case hexadecimal, as Chromium sends them.
            pub fn to_hex(&self) -> String {
                to_hex(&self.0)
            }
        }

        /// Prints no content: identifiers do not belong into logs.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

hex_id! {
    /// The name of a tunnel at its relay, 16 bytes.
    TunnelId, 16
}

hex_id! {
    /// By which a relay of many nodes finds the node that holds a tunnel, 3 bytes.
    RoutingId, 3
}

/// The path by which a phone creates a tunnel.
pub fn new_path(tunnel: &TunnelId) -> String {
    format!("/cable/new/{}", tunnel.to_hex())
}

/// The path by which a client joins a tunnel.
pub fn connect_path(routing: &RoutingId, tunnel: &TunnelId) -> String {
    format!("/cable/connect/{}/{}", routing.to_hex(), tunnel.to_hex())
}

/// The number by which an advert names a relay.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TunnelDomain(pub u16);

impl TunnelDomain {
    /// Returns whether a client can know the host of this number: assigned to somebody, or hashed.
    pub fn is_known(self) -> bool {
        self.0 < ASSIGNED_DOMAINS || self.0 >= 256
    }

    /// Returns the number of the relay with this host name, whatever the case of its letters; nothing
    /// for a host that no known number stands for. All the numbers are tried, which takes a while.
    pub fn of_host(host: &str) -> Option<Self> {
        Self::known().find(|domain| {
            domain
                .host()
                .is_some_and(|known| known.eq_ignore_ascii_case(host))
        })
    }

    /// Returns all numbers whose hosts are known, from the smallest.
    pub fn known() -> impl Iterator<Item = Self> {
        (0..=u16::MAX).map(Self).filter(|domain| domain.is_known())
    }

    /// Returns the relay's host name; nothing for an assigned number that we do not know.
    pub fn host(self) -> Option<String> {
        match self.0 {
            0 => Some("cable.ua5v.com".to_owned()),
            1 => Some("cable.auth.com".to_owned()),
            256.. => Some(hashed_host(self.0)),
            _ => None,
        }
    }
}

fn hashed_host(number: u16) -> String {
    const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut digest = Sha256::new();
    digest.update(b"caBLEv2 tunnel server domain");
    digest.update(number.to_le_bytes());
    digest.update([0]);
    let digest: [u8; 32] = digest.finalize().into();
    let mut value = digest
        .first_chunk()
        .map_or(0, |first| u64::from_le_bytes(*first));
    let top = match value & 3 {
        0 => "com",
        1 => "org",
        2 => "net",
        _ => "info",
    };
    value >>= 2;
    let mut host = "cable.".to_owned();
    while value != 0 {
        let letter = usize::try_from(value & 31)
            .ok()
            .and_then(|index| BASE32.get(index));
        host.extend(letter.map(|&letter| char::from(letter)));
        value >>= 5;
    }
    host.push('.');
    host.push_str(top);
    host
}
