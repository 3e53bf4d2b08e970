//! A device that wants into the phone's trust group.

use handfast_authenticator::engine::Authenticator;
use handfast_authenticator::group;
use handfast_proto::cbor::Map;
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ctap2::command::TRUST_GROUP;
use handfast_proto::ids::{CredentialId, RpId, UserHandle};
use handfast_proto::trust::join::{AwaitingSealed, Granted, JoinConfig, Joiner, Offered};
use handfast_proto::trust::{DeviceKeys, DeviceName, GroupKey, KeyTuple, MemberKey};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use rand_chacha::ChaCha8Rng;

use crate::client::Client;
use crate::contact::Contact;
use crate::request::Credential;
use crate::value::{Faults, Few, Small};

/// A step that it takes.
#[derive(Arbitrary, Debug)]
pub(crate) enum Step {
    /// The one that comes next, with these keys if it is the last.
    Next(Few<Key>),
    /// One without sense.
    Odd { step: u8, member: Small },
}

/// A key that it brings along.
#[derive(Arbitrary, Debug)]
pub(crate) struct Key {
    credential: Credential,
    is_eddsa: bool,
    created_at: u64,
    first_presented_at: Option<u64>,
}

impl Key {
    fn to_key(&self, client: &mut Client) -> Option<GroupKey> {
        let algorithm = match self.is_eddsa {
            true => Algorithm::EdDsa,
            false => Algorithm::Es256,
        };
        Some(GroupKey {
            tuple: KeyTuple {
                rp_id_hash: RpId::parse("example.org").ok()?.hash(),
                credential_id: CredentialId::from_bytes(&client.id(&self.credential)).ok()?,
                user_handle: UserHandle::from_bytes(b"ana").ok()?,
            },
            key: SigningKey::generate(algorithm, &mut client.rng),
            created_at: self.created_at,
            first_presented_at: self.first_presented_at,
            retired: false,
        })
    }
}

/// A device of the same vault, and how far it is.
pub(crate) struct Newcomer {
    keys: DeviceKeys,
    state: State,
}

enum State {
    Outside,
    Asking(Joiner),
    Offered(Offered),
    Confirming(AwaitingSealed),
    Granted(Granted),
    Merging(Granted),
}

impl Newcomer {
    pub(crate) fn new(rng: &mut ChaCha8Rng) -> Self {
        Self {
            keys: DeviceKeys::generate(rng),
            state: State::Outside,
        }
    }

    /// Returns its keys.
    pub(crate) fn keys(&self) -> &DeviceKeys {
        &self.keys
    }

    /// Begins anew, as one does in a new session.
    pub(crate) fn leave(&mut self) {
        self.state = State::Outside;
    }

    /// Writes a step. Who spoils one does not go on with the answer.
    pub(crate) fn write(
        &mut self,
        (step, faults): (&Step, &Faults),
        phone: &Authenticator,
        contact: Contact,
        client: &mut Client,
    ) -> Vec<u8> {
        let request = match step {
            Step::Next(keys) => self.next(keys, phone, contact, client),
            Step::Odd { step, member } => {
                let map = Map::new().with(1, *step).with(2, member.to_value());
                return faults.write(TRUST_GROUP, Some(map));
            }
        };
        let written = faults.rewrite(&request);
        if written != request {
            self.leave();
        }
        written
    }

    fn next(
        &mut self,
        keys: &Few<Key>,
        phone: &Authenticator,
        contact: Contact,
        client: &mut Client,
    ) -> Vec<u8> {
        let (state, request) = match std::mem::replace(&mut self.state, State::Outside) {
            State::Offered(offered) => {
                let (awaiting, request) = offered.confirm();
                (State::Confirming(awaiting), request)
            }
            State::Granted(granted) => {
                let keys = keys.0.iter().filter_map(|key| key.to_key(client));
                let keys: Vec<GroupKey> = keys.collect();
                let keys: Vec<&GroupKey> = keys.iter().collect();
                let request = granted
                    .merge(&keys, &mut client.rng)
                    .expect("keys can be written");
                (State::Merging(granted), request)
            }
            _ => {
                let member = phone.vault.member_key();
                let config = self.config(phone, &member, contact);
                let hash = contact.handshake_hash();
                let (joiner, request) = Joiner::start(&config, hash, &mut client.rng);
                (State::Asking(joiner), request)
            }
        };
        self.state = state;
        request
    }

    /// Takes the phone's answer to the last step: if it is OK, then it is what the step asks for.
    pub(crate) fn take(&mut self, reply: &[u8], phone: &Authenticator, contact: Contact) {
        let state = std::mem::replace(&mut self.state, State::Outside);
        if reply.first() != Some(&0) {
            return;
        }
        self.state = match state {
            State::Asking(joiner) => {
                let member = phone.vault.member_key();
                let config = self.config(phone, &member, contact);
                let offered = joiner.handle_offer(reply, &config);
                State::Offered(offered.expect("an offer"))
            }
            State::Confirming(awaiting) => {
                let granted = awaiting.handle_sealed(reply, &self.keys);
                let granted = granted.expect("the group's secret");
                let secret = group::danger_group_secret(&phone.device);
                assert_eq!(Some(*granted.secret.expose()), secret);
                State::Granted(granted)
            }
            State::Merging(granted) => {
                granted.handle_ack(reply).expect("an acknowledgement");
                let members = group::status(&phone.device).members;
                let id = self.keys.device_id();
                assert!(members.iter().any(|member| member.device == id), "it is in");
                State::Outside
            }
            other => other,
        };
    }

    fn config<'a>(
        &'a self,
        phone: &Authenticator,
        member: &'a MemberKey,
        contact: Contact,
    ) -> JoinConfig<'a> {
        JoinConfig {
            keys: &self.keys,
            member,
            vault: phone.vault.id(),
            name: DeviceName::parse("newcomer").expect("a name"),
            method: contact.method(),
        }
    }
}
