//! The QR code: a CBOR map, written in decimal digits behind `FIDO:/` (`hybrid-transport.md` §1).

use core::fmt;

use p256::elliptic_curve::sec1::{FromEncodedPoint as _, ToEncodedPoint as _};
use rand_core::CryptoRngCore;
use thiserror::Error;

use super::data_channel::DataChannels;
use super::keys::QrSecret;
use super::tunnel::ASSIGNED_DOMAINS;
use crate::cbor::{DecodeError, Map, SecretMap, Value};

/// What every URL of a QR code begins with; readers ignore its case.
pub const SCHEME: &str = "FIDO:/";

/// Why text is no invitation.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum QrError {
    /// The digits are no canonical CBOR.
    #[error("the code is damaged: {0}")]
    Cbor(#[from] DecodeError),
    /// The digits do not come in groups that stand for bytes.
    #[error("the code is cut off or damaged")]
    Digits,
    /// The computer's key is missing, has another length or is no point of its curve.
    #[error("the code has no valid key")]
    Key,
    /// The content is no map.
    #[error("the code holds something else")]
    NotMap,
    /// The text does not begin with `FIDO:/`.
    #[error("not a FIDO:/ code")]
    Scheme,
    /// The secret is missing or has another length.
    #[error("the code has no valid secret")]
    Secret,
    /// A known member has the wrong type.
    #[error("the code's member {0} has the wrong type")]
    WrongType(u8),
}

/// What a ceremony is for. It shapes a phone's first words and restricts nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Hint {
    /// `dci`: a digital credential is to be issued.
    DigitalIssuance,
    /// `dcp`: a digital credential is to be shown.
    DigitalPresentation,
    /// `ga`: sign in.
    #[default]
    GetAssertion,
    /// `mc`: make a passkey.
    MakeCredential,
}

impl Hint {
    fn as_str(self) -> &'static str {
        match self {
            Self::DigitalIssuance => "dci",
            Self::DigitalPresentation => "dcp",
            Self::GetAssertion => "ga",
            Self::MakeCredential => "mc",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "dci" => Self::DigitalIssuance,
            "dcp" => Self::DigitalPresentation,
            "mc" => Self::MakeCredential,
            _ => Self::GetAssertion,
        }
    }
}

/// A QR code as its maker has it: with the private key, for one ceremony.
pub struct QrInvitation {
    pub(super) key: p256::SecretKey,
    pub(super) secret: QrSecret,
    hint: Hint,
    channels: DataChannels,
    unix: u64,
}

impl QrInvitation {
    /// Makes an invitation with a new key and a new secret.
    pub fn generate(
        hint: Hint,
        channels: DataChannels,
        unix: u64,
        mut rng: &mut dyn CryptoRngCore,
    ) -> Self {
        let key = p256::SecretKey::random(&mut rng);
        let secret = QrSecret::generate(rng);
        Self {
            key,
            secret,
            hint,
            channels,
            unix,
        }
    }

    /// Returns the text of the QR code, `FIDO:/` and digits. Whoever reads it can answer once.
    pub fn url(&self) -> String {
        let point = self.key.public_key().to_encoded_point(true);
        let map = Map::new()
            .with(0, point.as_bytes())
            .with(1, self.secret.expose())
            .with(2, ASSIGNED_DOMAINS)
            .with(3, self.unix)
            .with(4, false)
            .with(5, self.hint.as_str())
            .with_some(6, self.listed_channels());
        let map = SecretMap::from(map);
        format!("{SCHEME}{}", encode_digits(&map.encode()))
    }

    /// Some phones refuse a code that lists channels: without Bluetooth there is nothing to say.
    fn listed_channels(&self) -> Option<Value> {
        let listed = self.channels.numbers().iter().copied().map(Value::from);
        (self.channels != DataChannels::WebSocket).then(|| Value::Array(listed.collect()))
    }
}

impl fmt::Debug for QrInvitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QrInvitation")
    }
}

/// A QR code as its reader has it.
pub struct ScannedInvitation {
    pub(super) key: p256::PublicKey,
    pub(super) secret: QrSecret,
    assigned_domains: u64,
    unix: Option<u64>,
    linking: bool,
    hint: Hint,
    channels: DataChannels,
}

impl ScannedInvitation {
    /// Reads the text of a QR code. Members that nobody knows are ignored.
    ///
    /// # Errors
    ///
    /// [`QrError`].
    pub fn parse(text: &str) -> Result<Self, QrError> {
        let text = text.trim();
        let (scheme, digits) = text.split_at_checked(SCHEME.len()).ok_or(QrError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(QrError::Scheme);
        }
        Self::parse_cbor(&decode_digits(digits)?)
    }

