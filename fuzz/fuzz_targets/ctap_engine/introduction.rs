//! How a computer introduces itself, and what a phone has to make of it.

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use handfast_authenticator::engine::{Authenticator, Computer, Introduced, Standing};
use handfast_authenticator::group;
use handfast_proto::cbor::Map;
use handfast_proto::trust::introduction::Introducer;
use handfast_proto::trust::{DeviceKeys, Method};
use hkdf::Hkdf;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use rand_chacha::ChaCha8Rng;
use sha2::Sha256;

use crate::contact::Contact;

/// What a computer says.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Introduction {
    /// Which device it is.
    Honest,
    /// The same, as it was said in another session.
    Replayed(u8),
    /// Which device it is, by who cannot sign for that: the certificate, or for this session.
    Forged { certificate: bool },
    /// What is no introduction, sealed as by who knows the vault's key.
    Odd(Vec<u8>),
    /// What nobody sealed.
    Noise(Vec<u8>),
}

/// What the first introduction of a session was worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Heard {
    Nothing,
    Forged,
    Honest,
}

impl Introduction {
    /// Returns what is said, and what it is worth.
    pub(crate) fn say(
        &self,
        keys: &DeviceKeys,
        phone: &Authenticator,
        contact: Contact,
        rng: &mut ChaCha8Rng,
    ) -> (Vec<u8>, Heard) {
        let vault_key = phone.vault.danger_vault_key();
        let session = contact.handshake_hash();
        let mut introduced_in =
            |session: [u8; 32]| Introducer::issue(keys, &vault_key, rng).introduce(&session);
        match self {
            Self::Honest => (introduced_in(session), Heard::Honest),
            Self::Replayed(other) if [*other; 32] == session => {
                (introduced_in(session), Heard::Honest)
            }
            Self::Replayed(other) => (introduced_in([*other; 32]), Heard::Nothing),
            Self::Forged { certificate } => {
                let kept = Introducer::issue(keys, &vault_key, rng).to_map();
                let kept = kept.expect("a map");
                let member = |key| kept.int(key).cloned().expect("a member");
                let signature = match certificate {
                    true => keys.dsk().sign(b"something else").into(),
                    false => member(3),
                };
                let forged = Map::new()
                    .with(1, member(2))
                    .with(2, signature)
                    .with(3, keys.dsk().sign(&session))
                    .with(4, [0; 9]);
                (sealed(&forged.encode(), &vault_key, &session), Heard::Forged)
            }
            Self::Odd(plaintext) => (sealed(plaintext, &vault_key, &session), Heard::Nothing),
            Self::Noise(bytes) => (bytes.clone(), Heard::Nothing),
        }
    }
}

fn sealed(plaintext: &[u8], vault_key: &[u8; 32], session: &[u8; 32]) -> Vec<u8> {
    let key = derived(&[], vault_key, b"tg-introduction-key/v1");
    let key = derived(session, &key, b"tg-introduction/v1");
    let cipher = Aes256Gcm::new(&key.into());
    cipher.encrypt(Nonce::from_slice(&[0; 12]), plaintext).expect("few bytes")
}

fn derived(salt: &[u8], secret: &[u8], purpose: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    let hkdf = Hkdf::<Sha256>::new(Some(salt), secret);
    hkdf.expand(purpose, &mut key).expect("32 bytes");
    key
}

impl Heard {
    /// Returns who asks, as the owner should read it at this moment.
    pub(crate) fn asker(self, keys: &DeviceKeys, phone: &Authenticator, contact: Contact) -> Computer {
        match self {
            Self::Nothing => contact.computer(),
            Self::Forged => Computer::Impostor,
            Self::Honest => Computer::Introduced(known(keys, phone)),
        }
    }
}

fn known(keys: &DeviceKeys, phone: &Authenticator) -> Introduced {
    let members = group::status(&phone.device).members;
    let other = members.iter().find(|member| member.device == keys.device_id());
    let own = members.iter().find(|member| member.is_this);
    match other.zip(own) {
        Some((other, own)) => Introduced {
            outdated: false,
            name: Some(other.name.to_string()),
            standing: Standing::Linked {
                since: other.since.max(own.since),
                simulated: other.method == Some(Method::Simulated),
            },
        },
        None => Introduced {
            outdated: false,
            name: None,
            standing: Standing::Vault { since: None },
        },
    }
}
