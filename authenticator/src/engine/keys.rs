//! Keys beside the passkey that a request asks for: the trust group's under its names, and this
//! device's own.

use handfast_proto::cbor::Map;
use handfast_proto::cose::{Algorithm, KeyId};
use handfast_proto::extension::supplemental_pub_keys::{self, Keys, Scope};
use handfast_proto::extension::{Answered, cmtg_key, device_pub_key, relationship_public_key};
use handfast_proto::trust::KeyTuple;
use rand_core::CryptoRngCore;

use super::{AAGUID, Authenticator, Turn};
use crate::compat::{CompatExtension, CompatExtensions};
use crate::device::DeviceError;
use crate::group;

/// Which of the keys that are shown here a request asks for.
pub(super) struct WantedKeys {
    cmtg_key: bool,
    relationship: bool,
    device: Option<device_pub_key::Request>,
    supplemental: Option<supplemental_pub_keys::Request>,
}

impl WantedKeys {
    pub(super) fn parse(extensions: &Map, compat: &CompatExtensions) -> Self {
        let on = |extension| compat.contains(extension).then_some(extensions);
        let older = on(CompatExtension::RelationshipPublicKey);
        let former = older.is_some_and(cmtg_key::requested_by_former_name);
        Self {
            cmtg_key: former || cmtg_key::requested(extensions),
            relationship: older.is_some_and(relationship_public_key::requested),
            device: on(CompatExtension::DevicePubKey).and_then(device_pub_key::Request::parse),
            supplemental: on(CompatExtension::SupplementalPubKeys)
                .and_then(supplemental_pub_keys::Request::parse),
        }
    }

    /// Whether the site gets the trust group's key of the passkey, by whatever name. It is also the
    /// key of scope `provider`.
    pub(super) fn share_group_key(&self) -> bool {
        self.cmtg_key || self.relationship || self.ask(Scope::Provider)
    }

    /// Whether the site gets a key of this device.
    pub(super) fn share_device_key(&self) -> bool {
        self.device.is_some() || self.ask(Scope::Device)
    }

    fn ask(&self, scope: Scope) -> bool {
        let supplemental = self.supplemental.as_ref();
        supplemental.is_some_and(|request| request.asks(scope))
    }
}

impl Authenticator {
    /// Makes this device's own key of a passkey durable, if the request wants it. Without one the
    /// ceremony still goes on.
    pub(super) fn bound_key(
        &mut self,
        wanted: &WantedKeys,
        tuple: &KeyTuple,
        algorithm: Algorithm,
        turn: &mut Turn<'_>,
    ) {
        if wanted.share_device_key() {
            // What could not be stored is not there when the answer is made.
            let _ = self.device.ensure_bound_key(tuple, algorithm, turn.rng);
        }
    }

    /// Answers with the keys that the request wants, as far as there are any. A passkey of a vault can
    /// always be on several devices.
    pub(super) fn answered(
        &self,
        wanted: &WantedKeys,
        tuple: &KeyTuple,
        group_key: Option<KeyId>,
        algorithm: Algorithm,
    ) -> Answered<'_> {
        let mut answered = Answered::default();
        let bound = self.device.bound_key(tuple);
        let group_key = group_key.and_then(|key| group::key(&self.device, key));
        if let Some(key) = group_key.filter(|_| wanted.cmtg_key) {
            answered.push_some(cmtg_key::prepare(algorithm, true, key));
        }
        if let Some(key) = group_key.filter(|_| wanted.relationship) {
            answered.push_some(relationship_public_key::prepare(algorithm, true, key));
        }
        if let (Some(request), Some(key)) = (&wanted.device, bound) {
            let prepared = device_pub_key::prepare(request, algorithm, true, key, AAGUID);
            answered.push_some(prepared);
        }
        if let Some(request) = &wanted.supplemental {
            let keys = Keys {
                device: bound,
                provider: group_key,
            };
            let prepared = supplemental_pub_keys::prepare(request, algorithm, keys, AAGUID);
            answered.push_some(prepared);
        }
        answered
    }

    /// Forgets this device's own keys of passkeys that are deleted, on whichever device they were.
    pub(super) fn forget_bound_keys(
        &mut self,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), DeviceError> {
        let Self { vault, device } = self;
        let gone = |key: &KeyTuple| {
            let passkey = vault.any(&key.credential_id);
            passkey.is_some_and(|passkey| passkey.deleted_at.is_some())
        };
        device.forget_bound_keys(gone, rng)
    }
}
