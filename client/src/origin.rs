//! Which RP IDs an origin may use (`passkeys-and-ctap2.md` §2).

use core::fmt;

use handfast_proto::ids::{IdError, RpId};
use thiserror::Error;
use url::{Host, Url};

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
    /// The RP ID is a suffix under which anybody can register.
    #[error("the RP ID {0} is a public suffix, under which anybody can have a site")]
    PublicSuffix(RpId),
    /// `http` is for `localhost` only.
    #[error("{0} is not secure: only https, or http://localhost")]
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

/// A secure origin with a name: `https://HOST[:PORT]`, or `http://localhost[:PORT]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    text: String,
    domain: RpId,
}

impl Origin {
    /// Reads an origin; the host is lowercased and put into its ASCII form.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let malformed = || OriginError::Malformed(text.to_owned());
        let url = Url::parse(text).map_err(|_| malformed())?;
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare {
            return Err(malformed());
        }
        let domain = match url.host() {
            Some(Host::Domain(domain)) if !domain.ends_with('.') => RpId::parse(domain)?,
            Some(Host::Domain(_)) | None => return Err(malformed()),
            Some(address) => return Err(OriginError::IpAddress(address.to_string())),
        };
        match url.scheme() {
            "https" => {}
            "http" if domain.as_str() == "localhost" => {}
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

    /// Returns the RP ID to use: the origin's own domain, or a suffix of it that one owner has.
    ///
    /// # Errors
    ///
    /// [`OriginError`].
    pub fn rp_id(&self, wanted: Option<&str>) -> Result<RpId, OriginError> {
        let Some(wanted) = wanted else {
            return Ok(self.domain.clone());
        };
        let rp_id = RpId::parse(wanted)?;
        let domain = self.domain.as_str();
        let suffix = domain
            .strip_suffix(rp_id.as_str())
            .is_some_and(|rest| rest.ends_with('.'));
        if rp_id != self.domain && !suffix {
            return Err(OriginError::Unrelated {
                rp_id,
                origin: self.text.clone(),
            });
        }
        if rp_id.as_str() != "localhost" && psl::domain_str(rp_id.as_str()).is_none() {
            return Err(OriginError::PublicSuffix(rp_id));
        }
        Ok(rp_id)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rp_id(origin: &str, wanted: Option<&str>) -> Result<String, OriginError> {
        Ok(Origin::parse(origin)?.rp_id(wanted)?.as_str().to_owned())
    }

    #[test]
    fn an_origin_uses_its_domain_or_a_suffix_that_one_owner_has() {
        for (origin, wanted, expected) in [
            ("https://login.example.org", None, "login.example.org"),
            (
                "https://login.example.org",
                Some("example.org"),
                "example.org",
            ),
            (
                "https://LOGIN.Example.org:8443",
                Some("Example.ORG"),
                "example.org",
            ),
            (
                "https://a.example.co.uk",
                Some("example.co.uk"),
                "example.co.uk",
            ),
            ("http://localhost:8080", None, "localhost"),
            ("https://bücher.example", None, "xn--bcher-kva.example"),
        ] {
            assert_eq!(
                rp_id(origin, wanted).as_deref(),
                Ok(expected),
                "{origin} {wanted:?}"
            );
        }
    }

    #[test]
    fn what_does_not_belong_to_the_origin_is_refused() {
        for (origin, wanted) in [
            ("https://login.example.org", "other.org"),
            ("https://example.org", "login.example.org"),
            ("https://notexample.org", "example.org"),
            ("https://example.org.evil.net", "example.org"),
            ("http://localhost", "example.org"),
        ] {
            let refused = rp_id(origin, Some(wanted));
            assert!(
                matches!(refused, Err(OriginError::Unrelated { .. })),
                "{origin} {wanted}"
            );
        }
    }

    #[test]
    fn a_public_suffix_is_nobodys() {
        for (origin, wanted) in [
            ("https://example.org", "org"),
            ("https://a.example.co.uk", "co.uk"),
            ("https://me.github.io", "github.io"),
        ] {
            let refused = rp_id(origin, Some(wanted));
            assert!(
                matches!(refused, Err(OriginError::PublicSuffix(_))),
                "{origin} {wanted}"
            );
        }
    }

    #[test]
    fn what_is_no_secure_origin_is_refused() {
        for text in ["http://example.org", "http://localhost.example"] {
            assert!(
                matches!(Origin::parse(text), Err(OriginError::Insecure(_))),
                "{text}"
            );
        }
        for text in [
            "https://127.0.0.1",
            "https://[::1]:8443",
            "http://127.0.0.1",
        ] {
            assert!(
                matches!(Origin::parse(text), Err(OriginError::IpAddress(_))),
                "{text}"
            );
        }
        for text in [
            "example.org",
            "ftp://example.org",
            "https://example.org/login",
            "https://u@example.org",
            "https://example.org./",
            "https://",
            "",
        ] {
            assert!(
                matches!(Origin::parse(text), Err(OriginError::Malformed(_))),
                "{text}"
            );
        }
    }
}
