//! A client that speaks `hmac-secret` as security keys do.

use handfast_authenticator::engine::{Computer, Session};
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{self, Map};
use handfast_proto::ctap2::{Status, client_pin, get_assertion, split_reply};
use handfast_proto::pin_uv::{KeyAgreement, SharedSecret};
use rand_core::OsRng;

use crate::phone::{Phone, Scripted, approving, get};

/// A client's side of `hmac-secret`, in a session of its own.
pub(crate) struct Client {
    pub(crate) session: Session,
    pub(crate) public: Map,
    secret: SharedSecret,
}

impl Client {
    pub(crate) fn new(phone: &mut Phone) -> Self {
        Self::on(phone, Computer::Unknown)
    }

    pub(crate) fn on(phone: &mut Phone, computer: Computer) -> Self {
        let mut session = phone.session(computer);
        let ask = client_pin::Request::KeyAgreement.encode();
        let reply = phone.ask_in(&mut session, &ask, &mut approving());
        let reply = cbor::decode(split_reply(&reply).unwrap()).unwrap();
        let theirs = reply.as_map().unwrap().int(1).unwrap().as_map().unwrap();
        let ours = KeyAgreement::generate(&mut OsRng);
        Self {
            session,
            public: ours.public_key(),
            secret: ours.agree(theirs).unwrap(),
        }
    }

    pub(crate) fn input(&self, salts: &[[u8; 16]]) -> Map {
        let covered = self.secret.encrypt(salts, &mut OsRng);
        let tag = self.secret.authenticate(&covered);
        Map::new()
            .with(1, self.public.clone())
            .with(2, covered)
            .with(3, tag)
            .with(4, 2)
    }

    pub(crate) fn get(
        &mut self,
        phone: &mut Phone,
        input: Map,
        person: &mut Scripted,
    ) -> Result<Vec<u8>, Status> {
        let request = get_assertion::Request {
            extensions: Map::new().with("hmac-secret", input),
            user_verification: None,
            ..get(&[])
        };
        let reply = phone.ask_in(&mut self.session, &request.encode(), person);
        let response = get_assertion::Response::parse(split_reply(&reply)?).unwrap();
        assert!(response.unsigned_extensions.is_empty());
        Ok(self.uncovered(&response.auth_data, "hmac-secret"))
    }

    pub(crate) fn uncovered(&self, auth_data: &[u8], name: &str) -> Vec<u8> {
        let data = AuthenticatorData::parse(auth_data).unwrap();
        let outputs = data.extensions.unwrap();
        let covered = outputs.text(name).unwrap().as_bytes().unwrap();
        self.secret.decrypt(covered).unwrap().to_vec()
    }
}
