//! Speaking with a site that serves options and takes responses, as the demo site does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use handfast_authenticator::engine::printable_text;
use handfast_transport::tls::{TlsError, distrusted, file_anchors, system_anchors};
use serde_json::{Value, json};
use thiserror::Error;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::origin::{Origin, OriginError};

/// How much of a site's own words is shown.
const LONGEST_WORDS: usize = 300;
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the site does not do what was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SiteError {
    /// Its answer cannot be read.
    #[error("{0} answered with something that is no JSON of ours")]
    Answer(String),
    /// Its certificate is not good.
    #[error("{site} has a certificate that cannot be trusted: {reason}")]
    Distrusted {
        /// The site.
        site: String,
        /// Why.
        reason: &'static str,
    },
    /// It failed, or is no site that serves options: what it did with the request nobody knows.
    #[error("the site failed: {site} answered with status {status}")]
    Failed {
        /// The site.
        site: String,
        /// Its HTTP status.
        status: u16,
    },
    /// Its address is no origin that passkeys may have.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// It rejected what it got.
    #[error("{site} rejected it: {why}")]
    Rejected {
        /// The site.
        site: String,
        /// Its HTTP status: 400 where the same may be asked again, with something else.
        status: u16,
        /// Why, in its own words.
        why: String,
    },
    /// The trust anchors.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It cannot be reached.
    #[error("{site} cannot be reached: {reason}")]
    Unreachable {
        /// The site.
        site: String,
        /// Why.
        reason: String,
    },
}

/// A site, and our session with it.
pub struct Site {
    origin: Origin,
    agent: Agent,
    session: Option<String>,
}

impl Site {
    /// Prepares to speak with a site.
    ///
    /// # Errors
    ///
    /// [`SiteError::Origin`] and [`SiteError::Tls`].
    pub fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, SiteError> {
        let origin = Origin::parse(url.trim_end_matches('/'))?;
        let mut config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .http_status_as_error(false);
        if origin.here().is_some() {
            config = config.proxy(None);
        }
        if origin.as_str().starts_with("https") {
            let mut anchors = ca_file.map(file_anchors).transpose()?.unwrap_or_default();
            anchors.extend(system_anchors());
            let roots: Vec<_> = anchors
                .iter()
                .map(|anchor| Certificate::from_der(anchor).to_owned())
                .collect();
            let tls = TlsConfig::builder()
                .provider(TlsProvider::Rustls)
                .root_certs(RootCerts::new_with_certs(&roots))
                .unversioned_rustls_crypto_provider(Arc::new(
                    rustls::crypto::ring::default_provider(),
                ));
            config = config.tls_config(tls.build());
        }
        Ok(Self {
            origin,
            agent: config.build().into(),
            session: None,
        })
    }

    /// Returns the site's origin.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Gets options for a new passkey, as JSON text.
    ///
    /// # Errors
    ///
    /// [`SiteError`].
    pub fn register_options(&mut self, user: &str) -> Result<String, SiteError> {
        let body = json!({"username": user, "display_name": user});
        Ok(self.post("register/options", &body)?.to_string())
    }

    /// Hands in a new passkey and returns the site's decision.
    ///
    /// # Errors
    ///
    /// [`SiteError`].
    pub fn register(&mut self, credential: &Value) -> Result<Value, SiteError> {
        self.post("register/verify", credential)
    }

    /// Gets options for signing in, as JSON text.
    ///
    /// # Errors
    ///
    /// [`SiteError`].
    pub fn sign_in_options(&mut self, user: Option<&str>) -> Result<String, SiteError> {
        let body = user.map_or_else(|| json!({}), |user| json!({"username": user}));
        Ok(self.post("sign-in/options", &body)?.to_string())
    }

    /// Hands in a signature and returns the site's decision.
    ///
    /// # Errors
    ///
    /// [`SiteError`].
    pub fn sign_in(&mut self, credential: &Value) -> Result<Value, SiteError> {
        self.post("sign-in/verify", credential)
    }

    /// Hands in the one-time code of a step-up and returns the site's decision.
    ///
    /// # Errors
    ///
    /// [`SiteError`].
    pub fn step_up(&mut self, code: &str) -> Result<Value, SiteError> {
        self.post("step-up", &json!({"code": code}))
    }

    fn post(&mut self, path: &str, body: &Value) -> Result<Value, SiteError> {
        let site = self.origin.as_str();
        let here = self.origin.here();
        let mut request = self
            .agent
            .post(format!("{}/api/{path}", here.as_deref().unwrap_or(site)))
            .header("Origin", site)
            .header("Accept", "application/json");
        if here.is_some() {
            let host = site.split_once("://").map_or(site, |(_, host)| host);
            request = request.header("Host", host);
        }
        if let Some(session) = &self.session {
            request = request.header("Cookie", session);
        }
        let mut response = request
            .send_json(body)
            .map_err(|error| unreachable(site, error))?;
        let cookie = response
            .headers()
            .get("Set-Cookie")
            .and_then(|value| value.to_str().ok());
        if let Some(cookie) = cookie.and_then(|cookie| cookie.split(';').next()) {
            self.session = Some(cookie.to_owned());
        }
        let status = response.status();
        let answer: Option<Value> = response.body_mut().read_json().ok();
        if status.is_success() {
            return answer.ok_or_else(|| SiteError::Answer(site.to_owned()));
        }
        // Only who says why has judged. A proxy in between, a site that broke and one that has no such
        // page have not.
        let judged = status.is_client_error() && status.as_u16() != 404;
        match answer.as_ref().filter(|_| judged).and_then(rejection) {
            Some(why) => Err(SiteError::Rejected {
                site: site.to_owned(),
                status: status.as_u16(),
                why,
            }),
            None => Err(SiteError::Failed {
                site: site.to_owned(),
                status: status.as_u16(),
            }),
        }
    }
}

fn unreachable(site: &str, error: ureq::Error) -> SiteError {
    let site = site.to_owned();
    let distrusted = match &error {
        ureq::Error::Io(error) => distrusted(error),
        _ => None,
    };
    match distrusted {
        Some(reason) => SiteError::Distrusted { site, reason },
        None => SiteError::Unreachable {
            site,
            reason: error.to_string(),
        },
    }
}

/// Returns why a site rejects something, in its own words and with its rule, if it says so.
fn rejection(answer: &Value) -> Option<String> {
    // A site's words end up on a terminal.
    let words = |name| {
        let words = printable_text(answer.get(name)?.as_str()?);
        Some(words.chars().take(LONGEST_WORDS).collect::<String>())
    };
    match (words("why"), words("rule")) {
        // That a request was not as it should be is no rule of the ceremony.
        (Some(why), Some(rule)) if rule != "Request" => Some(format!("{why} ({rule})")),
        (Some(why), _) => Some(why),
        (None, rule) => rule,
    }
}
