//! Extension inputs as sites and clients send them.

use handfast_proto::cbor::{Map, Value};
use handfast_proto::extension::{
    cmtg_key, cred_blob, cred_protect, device_pub_key, hmac_secret, large_blob, prf,
    relationship_public_key, supplemental_pub_keys,
};
use libfuzzer_sys::arbitrary::{self, Arbitrary};

use crate::client::Client;
use crate::request::Credential;
use crate::value::{Bytes, Few, Rare, Small, Text};

/// An extension's name.
#[derive(Arbitrary, Debug)]
pub(crate) enum Name {
    CmtgKey,
    CredBlob,
    CredProtect,
    DevicePubKey,
    HmacSecret,
    HmacSecretAtCreation,
    LargeBlob,
    MinPinLength,
    Prf,
    RelationshipPublicKey,
    SupplementalPubKeys,
    Unknown(Text),
}

impl Name {
    fn to_text(&self) -> String {
        match self {
            Self::CmtgKey => cmtg_key::NAME.to_owned(),
            Self::CredBlob => cred_blob::NAME.to_owned(),
            Self::CredProtect => cred_protect::NAME.to_owned(),
            Self::DevicePubKey => device_pub_key::NAME.to_owned(),
            Self::HmacSecret => hmac_secret::NAME.to_owned(),
            Self::HmacSecretAtCreation => hmac_secret::NAME_AT_CREATION.to_owned(),
            Self::LargeBlob => large_blob::NAME.to_owned(),
            Self::MinPinLength => "minPinLength".to_owned(),
            Self::Prf => prf::NAME.to_owned(),
            Self::RelationshipPublicKey => relationship_public_key::NAME.to_owned(),
            Self::SupplementalPubKeys => supplemental_pub_keys::NAME.to_owned(),
            Self::Unknown(name) => name.to_text(),
        }
    }
}

/// Which request an input is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum For {
    Creation,
    SignIn,
}

/// One extension's input.
#[derive(Arbitrary, Debug)]
pub(crate) enum Extension {
    CmtgKey,
    CmtgKeyByFormerName,
    CredBlobLeft(Bytes),
    CredBlobWanted,
    CredProtect { level: u8 },
    DevicePubKey(Preference),
    HmacSecret(Salts),
    HmacSecretAtCreation(Salts),
    LargeBlobRead,
    LargeBlobSupport,
    LargeBlobWrite { bytes: Bytes, original: u16 },
    MinPinLength,
    Odd(Name, Small),
    Prf(Prf),
    RelationshipPublicKey,
    SupplementalPubKeys(Few<Scope>, Preference),
}

impl Extension {
    /// Adds the input to those of a request.
    pub(crate) fn add(&self, inputs: Map, of: For, client: &mut Client) -> Map {
        match self {
            Self::CmtgKey => inputs.with(cmtg_key::NAME, true),
            Self::CmtgKeyByFormerName => inputs.with(cmtg_key::FORMER_INPUT, true),
            Self::CredBlobLeft(bytes) => inputs.with(cred_blob::NAME, bytes.to_vec()),
            Self::CredBlobWanted => inputs.with(cred_blob::NAME, true),
            Self::CredProtect { level } => inputs.with(cred_protect::NAME, level % 5),
            Self::DevicePubKey(preference) => {
                inputs.with(device_pub_key::NAME, preference.to_map(Map::new()))
            }
            Self::HmacSecret(_) if of == For::Creation => inputs.with(hmac_secret::NAME, true),
            Self::HmacSecretAtCreation(salts) if of == For::Creation => inputs
                .with(hmac_secret::NAME, true)
                .with_some(hmac_secret::NAME_AT_CREATION, client.covered(salts)),
            Self::HmacSecret(salts) | Self::HmacSecretAtCreation(salts) => {
                inputs.with_some(hmac_secret::NAME, client.covered(salts))
            }
            Self::LargeBlobRead => inputs.with(large_blob::NAME, Map::new().with("read", true)),
            Self::LargeBlobSupport => {
                inputs.with(large_blob::NAME, Map::new().with("support", "preferred"))
            }
            Self::LargeBlobWrite { bytes, original } => {
                let write = Map::new().with("write", bytes.to_vec());
                inputs.with(large_blob::NAME, write.with("originalSize", *original))
            }
            Self::MinPinLength => inputs.with("minPinLength", true),
            Self::Odd(name, value) => inputs.with(name.to_text(), value.to_value()),
            Self::Prf(prf) => inputs.with(prf::NAME, prf.to_map(client)),
            Self::RelationshipPublicKey => inputs.with(relationship_public_key::NAME, true),
            Self::SupplementalPubKeys(scopes, preference) => {
                let scopes: Vec<Value> = scopes.0.iter().map(Scope::to_value).collect();
                let input = preference.to_map(Map::new().with("scopes", scopes));
                inputs.with(supplemental_pub_keys::NAME, input)
            }
        }
    }
}

