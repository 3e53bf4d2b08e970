//! Keys that belong to passkeys of the vault and never leave this device.

use std::collections::BTreeMap;

use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ids::{CredentialId, UserHandle};
use handfast_proto::trust::KeyTuple;
use handfast_proto::trust::identity::IdentityError;
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::{DeviceError, DeviceStore};

/// At most one key a passkey.
#[derive(Default)]
pub(super) struct BoundKeys(BTreeMap<KeyTuple, BoundKey>);

/// A key, with the PKCS#8 that the store keeps of it, as to write that anew takes as long as to sign.
struct BoundKey {
    key: SigningKey,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl BoundKeys {
    /// Returns the keys as the store keeps them; nothing if there are none.
    pub(super) fn to_list(&self) -> Option<Vec<Value>> {
        let list = self.0.iter().map(|(tuple, bound)| {
            let map = Map::new()
                .with(1, tuple.rp_id_hash)
                .with(2, tuple.credential_id.as_bytes())
                .with(3, tuple.user_handle.as_bytes())
                .with(4, bound.pkcs8.as_slice());
            map.into()
        });
        (!self.0.is_empty()).then(|| list.collect())
    }

    pub(super) fn parse(list: &Value) -> Option<Self> {
        let mut keys = BTreeMap::new();
        for entry in list.as_array()? {
            let map = entry.as_map()?;
            let tuple = KeyTuple {
                rp_id_hash: map.int(1)?.as_bytes()?.try_into().ok()?,
                credential_id: CredentialId::from_bytes(map.int(2)?.as_bytes()?).ok()?,
                user_handle: UserHandle::from_bytes(map.int(3)?.as_bytes()?).ok()?,
            };
            let pkcs8 = Zeroizing::new(map.int(4)?.as_bytes()?.to_vec());
            let key = SigningKey::danger_from_own_pkcs8_der(&pkcs8).ok()?;
            keys.insert(tuple, BoundKey { key, pkcs8 });
        }
        Some(Self(keys))
    }
}

impl DeviceStore {
    /// Returns how many keys of passkeys are this device's alone.
    pub fn bound_keys(&self) -> usize {
        self.bound.0.len()
    }

    /// Returns a passkey's key that is this device's alone.
    pub(crate) fn bound_key(&self, tuple: &KeyTuple) -> Option<&SigningKey> {
        self.bound.0.get(tuple).map(|bound| &bound.key)
    }

    /// Makes a passkey's key that is this device's alone, if there is none of its algorithm yet. It is
    /// durable when this returns.
    ///
    /// # Errors
    ///
    /// [`DeviceError`]; then there is no new key.
    pub(crate) fn ensure_bound_key(
        &mut self,
        tuple: &KeyTuple,
        algorithm: Algorithm,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), DeviceError> {
        let mut held = self.hold()?;
        let known = held.bound_key(tuple);
        if known.is_some_and(|key| key.algorithm() == algorithm) {
            return Ok(());
        }
        let key = SigningKey::generate(algorithm, rng);
        let pkcs8 = key.to_pkcs8_der().map_err(IdentityError::from)?;
        held.bound.0.insert(tuple.clone(), BoundKey { key, pkcs8 });
        let saved = held.save(rng);
        if saved.is_err() {
            held.bound.0.remove(tuple);
        }
        saved
    }

    /// Forgets the keys of passkeys that are gone.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub(crate) fn forget_bound_keys(
        &mut self,
        gone: impl Fn(&KeyTuple) -> bool,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), DeviceError> {
        if !self.bound.0.keys().any(&gone) {
            return Ok(());
        }
        let mut held = self.hold()?;
        held.bound.0.retain(|tuple, _| !gone(tuple));
        held.save(rng)
    }
}
