//! Which RP IDs an origin may use (`passkeys-and-ctap2.md` §2).

use core::fmt;

use handfast_proto::ids::{IdError, RpId};
use thiserror::Error;
use url::{Host, Url};

/// The one name of one label that has an RP ID: sites are tried out there, and under names of their own
/// below it, which are this computer as well (RFC 6761 §6.3).
const LOCALHOST: &str = "localhost";

/// Why an origin may not use an RP ID.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum OriginError {
    /// A numeric address has no RP ID.
    #[error("{0} is a numeric address, and passkeys belong to names")]
    IpAddress(String),
    /// The text is no origin: a scheme and a host, perhaps a port.
    #[error("“{0}” is no origin: give https://HOST or https://HOST:PORT")]
    Malformed(String),
    /// The RP ID is no domain name.
    #[error("the RP ID is no domain name: {0}")]
    NoDomain(#[from] IdError),
    /// The RP ID is a suffix under which anybody can register, or a name of one label.
    #[error(
        "the RP ID {0} is a public suffix: it belongs to nobody, and anybody can have a site there"
    )]
    PublicSuffix(RpId),
    /// `http` is for `localhost` and names below it only.
    #[error("{0} is not secure: only https, or http://localhost and names below it")]
    Insecure(String),
    /// The RP ID is not the origin's domain or a suffix of it.
    #[error("the RP ID {rp_id} does not belong to {origin}")]
    Unrelated {
        /// The RP ID.
        rp_id: RpId,
        /// The origin.
        origin: String,
    },
}

/// A secure origin with a name: `https://HOST[:PORT]`, or `http://localhost[:PORT]`, or the same with a
/// name below `localhost`.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    text: String,
    domain: RpId,
}

impl Origin {
    /// Reads an origin; the host is lowercased and put into its ASCII form, and a scheme's own port
    /// is left out.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let malformed = || OriginError::Malformed(text.to_owned());
        // A URL parser forgives much that is not there by accident: backslashes, line ends, an empty
        // user name.
        let (scheme, host) = text.split_once("://").ok_or_else(malformed)?;
        let host = host.strip_suffix('/').unwrap_or(host);
        let foreign = |c: char| c.is_whitespace() || c.is_control() || "/\\?#@".contains(c);
        if scheme.contains(foreign) || host.contains(foreign) {
            return Err(malformed());
        }
        let url = Url::parse(text).map_err(|_| malformed())?;
        let domain = match url.host() {
            // A dot at the end makes another name, which no certificate has.
            Some(Host::Domain(domain)) if domain.split('.').any(str::is_empty) => {
                return Err(malformed());
            }
            Some(Host::Domain(domain)) => RpId::parse(domain)?,
            None => return Err(malformed()),
            Some(address) => return Err(OriginError::IpAddress(address.to_string())),
        };
        match url.scheme() {
            "https" => {}
            "http" if domain.is_local() => {}
            "http" => return Err(OriginError::Insecure(text.to_owned())),
            _ => return Err(malformed()),
        }
        Ok(Self {
            text: url.origin().ascii_serialization(),
            domain,
        })
    }

    /// Returns the origin as client data name it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the address to connect to for this computer's own names, which no certificate stands behind:
    /// neither is a server of names asked where that is, nor is a proxy on the way.
    pub(crate) fn here(&self) -> Option<String> {
        let rest = self.text.strip_prefix("http://")?;
        let rest = rest.strip_prefix(self.domain.as_str())?;
        self.domain
            .is_local()
            .then(|| format!("http://{LOCALHOST}{rest}"))
    }

    /// Returns the RP ID to use: the wanted one, which must be the origin's own domain or a suffix of
    /// it, else the origin's own domain. One owner must have it: no public suffix is an RP ID, not
    /// even of a site that is on one.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub fn rp_id(&self, wanted: Option<&str>) -> Result<RpId, OriginError> {
        let rp_id = match wanted {
            Some(wanted) => ascii(wanted)?,
            None => self.domain.clone(),
        };
        if !rp_id.covers(self.domain.as_str()) {
            return Err(OriginError::Unrelated {
                rp_id,
                origin: self.text.clone(),
            });
        }
        // A name of one label is nobody's either, but for this machine's own.
        let local = rp_id == self.domain && rp_id.as_str() == LOCALHOST;
        if !local && psl::domain_str(rp_id.as_str()).is_none() {
            return Err(OriginError::PublicSuffix(rp_id));
        }
        Ok(rp_id)
    }
}

/// Reads a domain as a browser's URL parser does, into its lower-case ASCII form (UTS #46).
fn ascii(domain: &str) -> Result<RpId, OriginError> {
    match Host::parse(domain) {
        Ok(Host::Domain(domain)) => Ok(RpId::parse(&domain)?),
        Ok(address) => Err(OriginError::IpAddress(address.to_string())),
        Err(_) if domain.is_empty() => Err(IdError::Empty.into()),
        Err(_) => Err(IdError::IllegalCharacter.into()),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
