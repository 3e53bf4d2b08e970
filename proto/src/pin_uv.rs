//! PIN/UV auth protocol two, as far as both sides agree on a key and hide bytes under it (CTAP 2.3
//! §6.5.7). There is no PIN and no PIN token here: a phone verifies its owner by itself.

use core::fmt;

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use cbc::{Decryptor, Encryptor};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use p256::PublicKey;
use p256::ecdh::EphemeralSecret;
use p256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
use p256::{EncodedPoint, FieldBytes};
use rand_core::CryptoRngCore;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::cbor::{Map, Value};

const BLOCK: usize = 16;
/// The algorithm that a key for agreement names: ECDH-ES + HKDF-256, though it is used otherwise.
const AGREEMENT: i64 = -25;

/// A key pair for agreement, good as long as one session.
pub struct KeyAgreement(EphemeralSecret);

impl KeyAgreement {
    /// Makes a new one.
    pub fn generate(mut rng: &mut dyn CryptoRngCore) -> Self {
        Self(EphemeralSecret::random(&mut rng))
    }

    /// Returns the public half, a COSE_Key.
    pub fn public_key(&self) -> Map {
        let point = self.0.public_key().to_encoded_point(false);
        let coordinate = |bytes: Option<&FieldBytes>| bytes.map(|bytes| bytes.to_vec());
        Map::new()
            .with(1, 2)
            .with(3, AGREEMENT)
            .with(-1, 1)
            .with_some(-2, coordinate(point.x()))
            .with_some(-3, coordinate(point.y()))
    }

    /// Agrees with a peer on a secret; nothing if its COSE_Key is no point of the curve.
    pub fn agree(&self, peer: &Map) -> Option<SharedSecret> {
        let number = |label| peer.int(label).and_then(Value::as_i64);
        ((number(1)?, number(3)?, number(-1)?) == (2, AGREEMENT, 1)).then_some(())?;
        let coordinate = |label| -> Option<FieldBytes> {
            let bytes: [u8; 32] = peer.int(label)?.as_bytes()?.try_into().ok()?;
            Some(bytes.into())
        };
        let point =
            EncodedPoint::from_affine_coordinates(&coordinate(-2)?, &coordinate(-3)?, false);
        let peer = Option::<PublicKey>::from(PublicKey::from_encoded_point(&point))?;
        let agreed = self.0.diffie_hellman(&peer);
        let derived = Hkdf::<Sha256>::new(Some(&[0; 32]), agreed.raw_secret_bytes());
        let (mut mac, mut cipher) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        derived.expand(b"CTAP2 HMAC key", mac.as_mut()).ok()?;
        derived.expand(b"CTAP2 AES key", cipher.as_mut()).ok()?;
        Some(SharedSecret { mac, cipher })
    }
}

impl fmt::Debug for KeyAgreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyAgreement")
    }
}

/// What both sides agreed on.
pub struct SharedSecret {
    mac: Zeroizing<[u8; 32]>,
    cipher: Zeroizing<[u8; 32]>,
}

impl SharedSecret {
    /// Returns whether a message is authenticated by these bytes, HMAC-SHA-256 in whole.
    pub fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        Hmac::<Sha256>::new_from_slice(self.mac.as_ref())
            .is_ok_and(|mac| mac.chain_update(message).verify_slice(tag).is_ok())
    }

    /// Authenticates a message: HMAC-SHA-256 in whole.
    pub fn authenticate(&self, message: &[u8]) -> [u8; 32] {
        // HMAC takes keys of every length.
        Hmac::<Sha256>::new_from_slice(self.mac.as_ref())
            .map(|mac| mac.chain_update(message).finalize().into_bytes().into())
            .unwrap_or_default()
    }

    /// Decrypts: an IV, then AES-256-CBC without padding; nothing if the length is impossible.
    pub fn decrypt(&self, message: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (iv, sealed) = message.split_at_checked(BLOCK)?;
        if sealed.is_empty() || sealed.len() % BLOCK != 0 {
            return None;
        }
        let mut text = Zeroizing::new(sealed.to_vec());
        Decryptor::<Aes256>::new_from_slices(self.cipher.as_ref(), iv)
            .ok()?
            .decrypt_padded_mut::<NoPadding>(&mut text)
            .ok()?;
        Some(text)
    }

    /// Encrypts whole blocks of 16 bytes under a fresh IV, which stands before them.
    pub fn encrypt(&self, blocks: &[[u8; BLOCK]], rng: &mut dyn CryptoRngCore) -> Vec<u8> {
        let mut iv = [0; BLOCK];
        rng.fill_bytes(&mut iv);
        let mut message = iv.to_vec();
        let Ok(mut encryptor) = Encryptor::<Aes256>::new_from_slices(self.cipher.as_ref(), &iv)
        else {
            return message;
        };
        for block in blocks {
            let mut block = (*block).into();
            encryptor.encrypt_block_mut(&mut block);
            message.extend_from_slice(&block);
        }
        message
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret")
    }
}
