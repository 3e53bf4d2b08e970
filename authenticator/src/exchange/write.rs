//! Writing a document.

use std::io;

use base64::display::Base64Display;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::trust::VaultId;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::vault::Passkey;

/// Who made the document: where this project would be a relying party, and its name.
const EXPORTER: (&str, &str) = ("handfast.github.io", "Handfast");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    version: Version,
    exporter_rp_id: &'a str,
    exporter_display_name: &'a str,
    timestamp: u64,
    accounts: [Account<'a>; 1],
}

#[derive(Serialize)]
struct Version {
    major: u64,
    minor: u64,
}

#[derive(Serialize)]
struct Account<'a> {
    id: Bytes<'a>,
    username: &'a str,
    email: &'a str,
    collections: [(); 0],
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    id: ItemId,
    creation_at: u64,
    modified_at: u64,
    title: &'a str,
    credentials: [Credential<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credential<'a> {
    r#type: &'a str,
    credential_id: Bytes<'a>,
    rp_id: &'a str,
    username: &'a str,
    user_display_name: &'a str,
    user_handle: Bytes<'a>,
    key: Bytes<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fido2_extensions: Option<Extensions<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extensions<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hmac_credentials: Option<HmacCredentials<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cred_blob: Option<Bytes<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    large_blob: Option<LargeBlob<'a>>,
}

impl<'a> Extensions<'a> {
    /// Nothing if there are none: an empty object would say nothing.
    fn of(passkey: &'a Passkey) -> Option<Self> {
        let hmac_credentials = passkey.prf.as_ref().map(|seeds| {
            let (with_uv, without_uv) = seeds.as_bytes().split_at(32);
            HmacCredentials {
                algorithm: "hmac-sha256",
                with_uv: Bytes(with_uv),
                without_uv: Bytes(without_uv),
            }
        });
        let cred_blob = passkey.cred_blob.as_ref().map(|it| Bytes(it.as_bytes()));
        let large_blob = passkey.large_blob.as_ref().map(|(blob, _)| LargeBlob {
            uncompressed_size: blob.original_size(),
            data: Bytes(blob.deflated()),
        });
        (hmac_credentials.is_some() || cred_blob.is_some() || large_blob.is_some()).then_some(
            Self {
                hmac_credentials,
                cred_blob,
                large_blob,
            },
        )
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LargeBlob<'a> {
    uncompressed_size: u64,
    data: Bytes<'a>,
}

#[derive(Serialize)]
struct HmacCredentials<'a> {
    algorithm: &'a str,
    #[serde(rename = "credWithUV")]
    with_uv: Bytes<'a>,
    #[serde(rename = "credWithoutUV")]
    without_uv: Bytes<'a>,
}

/// Bytes in base64url, written without a copy between.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &URL_SAFE_NO_PAD))
    }
}

/// The name of an item: the same each time a passkey is exported.
struct ItemId([u8; 32]);

impl ItemId {
    fn of(passkey: &Passkey) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"handfast-cxf-item/v1");
        hash.update(passkey.credential_id.as_bytes());
        Self(hash.finalize().into())
    }
}

impl Serialize for ItemId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Bytes(self.0.split_at(16).0).serialize(serializer)
    }
}

impl<'a> Item<'a> {
    fn of(passkey: &'a Passkey) -> Self {
        Self {
            id: ItemId::of(passkey),
            creation_at: passkey.created_at,
            modified_at: passkey.changed_at,
            title: passkey.rp_id.as_str(),
            credentials: [Credential {
                r#type: "passkey",
                credential_id: Bytes(passkey.credential_id.as_bytes()),
                rp_id: passkey.rp_id.as_str(),
                username: passkey.user_name.as_deref().unwrap_or_default(),
                user_display_name: passkey.display_name.as_deref().unwrap_or_default(),
                user_handle: Bytes(passkey.user_handle.as_bytes()),
                key: Bytes(passkey.pkcs8()),
                fido2_extensions: Extensions::of(passkey),
            }],
        }
    }
}

/// Writes a document of these passkeys, by site and age, as of `now` in seconds since 1970. The vault
/// stands in it as an account without a name.
///
/// # Errors
///
/// An error if there is not enough memory.
///
/// # Security
///
/// Whoever has the document has the passkeys: it is to be [sealed](super::sealed).
pub fn write(vault: VaultId, passkeys: &[&Passkey], now: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut passkeys = passkeys.to_vec();
    passkeys.sort_by(|a, b| {
        (&a.rp_id, a.created_at, &a.credential_id).cmp(&(&b.rp_id, b.created_at, &b.credential_id))
    });
    let document = Header {
        version: Version { major: 1, minor: 0 },
        exporter_rp_id: EXPORTER.0,
        exporter_display_name: EXPORTER.1,
        timestamp: now,
        accounts: [Account {
            id: Bytes(&vault.0),
            username: "",
            email: "",
            collections: [],
            items: passkeys.into_iter().map(Item::of).collect(),
        }],
    };
    // A vector that grows leaves private keys behind where it was, so it begins as large as it ends.
    let mut length = Length(0);
    serde_json::to_writer(&mut length, &document)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length.0)?;
    let mut bytes = Zeroizing::new(bytes);
    serde_json::to_writer(&mut *bytes, &document)?;
    Ok(bytes)
}

/// Counts what is written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
