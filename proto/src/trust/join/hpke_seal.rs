//! HPKE (RFC 9180) with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM, base mode.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::DhP256HkdfSha256;
use hpke::rand_core::{CryptoRng, RngCore};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal,
};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::JoinError;
use crate::trust::identity::DeviceKeys;

type P256 = DhP256HkdfSha256;

/// The encapsulated key and the ciphertext.
pub(super) struct Sealed {
    pub(super) enc: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
}

pub(super) fn seal(
    to: &[u8; 65],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    rng: &mut dyn CryptoRngCore,
) -> Result<Sealed, JoinError> {
    let to = <P256 as Kem>::PublicKey::from_bytes(to).map_err(|_| JoinError::Malformed)?;
    let (enc, ciphertext) = single_shot_seal::<AesGcm256, HkdfSha256, P256, _>(
        &OpModeS::Base,
        &to,
        info,
        plaintext,
        aad,
        &mut NextGeneration(rng),
    )
    .map_err(|_| JoinError::Key)?;
    Ok(Sealed {
        enc: enc.to_bytes().to_vec(),
        ciphertext,
    })
}

pub(super) fn open(
    keys: &DeviceKeys,
    enc: &[u8],
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, JoinError> {
    let scalar = keys.mk_scalar();
    let key = <P256 as Kem>::PrivateKey::from_bytes(scalar.as_ref()).map_err(|_| JoinError::Key)?;
    let enc = <P256 as Kem>::EncappedKey::from_bytes(enc).map_err(|_| JoinError::Malformed)?;
    single_shot_open::<AesGcm256, HkdfSha256, P256>(
        &OpModeR::Base,
        &key,
        &enc,
        info,
        ciphertext,
        aad,
    )
    .map(Zeroizing::new)
    .map_err(|_| JoinError::Sealed)
}

/// The caller's randomness for a library that speaks the next generation of the trait.
struct NextGeneration<'a>(&'a mut dyn CryptoRngCore);

impl RngCore for NextGeneration<'_> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }
}

impl CryptoRng for NextGeneration<'_> {}
