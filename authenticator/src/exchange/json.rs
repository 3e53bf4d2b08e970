//! The JSON of a document, as it is read: every part is only looked at when its turn comes, so that
//! one that is malformed spoils no other, and private keys are not copied about.
//!
//! The types of crate `credential-exchange-format` are not used for it: one bad member fails the whole
//! document, a malformed passkey counts as a credential of an unknown kind and vanishes silently, and
//! keys are kept in plain vectors that print themselves. It reads what is written here, in a test.

use core::fmt;
use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::{Zeroize, Zeroizing};

/// A list holds no more than this.
pub(super) const LONGEST_LIST: usize = 100_000;

/// Base64url; padding, which CXF has not, is forgiven.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A part that was not looked at yet.
pub(super) type Part<'a> = Option<&'a RawValue>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header<'a> {
    #[serde(borrow)]
    pub(super) version: &'a RawValue,
    #[serde(borrow)]
    pub(super) exporter_display_name: Part<'a>,
    #[serde(borrow)]
    pub(super) accounts: List<'a>,
}

#[derive(Deserialize)]
pub(super) struct Version {
    pub(super) major: u64,
}

#[derive(Deserialize)]
pub(super) struct Account<'a> {
    #[serde(borrow)]
    pub(super) items: List<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    pub(super) creation_at: Part<'a>,
    #[serde(borrow)]
    pub(super) modified_at: Part<'a>,
    #[serde(borrow)]
    pub(super) credentials: List<'a>,
}

#[derive(Deserialize)]
pub(super) struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Part<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Passkey<'a> {
    #[serde(borrow)]
    pub(super) credential_id: Part<'a>,
    #[serde(borrow)]
    pub(super) rp_id: Part<'a>,
    #[serde(borrow)]
    pub(super) username: Part<'a>,
    /// As older drafts and some programs have it.
    #[serde(rename = "userName", borrow)]
    pub(super) draft_user_name: Part<'a>,
    #[serde(borrow)]
    pub(super) user_display_name: Part<'a>,
    #[serde(borrow)]
    pub(super) user_handle: Part<'a>,
    #[serde(borrow)]
    pub(super) key: Part<'a>,
    #[serde(borrow)]
    pub(super) fido2_extensions: Part<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Extensions<'a> {
    #[serde(borrow)]
    pub(super) hmac_credentials: Part<'a>,
    /// As older drafts have it; one secret is not the two that are needed.
    #[serde(borrow)]
    pub(super) hmac_secret: Part<'a>,
    #[serde(borrow)]
    pub(super) cred_blob: Part<'a>,
    #[serde(borrow)]
    pub(super) large_blob: Part<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LargeBlob<'a> {
    #[serde(borrow)]
    pub(super) uncompressed_size: Part<'a>,
    #[serde(borrow)]
    pub(super) data: Part<'a>,
}

#[derive(Deserialize)]
pub(super) struct HmacCredentials<'a> {
    #[serde(borrow)]
    pub(super) algorithm: Part<'a>,
    #[serde(rename = "credWithUV", borrow)]
    pub(super) with_uv: Part<'a>,
    #[serde(rename = "credWithoutUV", borrow)]
    pub(super) without_uv: Part<'a>,
}

/// A list of parts. Of one that is too long the end is passed over, and that is noted.
pub(super) struct List<'a> {
    pub(super) parts: Vec<&'a RawValue>,
    pub(super) too_long: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;

        impl<'de> Visitor<'de> for Parts {
            type Value = List<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<'de>, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = list.next_element::<&RawValue>()? {
                    if parts.len() == LONGEST_LIST {
                        while list.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                        return Ok(List {
                            parts,
                            too_long: true,
                        });
                    }
                    parts.push(part);
                }
                Ok(List {
                    parts,
                    too_long: false,
                })
            }
        }

        deserializer.deserialize_seq(Parts)
    }
}

/// Reads a part as this; nothing if it is something else.
pub(super) fn read<'a, T: Deserialize<'a>>(part: &'a RawValue) -> Option<T> {
    serde_json::from_str(part.get()).ok()
}

/// Reads a part that is an object as this: a list of its members would do for serde.
pub(super) fn object<'a, T: Deserialize<'a>>(part: &'a RawValue) -> Option<T> {
    part.get().starts_with('{').then(|| read(part)).flatten()
}

/// Reads a text, and copies it only if it must.
pub(super) fn text(part: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    read(part).map(|Text(text)| text)
}

/// Reads bytes in base64url.
pub(super) fn bytes(part: &RawValue) -> Option<Zeroizing<Vec<u8>>> {
    let mut text = text(part)?;
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let count = BASE64.decode_slice(text.as_bytes(), &mut bytes);
    if let Cow::Owned(text) = &mut text {
        text.zeroize();
    }
    bytes.truncate(count.ok()?);
    Some(bytes)
}

/// Whether lists and objects of a text lie deeper in each other than this. What is no JSON may be
/// counted wrongly.
pub(super) fn is_deeper(json: &str, deepest: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > deepest {
            return true;
        }
    }
    false
}
