//! The secrets of a ceremony and what is derived from them: HKDF-SHA-256 with a purpose as `info`
//! (`hybrid-transport.md` §2).

use core::fmt;

use aes::Aes256;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use rand_core::CryptoRngCore;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::tunnel::TunnelId;

/// What a derived value is for; its number is the HKDF `info`, four bytes, little-endian.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Purpose {
    /// 1: keys of the advert.
    EidKey,
    /// 2: the tunnel's name at the relay.
    TunnelId,
    /// 3: the pre-shared key of the handshake.
    Psk,
}

impl Purpose {
    fn info(self) -> [u8; 4] {
        let number: u32 = match self {
            Self::EidKey => 1,
            Self::TunnelId => 2,
            Self::Psk => 3,
        };
        number.to_le_bytes()
    }
}

/// Derives `N` bytes from a secret.
pub fn derive<const N: usize>(secret: &[u8], salt: &[u8], purpose: Purpose) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32, "HKDF-SHA-256 gives at most 8160 bytes") };
    let mut output = Zeroizing::new([0; N]);
    // The only error is a length that the assertion above rules out.
    let _ = Hkdf::<Sha256>::new(Some(salt), secret).expand(&purpose.info(), output.as_mut());
    output
}

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; $length]);

        impl $name {
            /// Takes the bytes.
            pub fn from_bytes(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// Shows the bytes to who must use them.
            pub fn expose(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

secret! {
    /// The 16 random bytes of a QR code.
    QrSecret, 16
}

secret! {
    /// The pre-shared key of the handshake: whoever has it knows the QR code *and* heard the advert.
    Psk, 32
}

impl QrSecret {
    /// Makes a new one.
    pub fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        let mut secret = Self([0; 16]);
        rng.fill_bytes(&mut secret.0);
        secret
    }

    /// Returns the keys of the advert that answers this QR code.
    pub fn eid_key(&self) -> EidKey {
        EidKey::from_bytes(&derive(&self.0, &[], Purpose::EidKey))
    }

    /// Returns the name of the tunnel for this QR code.
    pub fn tunnel_id(&self) -> TunnelId {
        TunnelId(*derive(&self.0, &[], Purpose::TunnelId))
    }

    /// Returns the pre-shared key, which covers the whole of the advert's plaintext.
    pub fn psk(&self, advert_plaintext: &[u8; 16]) -> Psk {
        Psk(*derive(&self.0, advert_plaintext, Purpose::Psk))
    }
}

/// The two keys of an advert, 64 bytes: AES-256 for its block, HMAC-SHA-256 for its tag.
///
/// Both key schedules are kept, so that a foreign advert costs two compressions and a comparison.
pub struct EidKey {
    block: Aes256,
    tag: Hmac<Sha256>,
}

impl EidKey {
    /// Takes the 64 bytes.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let (block, tag) = bytes.split_at(32);
        // HMAC takes a key of any length.
        let tag = <Hmac<Sha256> as Mac>::new_from_slice(tag)
            .unwrap_or_else(|_| Mac::new(&Default::default()));
        Self {
            block: Aes256::new(block.into()),
            tag,
        }
    }

    pub(super) fn encrypt(&self, block: &mut [u8; 16]) {
        self.block.encrypt_block(block.into());
    }

    pub(super) fn decrypt(&self, block: &mut [u8; 16]) {
        self.block.decrypt_block(block.into());
    }

    pub(super) fn tag(&self, block: &[u8; 16]) -> [u8; 4] {
        let mut mac = self.tag.clone();
        mac.update(block);
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let [a, b, c, d, ..] = full;
        [a, b, c, d]
    }
}

impl fmt::Debug for EidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EidKey")
    }
}
