//! Extensions that WebAuthn has no more. A device answers them only if its owner wants that.

use std::collections::BTreeSet;

use handfast_proto::extension::{device_pub_key, relationship_public_key, supplemental_pub_keys};
use thiserror::Error;

/// A name that is none of these extensions'.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{0} is none of devicePubKey, supplementalPubKeys, relationshipPublicKey")]
pub struct UnknownExtension(pub String);

/// One of these extensions.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum CompatExtension {
    /// A key that never leaves the device.
    DevicePubKey,
    /// The older names of `cmtgKey`: as an extension of its own, and one as an input.
    RelationshipPublicKey,
    /// Keys of the device, and of the trust group, each with an attestation.
    SupplementalPubKeys,
}

impl CompatExtension {
    const ALL: [Self; 3] = [
        Self::DevicePubKey,
        Self::RelationshipPublicKey,
        Self::SupplementalPubKeys,
    ];

    /// Reads the extension's identifier.
    ///
    /// # Errors
    ///
    /// [`UnknownExtension`].
    pub fn parse(name: &str) -> Result<Self, UnknownExtension> {
        let mut all = Self::ALL.into_iter();
        all.find(|extension| extension.name() == name.trim())
            .ok_or_else(|| UnknownExtension(name.to_owned()))
    }

    /// Returns the extension's identifier.
    pub fn name(self) -> &'static str {
        match self {
            Self::DevicePubKey => device_pub_key::NAME,
            Self::RelationshipPublicKey => relationship_public_key::NAME,
            Self::SupplementalPubKeys => supplemental_pub_keys::NAME,
        }
    }
}

/// Those that a device answers; none unless its owner says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CompatExtensions(BTreeSet<CompatExtension>);

impl CompatExtensions {
    /// Returns whether an extension is answered.
    pub fn contains(&self, extension: CompatExtension) -> bool {
        self.0.contains(&extension)
    }

    /// Returns the identifiers of those that are answered.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|extension| extension.name())
    }
}

impl FromIterator<CompatExtension> for CompatExtensions {
    fn from_iter<T: IntoIterator<Item = CompatExtension>>(extensions: T) -> Self {
        Self(extensions.into_iter().collect())
    }
}
