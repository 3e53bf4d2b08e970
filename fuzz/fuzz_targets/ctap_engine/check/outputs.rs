//! Extension outputs: nothing that was not asked for, nothing that the person was not told of.

use handfast_authenticator::engine::{Authenticator, Computer, Sharing};
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::CoseKey;
use handfast_proto::ctap2::{get_assertion, get_info};
use handfast_proto::extension::{
    cmtg_key, cred_blob, cred_protect, hmac_secret, large_blob, prf, relationship_public_key,
};
use handfast_proto::ids::ClientDataHash;

use super::passkeys::Made;
use crate::client::Client;

/// The outputs of one answer.
pub(super) struct Outputs<'a> {
    pub(super) data: &'a AuthenticatorData,
    pub(super) unsigned: &'a Map,
    pub(super) inputs: &'a Map,
    /// What the person was told that the site gets; nothing if nobody was asked.
    pub(super) told: Option<&'a [Sharing]>,
    pub(super) authenticator: &'a Authenticator,
    pub(super) computer: Computer,
    pub(super) client: &'a Client,
}

impl Outputs<'_> {
    /// Checks the outputs of a new passkey.
    pub(super) fn check_made(&self, passkey: &CoseKey, hash: &ClientDataHash) {
        self.check_names();
        self.check_keys(passkey, hash);
        let salts = self.inputs.text(hmac_secret::NAME_AT_CREATION);
        let wants_secrets = hmac_secret::requested(self.inputs) && salts.is_some();
        self.check_covered(hmac_secret::NAME_AT_CREATION, wants_secrets);
        let prf = prf::Request::parse(self.inputs);
        self.check_results(prf.as_ref().is_some_and(|prf| prf.for_new().is_some()));
        let enabled = self.unsigned.text(prf::NAME);
        let enabled = enabled.and_then(|output| output.as_map()?.text("enabled"));
        assert_eq!(enabled.and_then(Value::as_bool), prf.map(|_| true));
        let blob = cred_blob::Offered::parse(self.inputs);
        let is_kept = blob.map(|blob| blob.kept().is_some().into());
        assert_eq!(self.signed(cred_blob::NAME), is_kept.as_ref());
        let level = cred_protect::requested(self.inputs).map(|it| it.level().into());
        assert_eq!(self.signed(cred_protect::NAME), level.as_ref());
        let has_secrets = hmac_secret::requested(self.inputs).then_some(Value::Bool(true));
        assert_eq!(self.signed(hmac_secret::NAME), has_secrets.as_ref());
        let can_store = large_blob::asks_for_support(self.inputs);
        let can_store = can_store.then(|| Map::new().with("supported", true).into());
        assert_eq!(self.unsigned.text(large_blob::NAME), can_store.as_ref());
    }

    /// Checks the outputs of a passkey that was made before.
    pub(super) fn check_asserted(&self, passkey: &mut Made, request: &get_assertion::Request) {
        self.check_names();
        self.check_keys(&passkey.key, &request.client_data_hash);
        let wants_secrets = self.inputs.text(hmac_secret::NAME).is_some();
        self.check_covered(hmac_secret::NAME, wants_secrets);
        let prf = prf::Request::parse(self.inputs);
        let prf = prf.map(|prf| match request.has_allow_list {
            true => prf,
            false => prf.for_any(),
        });
        self.check_results(prf.is_some_and(|prf| prf.salts(&passkey.id).is_some()));
        let wants_blob = cred_blob::requested(self.inputs);
        let left = wants_blob.then(|| passkey.cred_blob.as_slice().into());
        assert_eq!(self.signed(cred_blob::NAME), left.as_ref());
        if wants_blob {
            self.assert_told(Sharing::StoredRead);
        }
        self.check_stored(passkey, request);
    }

    /// What the phone says of itself.
    pub(super) fn info(&self) -> get_info::Response {
        let info = self.authenticator.get_info(&self.computer);
        get_info::Response::parse(&info).expect("an answer to getInfo")
    }

    pub(super) fn signed(&self, name: &str) -> Option<&Value> {
        self.data.extensions.as_ref()?.text(name)
    }

    /// Every name was asked for, and is one that the phone says it answers.
    fn check_names(&self) {
        let info = self.info();
        let signed = self.data.extensions.iter().flat_map(Map::iter);
        for (name, _) in signed.chain(self.unsigned.iter()) {
            let name = name.as_text().expect("a name");
            assert!(info.has_extension(name), "{name}");
            let by_former_name = name == cmtg_key::NAME
                && info.has_extension(relationship_public_key::NAME)
                && self.inputs.text(cmtg_key::FORMER_INPUT).is_some();
            assert!(self.inputs.text(name).is_some() || by_former_name, "{name}");
        }
        let is_empty = self.data.extensions.as_ref().is_some_and(Map::is_empty);
        assert!(!is_empty, "no extensions are no map");
    }

    pub(super) fn assert_told(&self, of: Sharing) {
        assert!(self.told.is_none_or(|told| told.contains(&of)), "{of:?}");
    }

    /// Secrets of `prf` are for who was verified.
    fn check_results(&self, are_wanted: bool) {
        let results = self.unsigned.text(prf::NAME);
        let results = results.and_then(|output| output.as_map()?.text("results"));
        let is_verified = self.data.flags.user_verified();
        assert_eq!(results.is_some(), are_wanted && is_verified);
        if let Some(results) = results {
            self.assert_told(Sharing::Secret);
            for (name, secret) in results.as_map().expect("a map").iter() {
                assert!(["first", "second"].map(Value::from).contains(name));
                assert_eq!(secret.as_bytes().map(<[u8]>::len), Some(32));
            }
        }
    }

    /// Secrets of `hmac-secret` are for who is there, and can be read by who asked for them.
    fn check_covered(&self, name: &str, are_wanted: bool) {
        let secrets = self.signed(name);
        assert_eq!(secrets.is_some(), are_wanted);
        if let Some(secrets) = secrets {
            assert!(self.data.flags.user_present());
            self.assert_told(Sharing::Secret);
            let secrets = secrets.as_bytes().expect("secrets");
            self.client.assert_secrets(secrets);
        }
    }

    /// What a site reads is what it stored last.
    fn check_stored(&self, passkey: &mut Made, request: &get_assertion::Request) {
        let output = self.unsigned.text(large_blob::NAME);
        let member = |name: &str| output.and_then(|output| output.as_map()?.text(name));
        match large_blob::Request::parse(self.inputs) {
            None => assert_eq!(output, None),
            Some(large_blob::Request::Read) => {
                let stored = passkey.large_blob.as_ref();
                let read = member("blob").and_then(Value::as_bytes);
                assert_eq!(read, stored.map(|blob| blob.deflated()));
                let size = member("originalSize").and_then(Value::as_u64);
                assert_eq!(size, stored.map(|blob| blob.original_size()));
                self.assert_told(Sharing::StoredRead);
            }
            Some(write) => {
                let is_written = member("written").and_then(Value::as_bool);
                self.assert_told(Sharing::StoredReplaced);
                let may_write = self.data.flags.user_verified()
                    && request.allow.as_slice() == [passkey.id.clone()];
                match write {
                    large_blob::Request::Write(blob) if may_write => {
                        assert_eq!(is_written, Some(true));
                        passkey.large_blob = Some(blob);
                    }
                    _ => assert_eq!(is_written, Some(false)),
                }
            }
        }
    }
}
