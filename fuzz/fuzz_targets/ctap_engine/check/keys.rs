//! Keys beside the passkey: who asks for one gets it, and it signs what the passkey signs.

use handfast_authenticator::engine::Sharing;
use handfast_proto::cose::CoseKey;
use handfast_proto::extension::attested_key::{Attestation, AttestedKey, Scope};
use handfast_proto::extension::cmtg_key::{self, CmtgKeyError, CmtgKeyOutput};
use handfast_proto::extension::supplemental_pub_keys::{self, Scope as SupplementalScope};
use handfast_proto::extension::{device_pub_key, relationship_public_key};
use handfast_proto::ids::ClientDataHash;

use super::outputs::Outputs;

/// A key, and what it signed.
struct Beside {
    sharing: Sharing,
    key: CoseKey,
    signature: Vec<u8>,
}

impl Outputs<'_> {
    /// Checks all keys of one answer.
    pub(super) fn check_keys(&self, passkey: &CoseKey, hash: &ClientDataHash) {
        let mut all = self.group_keys();
        all.extend(self.device_key());
        all.extend(self.supplemental_keys());
        let message = [self.data.as_bytes(), &hash.0].concat();
        for beside in &all {
            assert_eq!(beside.key.algorithm(), passkey.algorithm());
            assert_ne!(beside.key, *passkey, "it is a key of its own");
            let verified = beside.key.verify(&message, &beside.signature);
            verified.expect("a signature of the key");
            self.assert_told(beside.sharing);
            // Whatever its name, it is one key of the group and one of the device.
            let is_same = |other: &Beside| other.key == beside.key;
            let mut others = all.iter();
            assert!(others.all(|other| is_same(other) == (other.sharing == beside.sharing)));
        }
    }

    /// The key of the trust group, by the names of its own.
    fn group_keys(&self) -> Vec<Beside> {
        let has_older_names = self.info().has_extension(relationship_public_key::NAME);
        let by_former_name = has_older_names && cmtg_key::requested_by_former_name(self.inputs);
        let wants_newer = by_former_name || cmtg_key::requested(self.inputs);
        let wants_older = has_older_names && relationship_public_key::requested(self.inputs);
        let newer = cmtg_key::client_output(self.data, self.unsigned);
        let older = relationship_public_key::client_output(self.data, self.unsigned);
        let newer = self.group_key(cmtg_key::NAME, wants_newer, newer);
        let older = self.group_key(relationship_public_key::NAME, wants_older, older);
        newer.into_iter().chain(older).collect()
    }

    fn group_key(
        &self,
        name: &str,
        is_wanted: bool,
        output: Result<Option<CmtgKeyOutput>, CmtgKeyError>,
    ) -> Option<Beside> {
        let output = output.expect("both halves");
        assert_eq!(self.signed(name).is_some(), is_wanted, "{name}");
        assert_eq!(output.is_some(), is_wanted, "{name}");
        output.map(|output| Beside {
            sharing: Sharing::GroupKey,
            key: CoseKey::parse(&output.public_key).expect("a key"),
            signature: output.signature,
        })
    }

    fn device_key(&self) -> Option<Beside> {
        let is_answered = self.info().has_extension(device_pub_key::NAME);
        let request = device_pub_key::Request::parse(self.inputs);
        let is_wanted = is_answered && request.is_some();
        let extensions = self.data.extensions.clone().unwrap_or_default();
        let key = device_pub_key::signed_output(&extensions).expect("a device key");
        let signature = device_pub_key::client_output(self.data, self.unsigned);
        let signature = signature.expect("both halves");
        assert_eq!((key.is_some(), signature.is_some()), (is_wanted, is_wanted));
        key.zip(signature).map(|(key, signature)| {
            check_attestation(&key);
            Beside {
                sharing: Sharing::DeviceKey,
                key: key.key,
                signature,
            }
        })
    }

    fn supplemental_keys(&self) -> Vec<Beside> {
        let is_answered = self.info().has_extension(supplemental_pub_keys::NAME);
        let request = supplemental_pub_keys::Request::parse(self.inputs);
        let request = request.filter(|_| is_answered);
        let mut wanted = vec![SupplementalScope::Device, SupplementalScope::Provider];
        wanted.retain(|scope| request.as_ref().is_some_and(|request| request.asks(*scope)));

        let extensions = self.data.extensions.clone().unwrap_or_default();
        let keys = supplemental_pub_keys::signed_output(&extensions);
        let keys = keys.expect("keys").unwrap_or_default();
        let scopes: Vec<SupplementalScope> = keys.iter().map(|key| key.scope).collect();
        assert_eq!(scopes, wanted);
        let signatures = supplemental_pub_keys::client_output(self.data, self.unsigned);
        let signatures = signatures.expect("both halves").unwrap_or_default();
        assert_eq!(keys.len(), signatures.len());
        let keys = keys.into_iter().zip(signatures);
        let keys = keys.map(|(key, signature)| {
            check_attestation(&key);
            Beside {
                sharing: match key.scope {
                    SupplementalScope::Device => Sharing::DeviceKey,
                    SupplementalScope::Provider => Sharing::GroupKey,
                },
                key: key.key,
                signature,
            }
        });
        keys.collect()
    }
}

/// A key that vouches for itself does so truly.
fn check_attestation<S: Scope>(key: &AttestedKey<S>) {
    if let Attestation::PackedSelf {
        algorithm,
        signature,
    } = &key.attestation
    {
        let verified = key.verify_attestation(&key.key, *algorithm, signature);
        verified.expect("an attestation of the key itself");
    }
}
