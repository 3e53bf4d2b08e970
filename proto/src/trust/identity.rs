//! Who is who: devices, groups, vaults, and their secrets (`trust-group.md` §4.2).

use core::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use rand_core::CryptoRngCore;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::cose::{Algorithm, CoseError, CoseKey, SigningKey};

/// Why bytes or text name nobody.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum IdentityError {
    /// A device name is 1 to 64 bytes of text.
    #[error("a device name has 1 to 64 bytes")]
    DeviceName,
    /// A key is not one.
    #[error("the key is not valid")]
    Key,
}

impl From<CoseError> for IdentityError {
    fn from(_: CoseError) -> Self {
        Self::Key
    }
}

macro_rules! id16 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

id16! {
    /// Names a device: the first 16 bytes of a hash of its signing key.
    DeviceId
}
id16! {
    /// Names a trust group, at random.
    GroupId
}
id16! {
    /// Names a vault, at random.
    VaultId
}

impl DeviceId {
    /// Returns the name that belongs to a signing key.
    pub fn of(dsk: &CoseKey) -> Self {
        let hash = Sha256::new()
            .chain_update(b"tg/device-id/v1")
            .chain_update(dsk.as_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(hash.split_at(16).0);
        Self(id)
    }
}

impl GroupId {
    /// Makes a new name.
    pub fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        Self(id)
    }
}

/// Counts the secrets that a group has had, from 1.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Epoch(pub u32);

impl Epoch {
    /// Takes a number; there is no epoch 0.
    pub fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number)
            .ok()
            .filter(|&number| number > 0)
            .map(Self)
    }
}

/// Reads a device's key for secrets: an uncompressed point that is on its curve.
pub(super) fn parse_mk(bytes: &[u8]) -> Option<[u8; 65]> {
    let mk: [u8; 65] = bytes.try_into().ok()?;
    // Of 65 bytes only the uncompressed form is taken.
    p256::PublicKey::from_sec1_bytes(&mk).ok().map(|_| mk)
}

/// What a person calls a device: text of 1 to 64 bytes without control characters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceName(String);

impl DeviceName {
    /// Takes a name.
    ///
    /// # Errors
    ///
    /// [`IdentityError::DeviceName`].
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let fits = (1..=64).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdentityError::DeviceName)
        }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a device came into a group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Method {
    /// 1: by a QR code and a real radio.
    HybridQr,
    /// 3: by the same security key.
    SecurityKey,
    /// 100: by a QR code and a simulated radio, which proves nothing.
    Simulated,
    /// 2: by a cable or by NFC.
    UsbNfc,
}

impl Method {
    /// Returns the number in messages.
    pub fn number(self) -> u64 {
        match self {
            Self::HybridQr => 1,
            Self::UsbNfc => 2,
            Self::SecurityKey => 3,
            Self::Simulated => 100,
        }
    }

    /// Returns the method of a number.
    pub fn from_number(number: u64) -> Option<Self> {
        [
            Self::HybridQr,
            Self::UsbNfc,
            Self::SecurityKey,
            Self::Simulated,
        ]
        .into_iter()
        .find(|method| method.number() == number)
    }

    /// Returns the name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::HybridQr => "hybrid-qr",
            Self::UsbNfc => "usb-nfc",
            Self::SecurityKey => "security-key",
            Self::Simulated => "simulated",
        }
    }
}

/// PKCS#8 of a device's signing key, and the 32 bytes of its other key.
pub type DeviceKeyParts = (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

/// The two keys of a device: one signs, one receives group secrets. They never leave it.
pub struct DeviceKeys {
    dsk: SigningKey,
    mk: p256::SecretKey,
}

impl DeviceKeys {
    /// Makes the keys of a new device.
    pub fn generate(mut rng: &mut dyn CryptoRngCore) -> Self {
        let dsk = SigningKey::generate(Algorithm::Es256, rng);
        Self {
            dsk,
            mk: p256::SecretKey::random(&mut rng),
        }
    }

    /// Takes keys from a store: PKCS#8 of the signing key, 32 bytes of the other.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Key`].
    pub fn from_parts(dsk_pkcs8: &[u8], mk: &[u8]) -> Result<Self, IdentityError> {
        let dsk = SigningKey::from_pkcs8_der(dsk_pkcs8)?;
        let mk = p256::SecretKey::from_slice(mk).map_err(|_| IdentityError::Key)?;
        match dsk.algorithm() {
            Algorithm::Es256 => Ok(Self { dsk, mk }),
            Algorithm::EdDsa => Err(IdentityError::Key),
        }
    }

    /// Returns what [`Self::from_parts`] takes.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Key`].
    pub fn to_parts(&self) -> Result<DeviceKeyParts, IdentityError> {
        Ok((
            self.dsk.to_pkcs8_der()?,
            Zeroizing::new(self.mk.to_bytes().to_vec()),
        ))
    }

    /// Returns the device's name among devices.
    pub fn device_id(&self) -> DeviceId {
        DeviceId::of(&self.dsk.public_key())
    }

    /// Returns the signing key.
    pub fn dsk(&self) -> &SigningKey {
        &self.dsk
    }

    /// Returns the public key that secrets are sealed to, an uncompressed point.
    pub fn mk_public(&self) -> [u8; 65] {
        let point = self.mk.public_key().to_encoded_point(false);
        let mut bytes = [0; 65];
        bytes
            .iter_mut()
            .zip(point.as_bytes())
            .for_each(|(to, from)| *to = *from);
        bytes
    }

    pub(super) fn mk_scalar(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.mk.to_bytes().into())
    }
}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKeys({})", self.device_id())
    }
}

/// Proves membership of a vault: necessary for a trust group, and never sufficient.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MemberKey([u8; 32]);

impl MemberKey {
    /// Derives it from the vault key.
    pub fn derive(vault_key: &[u8; 32]) -> Self {
        Self(*hkdf_32(&[], vault_key, b"tg-member/v1"))
    }

    pub(super) fn tag(&self, message: &[u8]) -> [u8; 32] {
        self.mac(message).finalize().into_bytes().into()
    }

    pub(super) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        self.mac(message).verify_slice(tag).is_ok()
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        // HMAC takes a key of any length.
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.0);
        mac.unwrap_or_else(|_| Mac::new(&Default::default()))
            .chain_update(message)
    }
}

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberKey")
    }
}

/// The secret that only devices have which were let into the group by a member beside them.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct GroupSecret([u8; 32]);

impl GroupSecret {
    /// Makes a new one.
    pub fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        let mut secret = Self([0; 32]);
        rng.fill_bytes(&mut secret.0);
        secret
    }

    /// Takes the bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Shows the bytes to who must store them.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the key that wraps the group's keys in an epoch.
    pub(super) fn wrap_key(&self, group: &GroupId, epoch: Epoch) -> Zeroizing<[u8; 32]> {
        let info = [b"tg-wrap/v1".as_slice(), &epoch.0.to_be_bytes()].concat();
        hkdf_32(&group.0, &self.0, &info)
    }
}

impl fmt::Debug for GroupSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupSecret")
    }
}

pub(super) fn hkdf_32(salt: &[u8], ikm: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut output = Zeroizing::new([0; 32]);
    // The only error is a length above 8160 bytes.
    let _ = Hkdf::<Sha256>::new(Some(salt), ikm).expand(info, output.as_mut());
    output
}
