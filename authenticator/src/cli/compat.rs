//! The option that switches on extensions that WebAuthn has no more.

use clap::Args;

use crate::compat::CompatExtension;
use crate::engine::Authenticator;

#[derive(Args, Debug)]
pub(super) struct Compat {
    /// Also answer extensions that WebAuthn has no more, with commas between them: devicePubKey,
    /// supplementalPubKeys, relationshipPublicKey. By the first two, sites that ask tell this device
    /// from your others.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = CompatExtension::parse)]
    compat_extensions: Vec<CompatExtension>,
}

impl Compat {
    pub(super) fn set(&self, authenticator: &mut Authenticator) {
        authenticator.device.compat = self.compat_extensions.iter().copied().collect();
    }
}
