//! Extensions, one file each.
//!
//! | extension | create | get | where |
//! |---|---|---|---|
//! | `cmtgKey` | yes | yes | [`cmtg_key`] |
//! | `credBlob` | yes | yes | [`cred_blob`], the authenticator's side |
//! | `credProtect` | yes | | [`cred_protect`], the authenticator's side |
//! | `devicePubKey` | yes | yes | [`device_pub_key`] |
//! | `hmac-secret` | yes | yes | [`hmac_secret`], the authenticator's side, with feature `pin-uv` |
//! | `hmac-secret-mc` | yes | | [`hmac_secret`] |
//! | `largeBlob` | yes | yes | [`large_blob`], the authenticator's side, as phones speak it |
//! | `prf` | yes | yes | [`prf`], the authenticator's side |
//! | `relationshipPublicKey` | yes | yes | [`relationship_public_key`] |
//! | `supplementalPubKeys` | yes | yes | [`supplemental_pub_keys`] |
//!
//! An extension whose signature covers the authenticator data, in which its own key stands, needs
//! two phases: [`Prepared::signed_output`] goes into the authenticator data, and only then can
//! [`Prepared::finish`] sign them.

pub mod attested_key;
pub mod cmtg_key;
pub mod cred_blob;
pub mod cred_protect;
pub mod device_pub_key;
#[cfg(feature = "pin-uv")]
pub mod hmac_secret;
pub mod large_blob;
pub mod prf;
pub mod relationship_public_key;
pub mod supplemental_pub_keys;

use core::fmt;

use crate::cbor::{Map, Value};
use crate::ids::ClientDataHash;

/// An extension after its first phase, ready for the second.
pub trait Prepared {
    /// Returns the extension's identifier.
    fn name(&self) -> &'static str;

    /// Returns what goes into the authenticator data under [`Self::name`], if anything does.
    fn signed_output(&self) -> Option<Value>;

    /// Returns what goes into the unsigned extension outputs under [`Self::name`], if anything does,
    /// made over the complete authenticator data.
    fn finish(self: Box<Self>, auth_data: &[u8], hash: &ClientDataHash) -> Option<Value>;
}

/// An extension whose whole output goes into the authenticator data.
#[derive(Debug)]
pub struct Signed {
    name: &'static str,
    output: Value,
}

impl Signed {
    fn new(name: &'static str, output: impl Into<Value>) -> Self {
        Self {
            name,
            output: output.into(),
        }
    }
}

impl Prepared for Signed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn signed_output(&self) -> Option<Value> {
        Some(self.output.clone())
    }

    fn finish(self: Box<Self>, _: &[u8], _: &ClientDataHash) -> Option<Value> {
        None
    }
}

/// An extension whose whole output stays outside the authenticator data, which go to the site.
pub struct Unsigned {
    name: &'static str,
    output: Map,
}

impl Unsigned {
    fn new(name: &'static str, output: Map) -> Self {
        Self { name, output }
    }
}

/// Prints no content: it may be secret.
impl fmt::Debug for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unsigned({})", self.name)
    }
}

impl Prepared for Unsigned {
    fn name(&self) -> &'static str {
        self.name
    }

    fn signed_output(&self) -> Option<Value> {
        None
    }

    fn finish(self: Box<Self>, _: &[u8], _: &ClientDataHash) -> Option<Value> {
        Some(self.output.into())
    }
}

/// The extensions that are answered in one response.
#[derive(Default)]
pub struct Answered<'a>(Vec<Box<dyn Prepared + 'a>>);

impl<'a> Answered<'a> {
    /// Answers one more.
    pub fn push(&mut self, prepared: impl Prepared + 'a) {
        self.0.push(Box::new(prepared));
    }

    /// Answers one more, if there is one.
    pub fn push_some(&mut self, prepared: Option<impl Prepared + 'a>) {
        self.0
            .extend(prepared.map(|prepared| -> Box<dyn Prepared + 'a> { Box::new(prepared) }));
    }

    /// Returns the extensions of the authenticator data; nothing if there are none.
    pub fn signed_outputs(&self) -> Option<Map> {
        let outputs = self.0.iter().fold(Map::new(), |outputs, one| {
            outputs.with_some(one.name(), one.signed_output())
        });
        (!outputs.is_empty()).then_some(outputs)
    }

    /// Returns the unsigned extension outputs, made over the complete authenticator data.
    pub fn finish(self, auth_data: &[u8], hash: &ClientDataHash) -> Map {
        self.0.into_iter().fold(Map::new(), |outputs, one| {
            outputs.with_some(one.name(), one.finish(auth_data, hash))
        })
    }
}

impl fmt::Debug for Answered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|one| one.name()))
            .finish()
    }
}
