//! What a client knows: the passkeys that it heard of, and what it agreed on with the phone.

use handfast_proto::cbor::{self, Map, Value};
use handfast_proto::ids::CredentialId;
use handfast_proto::pin_uv::{KeyAgreement, SharedSecret};
use rand_chacha::ChaCha8Rng;

use crate::extension::Salts;
use crate::request::Credential;
use crate::value::Few;

/// A client, with all that was before it.
pub(crate) struct Client {
    /// Every credential that was made, the newest last.
    made: Vec<CredentialId>,
    /// What salts and secrets of `hmac-secret` are hidden under, with the client's key. It is kept
    /// when the session that it is good for is over.
    agreed: Option<(Map, SharedSecret)>,
    pub(crate) rng: ChaCha8Rng,
}

impl Client {
    pub(crate) fn new(rng: ChaCha8Rng) -> Self {
        Self {
            made: Vec::new(),
            agreed: None,
            rng,
        }
    }

    /// Hears of a new passkey.
    pub(crate) fn remember(&mut self, id: CredentialId) {
        self.made.push(id);
    }

    /// Returns a credential's name; that of no credential at all where none was made.
    pub(crate) fn id(&self, credential: &Credential) -> Vec<u8> {
        match credential {
            Credential::Made { newer } => {
                let older = self.made.iter().rev().cycle().nth(usize::from(*newer));
                older.map_or_else(|| vec![9; 32], |id| id.as_bytes().to_vec())
            }
            Credential::Stranger(bytes) => bytes.to_vec(),
        }
    }

    /// Writes a list of credentials.
    pub(crate) fn list(&self, credentials: &Few<Credential>) -> Vec<Value> {
        let named = credentials.0.iter().map(|credential| {
            let descriptor = Map::new().with("id", self.id(credential));
            descriptor.with("type", "public-key").into()
        });
        named.collect()
    }

    /// Takes the phone's key, the answer to getKeyAgreement.
    pub(crate) fn agree(&mut self, reply: &[u8]) {
        let reply = cbor::decode(reply).expect("canonical CBOR");
        let theirs = reply.as_map().and_then(|map| map.int(1)?.as_map().cloned());
        let ours = KeyAgreement::generate(&mut self.rng);
        let secret = ours.agree(&theirs.expect("a key"));
        self.agreed = Some((ours.public_key(), secret.expect("a point of the curve")));
    }

    /// Writes salts as `hmac-secret` has them, if a key was agreed on.
    pub(crate) fn covered(&mut self, salts: &Salts) -> Option<Map> {
        let (public, secret) = self.agreed.as_ref()?;
        let covered = secret.encrypt(&salts.to_blocks(), &mut self.rng);
        let tag = secret.authenticate(&covered);
        let input = Map::new().with(1, public.clone()).with(2, covered);
        Some(input.with(3, tag).with(4, 2))
    }

    /// Asserts that secrets that came back can be read, and are those of one salt or two.
    pub(crate) fn assert_secrets(&self, covered: &[u8]) {
        let (_, secret) = self.agreed.as_ref().expect("a key that was agreed on");
        let secrets = secret.decrypt(covered).expect("whole blocks");
        assert!([32, 64].contains(&secrets.len()), "one secret a salt");
    }
}
