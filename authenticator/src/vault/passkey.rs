//! One passkey as a vault keeps it.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::cbor::{Map, SecretMap, Value};
use handfast_proto::cose::{Algorithm, CoseError, SigningKey};
use handfast_proto::extension::cred_blob::CredBlob;
use handfast_proto::extension::cred_protect::Protection;
use handfast_proto::extension::large_blob::LargeBlob;
use handfast_proto::extension::prf::Seeds;
use handfast_proto::ids::{CredentialId, RpId, UserHandle};
use zeroize::Zeroizing;

/// How long a passkey answers that another has replaced, in seconds: 30 days.
const KEPT_AFTER_REPLACEMENT: u64 = 30 * 24 * 60 * 60;

/// A passkey. Times are whole seconds since 1970.
pub struct Passkey {
    /// Its name.
    pub credential_id: CredentialId,
    /// For which site.
    pub rp_id: RpId,
    /// For which account.
    pub user_handle: UserHandle,
    /// The account's name.
    pub user_name: Option<String>,
    /// The person's name.
    pub display_name: Option<String>,
    /// The signature algorithm.
    pub algorithm: Algorithm,
    /// When it was made.
    pub created_at: u64,
    /// When its names last changed.
    pub changed_at: u64,
    /// Since when another passkey of the same account stands in its place. It is kept, because the
    /// answer that announced the other may have been lost.
    pub replaced_at: Option<u64>,
    /// Since when it is deleted.
    pub deleted_at: Option<u64>,
    /// What it wants of a person before it answers (extension `credProtect`).
    pub protection: Protection,
    /// What the site left with it when it was made (extension `credBlob`).
    pub cred_blob: Option<CredBlob>,
    /// What the site stored with it last (extension `largeBlob`), and when.
    pub large_blob: Option<(LargeBlob, u64)>,
    /// Where it stands among the passkeys of its vault, the later ones having greater numbers: clocks
    /// are too coarse for that, and set back at times. 0 if it was made before there was that.
    pub ordinal: u64,
    /// What it makes secrets with (extensions `prf` and `hmac-secret`); nothing if it was made before there was that.
    pub prf: Option<Seeds>,
    pkcs8: Zeroizing<Vec<u8>>,
    /// What a later version keeps with it.
    unknown: SecretMap,
}

/// The greatest member of a passkey's map that is known here.
const LAST_MEMBER: u64 = 15;

impl Passkey {
    /// Returns how the credential ID begins, as eight letters of base64url: enough to tell a few passkeys from
    /// each other.
    pub fn short_id(&self) -> String {
        let id = self.credential_id.as_bytes();
        URL_SAFE_NO_PAD.encode(id.get(..6).unwrap_or(id))
    }

    /// Makes a new passkey from its key.
    ///
    /// # Errors
    ///
    /// [`CoseError`] if the key cannot be written.
    pub fn new(
        credential_id: CredentialId,
        rp_id: RpId,
        user_handle: UserHandle,
        key: &SigningKey,
        now: u64,
    ) -> Result<Self, CoseError> {
        Ok(Self {
            credential_id,
            rp_id,
            user_handle,
            user_name: None,
            display_name: None,
            algorithm: key.algorithm(),
            created_at: now,
            changed_at: now,
            replaced_at: None,
            deleted_at: None,
            protection: Protection::default(),
            cred_blob: None,
            large_blob: None,
            ordinal: 0,
            prf: None,
            pkcs8: key.to_pkcs8_der()?,
            unknown: SecretMap::from(Map::new()),
        })
    }

    /// Returns the private key.
    ///
    /// # Errors
    ///
    /// [`CoseError`] if it cannot be read.
    pub fn key(&self) -> Result<SigningKey, CoseError> {
        SigningKey::danger_from_own_pkcs8_der(&self.pkcs8)
    }

    /// Returns the private key as it is kept: PKCS#8, DER.
    #[cfg(feature = "exchange")]
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Returns whether it can be used: neither replaced nor deleted.
    pub fn is_usable(&self) -> bool {
        self.replaced_at.is_none() && self.deleted_at.is_none()
    }