/// Salts, one byte for all of each.
#[derive(Arbitrary, Debug)]
pub(crate) struct Salts {
    first: u8,
    second: Option<u8>,
    /// Blocks that are too many, where salts come in blocks.
    more: Rare<u8>,
}

impl Salts {
    fn to_map(&self) -> Map {
        Map::new()
            .with("first", [self.first; 32])
            .with_some("second", self.second.map(|byte| [byte; 32]))
    }

    pub(crate) fn to_blocks(&self) -> Vec<[u8; 16]> {
        let mut blocks = vec![[self.first; 16]; 2];
        blocks.extend(self.second.iter().flat_map(|byte| [[*byte; 16]; 2]));
        let more = self.more.0.unwrap_or_default();
        blocks.extend((0..more % 4).map(|_| [0; 16]));
        blocks
    }
}

/// The input of `prf`.
#[derive(Arbitrary, Debug)]
pub(crate) struct Prf {
    eval: Option<Salts>,
    by_credential: Few<(Credential, Salts)>,
}

impl Prf {
    fn to_map(&self, client: &Client) -> Map {
        let own = self.by_credential.0.iter();
        let own = own.fold(Map::new(), |map, (credential, salts)| {
            map.with(client.id(credential), salts.to_map())
        });
        Map::new()
            .with_some("eval", self.eval.as_ref().map(Salts::to_map))
            .with_some("evalByCredential", (!own.is_empty()).then_some(own))
    }
}

/// Where a supplemental key stays.
#[derive(Arbitrary, Debug)]
pub(crate) enum Scope {
    Device,
    Provider,
    Unknown(Text),
}

impl Scope {
    fn to_value(&self) -> Value {
        match self {
            Self::Device => "device".into(),
            Self::Provider => "provider".into(),
            Self::Unknown(name) => name.to_text().into(),
        }
    }
}

/// What a site would like of a key's attestation.
#[derive(Arbitrary, Debug)]
pub(crate) struct Preference {
    conveyance: Option<Conveyance>,
    formats: Option<Few<Format>>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Conveyance {
    Direct,
    Enterprise,
    Indirect,
    None,
    Unknown,
}

impl Preference {
    fn to_map(&self, input: Map) -> Map {
        let conveyance = self.conveyance.map(|conveyance| match conveyance {
            Conveyance::Direct => "direct",
            Conveyance::Enterprise => "enterprise",
            Conveyance::Indirect => "indirect",
            Conveyance::None => "none",
            Conveyance::Unknown => "brand-new",
        });
        let formats = self.formats.as_ref().map(Format::list);
        input
            .with_some("attestation", conveyance)
            .with_some("attestationFormats", formats)
    }
}

/// A format of attestation.
#[derive(Arbitrary, Debug)]
pub(crate) enum Format {
    None,
    Packed,
    Unknown(Text),
}

impl Format {
    /// Writes a list of them.
    pub(crate) fn list(formats: &Few<Self>) -> Vec<Value> {
        let formats = formats.0.iter().map(|format| match format {
            Self::None => "none".into(),
            Self::Packed => "packed".into(),
            Self::Unknown(name) => name.to_text().into(),
        });
        formats.collect()
    }
}