    /// Reads the CBOR map of a QR code.
    ///
    /// # Errors
    ///
    /// [`QrError`].
    pub fn parse_cbor(bytes: &[u8]) -> Result<Self, QrError> {
        let map = SecretMap::decode(bytes)?.ok_or(QrError::NotMap)?;
        let key = map
            .int(0)
            .and_then(Value::as_bytes)
            .and_then(parse_key)
            .ok_or(QrError::Key)?;
        let secret = map
            .int(1)
            .and_then(Value::as_bytes)
            .and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            key,
            secret: secret.map(QrSecret::from_bytes).ok_or(QrError::Secret)?,
            assigned_domains: optional(&map, 2, Value::as_u64)?.unwrap_or(0),
            unix: map.int(3).and_then(Value::as_u64),
            linking: optional(&map, 4, Value::as_bool)?.unwrap_or(false),
            hint: optional(&map, 5, Value::as_text)?.map_or(Hint::GetAssertion, Hint::parse),
            channels: channels(map.int(6)),
        })
    }

    /// Returns the client's public key.
    pub fn key(&self) -> &p256::PublicKey {
        &self.key
    }

    /// Returns the secret that only who saw the code knows.
    pub fn secret(&self) -> &QrSecret {
        &self.secret
    }

    /// Returns how many assigned tunnel domains the client knows.
    pub fn assigned_domains(&self) -> u64 {
        self.assigned_domains
    }

    /// Returns the client's clock when it made the code, seconds since 1970. Nobody enforces it.
    pub fn unix(&self) -> Option<u64> {
        self.unix
    }

    /// Returns whether the client can keep linking data.
    pub fn supports_linking(&self) -> bool {
        self.linking
    }

    /// Returns what the ceremony is for.
    pub fn hint(&self) -> Hint {
        self.hint
    }

    /// Returns the data channels that the client offers.
    pub fn channels(&self) -> DataChannels {
        self.channels
    }
}

impl fmt::Debug for ScannedInvitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScannedInvitation")
    }
}

fn parse_key(bytes: &[u8]) -> Option<p256::PublicKey> {
    // Other libraries take more forms of a point; the standard has just this one.
    if bytes.len() != 33 || !matches!(bytes.first(), Some(2 | 3)) {
        return None;
    }
    let point = p256::EncodedPoint::from_bytes(bytes).ok()?;
    p256::PublicKey::from_encoded_point(&point).into()
}

fn optional<'a, T>(
    map: &'a Map,
    key: u8,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<Option<T>, QrError> {
    map.int(key.into())
        .map(|value| read(value).ok_or(QrError::WrongType(key)))
        .transpose()
}

/// Reads member 6, whose older meaning was a truth value: anything but a list is as if absent.
fn channels(value: Option<&Value>) -> DataChannels {
    let listed = value.and_then(Value::as_array).unwrap_or_default();
    DataChannels::from_numbers(listed.iter().filter_map(Value::as_u64)).unwrap_or_default()
}

/// The decimal digits that stand for 1 to 7 bytes.
const WIDTHS: [usize; 7] = [3, 5, 8, 10, 13, 15, 17];

/// Writes bytes as decimal digits: seven bytes, little-endian, in 17 digits, and so on.
pub fn encode_digits(bytes: &[u8]) -> String {
    bytes.chunks(7).fold(String::new(), |mut digits, chunk| {
        let mut padded = [0; 8];
        for (byte, part) in padded.iter_mut().zip(chunk) {
            *byte = *part;
        }
        let width = WIDTHS.get(chunk.len() - 1).copied().unwrap_or(17);
        digits.push_str(&format!("{:0width$}", u64::from_le_bytes(padded)));
        digits
    })
}

/// Reads what [`encode_digits`] wrote.
///
/// # Errors
///
/// [`QrError::Digits`].
pub fn decode_digits(digits: &str) -> Result<Vec<u8>, QrError> {
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(QrError::Digits);
    }
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for group in digits.as_bytes().chunks(17) {
        let length = WIDTHS.iter().position(|&width| width == group.len());
        let length = length.ok_or(QrError::Digits)? + 1;
        let value = group
            .iter()
            .fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
        let value = value.to_le_bytes();
        let (kept, beyond) = value.split_at_checked(length).ok_or(QrError::Digits)?;
        if beyond.iter().any(|&byte| byte != 0) {
            return Err(QrError::Digits);
        }
        bytes.extend_from_slice(kept);
    }
    Ok(bytes)
}
