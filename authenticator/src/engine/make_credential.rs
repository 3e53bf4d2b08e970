use std::slice;

use handfast_proto::auth_data::{AttestedCredential, AuthenticatorData, Flags};
use handfast_proto::cose::{Algorithm, KeyId, SigningKey};
use handfast_proto::ctap2::{Status, make_credential, truncate_name};
use handfast_proto::ids::CredentialId;
use handfast_proto::trust::KeyTuple;

use super::attestation::Attestation;
use super::extensions::AtCreation;
use super::{AAGUID, Account, Authenticator, Prompt, Refused, Session, Turn, approved, tuple};
use crate::group;
use crate::vault::Passkey;

impl Authenticator {
    /// authenticatorMakeCredential (CTAP 2.3 §6.1.2).
    pub(super) fn make_credential(
        &mut self,
        request: &make_credential::Request,
        session: &Session,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<u8>, Refused> {
        let proof = request.pin_uv_auth_param.as_deref();
        self.refuse_client_pin(proof, request.pin_uv_auth_protocol, session, turn)?;
        let algorithm = request
            .algorithms
            .iter()
            .copied()
            .find_map(Algorithm::from_id);
        let algorithm = algorithm.ok_or(Status::UNSUPPORTED_ALGORITHM)?;
        if request.user_presence == Some(false) {
            return Err(Status::INVALID_OPTION.into());
        }
        let verify = request.user_verification == Some(true);
        if verify && !self.can_verify(&session.context.computer) {
            return Err(Status::INVALID_OPTION.into());
        }
        if request.enterprise_attestation.is_some() {
            return Err(Status::INVALID_PARAMETER.into());
        }
        let rp_id = &request.rp.id;
        self.refuse_excluded(request, session, turn)?;
        let wanted = AtCreation::parse(&request.extensions, session, &self.device.compat)?;
        let user = &request.user;
        let prompt = Prompt::Create {
            rp_id,
            account: Account::new(user.name.as_deref(), user.display_name.as_deref()),
            shares: wanted.shares(),
        };
        let (_, verified) = approved(self.ask(&prompt, session, turn)?, verify)?;
        self.create(request, algorithm, &wanted, verified, turn)
    }

    /// Refuses to make another passkey for an account that has one which the site knows. Only to a
    /// person who is there, and was verified if the passkey wants that, may a site learn that it is.
    fn refuse_excluded(
        &mut self,
        request: &make_credential::Request,
        session: &Session,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refused> {
        let can_verify = self.can_verify(&session.context.computer);
        let rp_id = &request.rp.id;
        let here = request
            .exclude
            .iter()
            .filter_map(|id| self.vault.passkey(id));
        let here = here.filter(|passkey| passkey.rp_id == *rp_id);
        let here = here.map(|passkey| !passkey.protection.allows(true, false));
        let Some(verify) = here.filter(|verify| can_verify || !verify).min() else {
            return Ok(());
        };
        let answer = self.ask(&Prompt::Excluded { rp_id, verify }, session, turn)?;
        approved(answer, verify)?;
        Err(Status::CREDENTIAL_EXCLUDED.into())
    }

    fn create(
        &mut self,
        request: &make_credential::Request,
        algorithm: Algorithm,
        wanted: &AtCreation,
        verified: bool,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<u8>, Refused> {
        let key = SigningKey::generate(algorithm, turn.rng);
        let mut id = [0; 32];
        turn.rng.fill_bytes(&mut id);
        let id = CredentialId::from_bytes(&id).map_err(Refused::storage)?;
        let (rp_id, user) = (&request.rp.id, &request.user);
        let name =
            |name: &Option<String>| name.as_deref().map(|name| truncate_name(name).to_owned());
        let mut passkey = Passkey::new(id.clone(), rp_id.clone(), user.id.clone(), &key, turn.now)
            .map_err(Refused::storage)?;
        passkey.user_name = name(&user.name);
        passkey.display_name = name(&user.display_name);
        wanted.give(&mut passkey, turn);
        let tuple = tuple(rp_id, &id, &user.id);
        let group_key = self.group_key(&wanted.keys, &tuple, algorithm, turn);
        self.bound_key(&wanted.keys, &tuple, algorithm, turn);
        let mut answered = self.answered(&wanted.keys, &tuple, group_key, algorithm);
        wanted.answer(&mut answered, &passkey, verified, turn);
        let attested = AttestedCredential {
            aaguid: AAGUID,
            credential_id: id,
            public_key: key.public_key().as_bytes().to_vec(),
        };
        let flags = self.flags(true, verified);
        let auth_data = AuthenticatorData::build(
            rp_id.hash(),
            flags,
            0,
            Some(attested),
            answered.signed_outputs(),
        );
        let unsigned = answered.finish(auth_data.as_bytes(), &request.client_data_hash);
        let attestation = Attestation::preferred(&request.attestation_formats);
        let statement =
            attestation.statement(&key, auth_data.as_bytes(), &request.client_data_hash);
        let response = make_credential::Response {
            format: attestation.format().to_owned(),
            auth_data: auth_data.as_bytes().to_vec(),
            statement,
            unsigned_extensions: unsigned,
        };
        self.keep(passkey, &tuple, group_key, turn)?;
        Ok(response.encode())
    }

    /// Stores a new passkey and all that is written with it, or nothing.
    fn keep(
        &mut self,
        passkey: Passkey,
        tuple: &KeyTuple,
        group_key: Option<KeyId>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refused> {
        let kept = self.store(passkey, group_key, turn);
        if kept.is_err() {
            let Self { vault, device } = self;
            // If that fails too, keys without a passkey are left, which nobody ever presents.
            let _ = group::retire(vault, device, slice::from_ref(tuple), turn.rng);
            let _ = device.forget_bound_keys(|key| key == tuple, turn.rng);
        }
        kept
    }

    /// The passkey is last: what fails before it leaves the account with the passkey that it had.
    fn store(
        &mut self,
        passkey: Passkey,
        group_key: Option<KeyId>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refused> {
        let Self { vault, device } = self;
        if let Some(key) = group_key {
            group::presented(vault, device, key, turn.now, turn.rng).map_err(Refused::storage)?;
        }
        let id = passkey.credential_id.clone();
        match vault.store(passkey) {
            // What is missing then is that an older passkey of the account was replaced: there are two.
            Err(_) if vault.passkey(&id).is_some() => Ok(()),
            stored => stored.map_err(Refused::full),
        }
    }

    /// The flags of a passkey of this vault: it can be on several devices from its first day, and
    /// is so when the vault knows another device.
    pub(super) fn flags(&self, present: bool, verified: bool) -> Flags {
        Flags::BE
            .with(Flags::UP, present)
            .with(Flags::UV, verified)
            .with(Flags::BS, self.vault.has_other_device(self.device.id()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use handfast_proto::cbor::Map;
    use handfast_proto::ctap2::{RpEntity, UserEntity};
    use handfast_proto::ids::{ClientDataHash, RpId, UserHandle};
    use rand_core::OsRng;

    use crate::compat::CompatExtension;
    use crate::disk::power::{Cut, with_cut};
    use crate::engine::{Answer, Computer, Context, Person, PinPad, tests};
    use crate::vault::Vault;

    use super::*;

    struct Willing;

    impl Person for Willing {
        fn ask(&mut self, _: &Prompt<'_>, _: &Computer, _: &mut dyn PinPad) -> Answer {
            Answer::Approved {
                account: 0,
                verified: false,
            }
        }
    }

    fn phone(folder: &Path) -> Authenticator {
        let mut phone = tests::phone(folder);
        phone.device.compat = [CompatExtension::DevicePubKey].into_iter().collect();
        phone
    }

    fn request(extensions: Map) -> Vec<u8> {
        make_credential::Request {
            client_data_hash: ClientDataHash([1; 32]),
            rp: RpEntity {
                id: RpId::parse("example.org").unwrap(),
                name: None,
            },
            user: UserEntity {
                id: UserHandle::from_bytes(b"ana").unwrap(),
                name: None,
                display_name: None,
            },
            algorithms: vec![Algorithm::Es256.id()],
            exclude: Vec::new(),
            extensions,
            resident_key: Some(true),
            user_presence: None,
            user_verification: None,
            pin_uv_auth_param: None,
            pin_uv_auth_protocol: None,
            enterprise_attestation: None,
            attestation_formats: Vec::new(),
        }
        .encode()
    }

    fn make(phone: &mut Authenticator) -> Status {
        let extensions = Map::new()
            .with("cmtgKey", true)
            .with("devicePubKey", Map::new());
        make_with(phone, extensions)
    }

    fn make_with(phone: &mut Authenticator, extensions: Map) -> Status {
        let mut session = phone.session(Context {
            computer: Computer::Unknown,
            method: None,
            handshake_hash: None,
        });
        let request = request(extensions);
        let reply = phone.handle(&mut session, &request, &mut Willing, &mut OsRng, 100);
        Status(reply.bytes[0])
    }

    fn usable(vault: &Vault) -> BTreeSet<CredentialId> {
        vault
            .passkeys()
            .map(|it| it.credential_id.clone())
            .collect()
    }

    #[test]
    fn a_passkey_that_a_disk_refused_is_nowhere_and_replaces_none() {
        let mut done = 0;
        for at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let mut phone = phone(folder.path());
            assert_eq!(make(&mut phone), Status::OK);
            let before = usable(&phone.vault);
            assert_eq!(phone.device.bound_keys(), 1);
            let (status, reached) = with_cut(at, Cut::Once, || make(&mut phone));
            let key = phone.vault.danger_vault_key();
            let again = Vault::open_with_key(&folder.path().join("vault"), &key).unwrap();
            for vault in [&phone.vault, &again] {
                let after = usable(vault);
                match status {
                    // Without its last step it was made, and the older one still stands beside it.
                    Status::OK => assert!(after.difference(&before).count() == 1, "step {at}"),
                    _ => assert_eq!(after, before, "step {at}"),
                }
            }
            // Of the two that there may be, the older passkey's is kept with it.
            let keys = phone.device.bound_keys();
            assert!(keys == 1 || keys == 2 && status == Status::OK, "step {at}");
            if !reached {
                assert_eq!(status, Status::OK);
                assert_eq!(phone.vault.passkeys().count(), 1);
                break;
            }
            done = at;
        }
        assert!(done > 10, "{done} steps");
    }

    #[test]
    fn where_there_is_no_room_for_a_passkey_the_site_is_told_so() {
        let mut refused = 0;
        for at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let mut phone = phone(folder.path());
            // Without a key of the trust group, the passkey is all that is stored.
            let (status, reached) = with_cut(at, Cut::Once, || make_with(&mut phone, Map::new()));
            if !reached {
                assert_eq!(status, Status::OK);
                break;
            }
            assert_eq!(status, Status::KEY_STORE_FULL, "step {at}");
            assert_eq!(phone.vault.passkeys().count(), 0, "step {at}");
            refused += 1;
        }
        assert!(refused > 4, "{refused} steps");
    }
}
