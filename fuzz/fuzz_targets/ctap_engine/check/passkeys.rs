//! New passkeys, and signatures of those that were made.

use std::collections::BTreeSet;

use handfast_authenticator::engine::{AAGUID, Answer};
use handfast_proto::auth_data::{AuthenticatorData, Flags};
use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::{Algorithm, CoseKey};
use handfast_proto::ctap2::{UserEntity, get_assertion, make_credential, truncate_name};
use handfast_proto::extension::cred_blob;
use handfast_proto::extension::cred_protect::{self, Protection};
use handfast_proto::extension::large_blob::LargeBlob;
use handfast_proto::ids::{CredentialId, RpId};

use super::outputs::Outputs;
use super::{Exchange, Following};
use crate::person::Question;

/// What the site and its client know of a passkey that was made.
pub(super) struct Made {
    pub(super) id: CredentialId,
    rp_id: RpId,
    user: UserEntity,
    pub(super) key: CoseKey,
    protection: Protection,
    pub(super) cred_blob: Vec<u8>,
    pub(super) large_blob: Option<LargeBlob>,
}

impl Exchange<'_> {
    /// A new passkey is what was asked for, and only those of the same account gave way to it.
    pub(super) fn check_made(
        &self,
        request: &make_credential::Request,
        cbor: &[u8],
        made: &[Made],
    ) -> Made {
        let response = make_credential::Response::parse(cbor).expect("a new passkey");
        assert_eq!(response.encode(), cbor);
        assert_ne!(request.user_presence, Some(false));
        assert_eq!(request.enterprise_attestation, None);
        assert_eq!(request.pin_uv_auth_param, None);
        let data = AuthenticatorData::parse(&response.auth_data).expect("authenticator data");
        let is_verified = self.check_data(&data, &request.rp.id, true);
        assert!(is_verified || request.user_verification != Some(true));
        let attested = data.attested.as_ref().expect("a new passkey");
        assert_eq!(attested.aaguid, AAGUID);
        let key = CoseKey::parse(&attested.public_key).expect("a key");
        let mut wanted = request.algorithms.iter();
        let wanted = wanted.find_map(|id| Algorithm::from_id(*id));
        assert_eq!(Some(key.algorithm()), wanted, "the first that is known");
        check_statement(request, &response, &key);
        self.outputs(&data, &response.unsigned_extensions, &request.extensions)
            .check_made(&key, &request.client_data_hash);
        self.check_places(request, &attested.credential_id, made);
        let name = |name: &Option<String>| name.as_deref().map(|it| truncate_name(it).to_owned());
        let blob = cred_blob::Offered::parse(&request.extensions);
        let blob = blob.as_ref().and_then(cred_blob::Offered::kept);
        Made {
            id: attested.credential_id.clone(),
            rp_id: request.rp.id.clone(),
            user: UserEntity {
                id: request.user.id.clone(),
                name: name(&request.user.name),
                display_name: name(&request.user.display_name),
            },
            key,
            protection: cred_protect::requested(&request.extensions).unwrap_or_default(),
            cred_blob: blob
                .map(|blob| blob.as_bytes().to_vec())
                .unwrap_or_default(),
            large_blob: None,
        }
    }

    /// Passkeys of the same account give way to a new one, and no others do; and none is there that
    /// the site excluded.
    fn check_places(&self, request: &make_credential::Request, id: &CredentialId, made: &[Made]) {
        let mut after = self.before.clone();
        for older in made.iter().filter(|older| older.rp_id == request.rp.id) {
            if self.before.contains(&older.id) && request.exclude.contains(&older.id) {
                let is_hidden = older.protection == Protection::Verification;
                assert!(is_hidden && !self.can_verify(), "it is excluded");
            }
            if older.user.id == request.user.id {
                after.remove(&older.id);
            }
        }
        assert!(after.insert(id.clone()), "its name is new");
        assert_eq!(after, self.phone.usable());
    }

    /// A signature is of a passkey that the person may have meant. Returns what the client may ask
    /// for next.
    pub(super) fn check_asserted(
        &self,
        request: &get_assertion::Request,
        cbor: &[u8],
        made: &mut [Made],
    ) -> Option<Following> {
        assert_eq!(request.pin_uv_auth_param, None);
        let is_present = request.user_presence != Some(false);
        let (response, data) = self.check_signed(request, cbor, made);
        let id = response.credential.expect("its name");
        let is_verified = self.check_data(&data, &request.rp_id, is_present);
        assert!(is_verified || request.user_verification != Some(true));
        let chosen_by_person = !request.has_allow_list && !self.is_test_tool();
        assert_eq!(response.user_selected, chosen_by_person.then_some(true));
        let number = response.number_of_credentials?;
        assert!(!request.has_allow_list && self.is_test_tool() && number > 1);
        Some(Following {
            request: request.clone(),
            flags: data.flags.bits() & (Flags::UP | Flags::UV).bits(),
            left: number - 1,
            seen: BTreeSet::from([id]),
            since: self.now,
        })
    }

    /// The next signature is like the first, and of another passkey.
    pub(super) fn check_next(
        &self,
        mut following: Following,
        cbor: &[u8],
        made: &mut [Made],
    ) -> Following {
        let (response, data) = self.check_signed(&following.request, cbor, made);
        let flags = data.flags.bits() & (Flags::UP | Flags::UV).bits();
        assert_eq!(flags, following.flags);
        assert_eq!(
            (response.number_of_credentials, response.user_selected),
            (None, None)
        );
        let is_new = following
            .seen
            .insert(response.credential.expect("its name"));
        assert!(is_new, "each passkey signs once");
        let age = self.now.checked_sub(following.since);
        assert!(age.is_some_and(|age| age <= 30));
        following.left = following
            .left
            .checked_sub(1)
            .expect("no more than announced");
        following.since = self.now;
        following
    }

    /// What holds of a signature, whether it is the first or not.
    fn check_signed(
        &self,
        request: &get_assertion::Request,
        cbor: &[u8],
        made: &mut [Made],
    ) -> (get_assertion::Response, AuthenticatorData) {
        let response = get_assertion::Response::parse(cbor).expect("a signature");
        assert_eq!(response.encode(), cbor);
        let data = AuthenticatorData::parse(&response.auth_data).expect("authenticator data");
        assert_eq!(data.rp_id_hash, request.rp_id.hash());
        assert!(data.attested.is_none());
        let id = response.credential.as_ref().expect("its name");
        let mut known = made.iter_mut();
        let passkey = known
            .find(|made| made.id == *id)
            .expect("one that was made");
        assert_eq!(passkey.rp_id, request.rp_id);
        let is_named = request.allow.contains(id);
        assert!(is_named || !request.has_allow_list);
        // One that was replaced signs only for who knows no other.
        assert!(is_named || self.before.contains(id));
        let is_verified = data.flags.user_verified();
        assert!(
            passkey
                .protection
                .allows(request.has_allow_list, is_verified)
        );
        let message = [data.as_bytes(), &request.client_data_hash.0].concat();
        let verified = passkey.key.verify(&message, &response.signature);
        verified.expect("a signature of the passkey");
        let user = response.user.as_ref().expect("the account");
        let shown = |name: &Option<String>| name.clone().filter(|_| is_verified);
        assert_eq!(user.id, passkey.user.id);
        assert_eq!(user.name, shown(&passkey.user.name));
        assert_eq!(user.display_name, shown(&passkey.user.display_name));
        self.outputs(&data, &response.unsigned_extensions, &request.extensions)
            .check_asserted(passkey, request);
        (response, data)
    }

    /// Authenticator data are of this site, and say of the person what he did. Returns whether he
    /// was verified.
    fn check_data(&self, data: &AuthenticatorData, rp_id: &RpId, is_present: bool) -> bool {
        assert_eq!(data.rp_id_hash, rp_id.hash());
        assert_eq!(data.sign_count, 0);
        let approved = self.asked.as_ref().map(|asked| asked.answer);
        let (was_there, was_verified) = match approved {
            Some(Answer::Approved { verified, .. }) => (true, verified),
            Some(_) => panic!("he did not approve"),
            None => (false, false),
        };
        assert_eq!(was_there, is_present);
        let known = self.authenticator();
        let is_elsewhere = known.vault.has_other_device(known.device.id());
        let flags = Flags::BE
            .with(Flags::UP, was_there)
            .with(Flags::UV, was_verified)
            .with(Flags::BS, is_elsewhere)
            .with(Flags::AT, data.attested.is_some())
            .with(Flags::ED, data.extensions.is_some());
        assert_eq!(data.flags, flags);
        was_verified
    }

    fn outputs<'o>(
        &'o self,
        data: &'o AuthenticatorData,
        unsigned: &'o Map,
        inputs: &'o Map,
    ) -> Outputs<'o> {
        let told = self.asked.as_ref().map(|asked| match &asked.question {
            Question::Create { shares, .. } | Question::SignIn { shares, .. } => shares.as_slice(),
            _ => panic!("a question that nothing comes of"),
        });
        Outputs {
            data,
            unsigned,
            inputs,
            told,
            authenticator: self.authenticator(),
            computer: self.contact.computer(),
            client: self.client,
        }
    }
}

/// The attestation is of the first format that is known, and holds.
fn check_statement(
    request: &make_credential::Request,
    response: &make_credential::Response,
    key: &CoseKey,
) {
    let mut wanted = request.attestation_formats.iter().map(String::as_str);
    let wanted = wanted.find(|format| ["none", "packed"].contains(format));
    assert_eq!(response.format, wanted.unwrap_or("none"));
    let statement = &response.statement;
    if response.format == "none" {
        return assert!(statement.is_empty());
    }
    assert_eq!(statement.len(), 2);
    let algorithm = statement.text("alg").and_then(Value::as_i64);
    assert_eq!(algorithm, Some(key.algorithm().id()));
    let signature = statement.text("sig").and_then(Value::as_bytes);
    let message = [&response.auth_data, request.client_data_hash.0.as_slice()].concat();
    let verified = key.verify(&message, signature.expect("a signature"));
    verified.expect("a signature of the passkey");
}