    /// Returns whether it answers at this time: it can be used, or was replaced at most 30 days ago. The
    /// answer that told the site of the new one may have been lost.
    pub fn answers(&self, now: u64) -> bool {
        let is_kept = |at| now.saturating_sub(at) <= KEPT_AFTER_REPLACEMENT;
        self.deleted_at.is_none() && self.replaced_at.is_none_or(is_kept)
    }

    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let protection = Some(self.protection).filter(|it| *it != Protection::default());
        let large_blob = self.large_blob.as_ref().map(|(blob, at)| {
            Map::new()
                .with(1, blob.deflated())
                .with(2, blob.original_size())
                .with(3, *at)
        });
        let known = Map::new()
            .with(1, self.credential_id.as_bytes())
            .with(2, self.rp_id.as_str())
            .with(3, self.user_handle.as_bytes())
            .with_some(4, self.user_name.as_deref())
            .with_some(5, self.display_name.as_deref())
            .with(6, self.pkcs8.as_slice())
            .with(7, self.created_at)
            .with(8, self.changed_at)
            .with_some(9, self.replaced_at)
            .with_some(10, self.deleted_at)
            .with_some(11, self.prf.as_ref().map(Seeds::as_bytes))
            .with_some(12, protection.map(Protection::level))
            .with_some(13, self.cred_blob.as_ref().map(CredBlob::as_bytes))
            .with_some(14, large_blob)
            .with_some(15, Some(self.ordinal).filter(|ordinal| *ordinal > 0));
        let map = self.unknown.iter().fold(known, |map, (key, value)| {
            map.with(key.clone(), value.clone())
        });
        SecretMap::from(map).encode()
    }

    pub(super) fn parse(id: &[u8], plaintext: &[u8]) -> Option<Self> {
        let map = SecretMap::decode(plaintext).ok()??;
        let pkcs8 = Zeroizing::new(map.int(6)?.as_bytes()?.to_vec());
        let text = |key| map.int(key).and_then(Value::as_text).map(str::to_owned);
        let credential_id = map.int(1)?.as_bytes()?;
        (credential_id == id).then_some(())?;
        Some(Self {
            credential_id: CredentialId::from_bytes(credential_id).ok()?,
            rp_id: RpId::parse(map.int(2)?.as_text()?).ok()?,
            user_handle: UserHandle::from_bytes(map.int(3)?.as_bytes()?).ok()?,
            user_name: text(4),
            display_name: text(5),
            algorithm: SigningKey::danger_from_own_pkcs8_der(&pkcs8)
                .ok()?
                .algorithm(),
            created_at: map.int(7)?.as_u64()?,
            changed_at: map.int(8)?.as_u64()?,
            replaced_at: map.int(9).and_then(Value::as_u64),
            deleted_at: map.int(10).and_then(Value::as_u64),
            prf: map
                .int(11)
                .and_then(|seeds| Seeds::from_bytes(seeds.as_bytes()?)),
            protection: match map.int(12) {
                Some(level) => Protection::from_level(level.as_u64()?)?,
                None => Protection::default(),
            },
            cred_blob: match map.int(13) {
                Some(blob) => Some(CredBlob::from_bytes(blob.as_bytes()?)?),
                None => None,
            },
            large_blob: match map.int(14) {
                Some(blob) => Some(large_blob(blob)?),
                None => None,
            },
            ordinal: map.int(15).and_then(Value::as_u64).unwrap_or_default(),
            pkcs8,
            unknown: unknown(&map),
        })
    }

    /// Takes over what another version of it knows: the newest names, and its end for good.
    pub(super) fn merge(&mut self, other: Self) {
        let version = |passkey: &Self| {
            let names = (passkey.user_name.clone(), passkey.display_name.clone());
            (passkey.changed_at, names)
        };
        // Of two at the same second all devices choose the same.
        if version(&other) > version(self) {
            self.user_name = other.user_name;
            self.display_name = other.display_name;
            self.changed_at = other.changed_at;
        }
        self.prf = self.prf.take().or(other.prf);
        self.protection = self.protection.max(other.protection);
        self.cred_blob = self.cred_blob.take().or(other.cred_blob);
        if written(&other.large_blob) > written(&self.large_blob) {
            self.large_blob = other.large_blob;
        }
        self.ordinal = self.ordinal.max(other.ordinal);
        let more = other
            .unknown
            .iter()
            .filter(|(key, _)| self.unknown.get(key).is_none());
        let more = more.fold(Map::clone(&self.unknown), |map, (key, value)| {
            map.with(key.clone(), value.clone())
        });
        self.unknown = SecretMap::from(more);
        self.replaced_at = earliest(self.replaced_at, other.replaced_at);
        self.deleted_at = earliest(self.deleted_at, other.deleted_at);
    }
}

fn large_blob(value: &Value) -> Option<(LargeBlob, u64)> {
    let map = value.as_map()?;
    let blob = LargeBlob::new(map.int(1)?.as_bytes()?, map.int(2)?.as_u64()?)?;
    Some((blob, map.int(3)?.as_u64()?))
}

/// Which of two large blobs is the later; of the same second, the same on every device.
fn written(blob: &Option<(LargeBlob, u64)>) -> Option<(u64, &[u8])> {
    blob.as_ref().map(|(blob, at)| (*at, blob.deflated()))
}

fn unknown(map: &Map) -> SecretMap {
    let unknown = map.iter().filter(|(key, _)| {
        let number = key.as_u64();
        number.is_none_or(|number| number == 0 || number > LAST_MEMBER)
    });
    SecretMap::from(unknown.fold(Map::new(), |map, (key, value)| {
        map.with(key.clone(), value.clone())
    }))
}

fn earliest(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl fmt::Debug for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passkey")
            .field("rp_id", &self.rp_id)
            .field("credential_id", &self.credential_id)
            .finish_non_exhaustive()
    }
}
