//! The extensions of a request, and their answers.

use handfast_proto::cbor::Map;
use handfast_proto::cose::{Algorithm, KeyId};
use handfast_proto::extension::prf::{self, PreparedPrf};
use handfast_proto::extension::{Answered, cmtg_key};

use super::Authenticator;
use crate::group;

/// Which of the extensions that are known here a request asks for.
pub(super) struct Wanted {
    pub(super) group_key: bool,
    pub(super) prf: Option<prf::Request>,
}

impl Wanted {
    pub(super) fn of(extensions: &Map) -> Self {
        Self {
            group_key: cmtg_key::requested(extensions),
            prf: prf::Request::parse(extensions),
        }
    }

    /// Whether the site gets a secret, if the person is verified.
    pub(super) fn shares_secret(&self) -> bool {
        self.prf.as_ref().is_some_and(prf::Request::evaluates)
    }
}

impl Authenticator {
    /// Answers for a passkey with these, as far as there are any.
    pub(super) fn answered(
        &self,
        group_key: Option<KeyId>,
        algorithm: Algorithm,
        prf: Option<PreparedPrf>,
    ) -> Answered<'_> {
        let mut answered = Answered::default();
        let key = group_key.and_then(|key| group::key(&self.device, key));
        if let Some(key) = key.and_then(|key| cmtg_key::prepare(algorithm, true, key)) {
            answered.push(key);
        }
        if let Some(prf) = prf {
            answered.push(prf);
        }
        answered
    }
}
