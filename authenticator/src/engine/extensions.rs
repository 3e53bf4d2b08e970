//! The extensions of a request, and their answers. Only what `getInfo` lists is answered.

use handfast_proto::cbor::Map;
use handfast_proto::ctap2::{Status, get_assertion};
use handfast_proto::extension::cred_protect::{self, Protection};
use handfast_proto::extension::{Answered, cmtg_key, cred_blob, hmac_secret, large_blob, prf};

use super::keys::WantedKeys;
use super::{Session, Sharing, Turn};
use crate::compat::CompatExtensions;
use crate::vault::Passkey;

/// The extensions that are answered here whatever the owner of the device wants.
pub(super) const NAMES: [&str; 7] = [
    cmtg_key::NAME,
    cred_blob::NAME,
    cred_protect::NAME,
    hmac_secret::NAME,
    hmac_secret::NAME_AT_CREATION,
    large_blob::NAME,
    prf::NAME,
];

/// What a request for a new passkey asks for.
pub(super) struct AtCreation {
    pub(super) keys: WantedKeys,
    cred_blob: Option<cred_blob::Offered>,
    hmac_secret: bool,
    large_blob: bool,
    prf: Option<prf::Request>,
    protection: Option<Protection>,
    salts: Option<hmac_secret::Salts>,
}

impl AtCreation {
    pub(super) fn parse(
        extensions: &Map,
        session: &Session,
        compat: &CompatExtensions,
    ) -> Result<Self, Status> {
        let key = session.key_agreement.as_ref();
        Ok(Self {
            keys: WantedKeys::parse(extensions, compat),
            cred_blob: cred_blob::Offered::parse(extensions),
            hmac_secret: hmac_secret::requested(extensions),
            large_blob: large_blob::asks_for_support(extensions),
            prf: prf::Request::parse(extensions),
            protection: cred_protect::requested(extensions),
            salts: hmac_secret::Salts::at_creation(extensions, key)?,
        })
    }

    pub(super) fn shares(&self) -> Vec<Sharing> {
        let prf = self.prf.as_ref().is_some_and(prf::Request::evaluates);
        listed([
            (self.keys.share_group_key(), Sharing::GroupKey),
            (self.keys.share_device_key(), Sharing::DeviceKey),
            (prf || self.salts.is_some(), Sharing::Secret),
        ])
    }

    /// Gives a new passkey what it keeps.
    pub(super) fn give(&self, passkey: &mut Passkey, turn: &mut Turn<'_>) {
        passkey.prf = Some(prf::Seeds::generate(turn.rng));
        passkey.protection = self.protection.unwrap_or_default();
        passkey.cred_blob = self
            .cred_blob
            .as_ref()
            .and_then(cred_blob::Offered::kept)
            .cloned();
    }

    /// Answers for a passkey that has what it keeps.
    pub(super) fn answer(
        &self,
        answered: &mut Answered<'_>,
        passkey: &Passkey,
        verified: bool,
        turn: &mut Turn<'_>,
    ) {
        if let Some(offered) = &self.cred_blob {
            answered.push(cred_blob::prepare_new(offered));
        }
        if let Some(protection) = self.protection {
            answered.push(cred_protect::prepare(protection));
        }
        if self.large_blob {
            answered.push(large_blob::prepare_new());
        }
        if self.hmac_secret {
            answered.push(hmac_secret::prepare_new());
        }
        let Some(seeds) = &passkey.prf else {
            return;
        };
        if let Some(salts) = &self.salts {
            answered.push(salts.prepare_new(seeds, verified, turn.rng));
        }
        if let Some(request) = &self.prf {
            answered.push(prf::prepare_new(request, seeds, verified));
        }
    }
}

/// What a request to sign in asks for.
pub(super) struct AtSignIn {
    pub(super) keys: WantedKeys,
    cred_blob: bool,
    pub(super) large_blob: Option<large_blob::Request>,
    prf: Option<prf::Request>,
    salts: Option<hmac_secret::Salts>,
}

impl AtSignIn {
    pub(super) fn parse(
        request: &get_assertion::Request,
        session: &Session,
        compat: &CompatExtensions,
    ) -> Result<Self, Status> {
        let extensions = &request.extensions;
        let key = session.key_agreement.as_ref();
        Ok(Self {
            keys: WantedKeys::parse(extensions, compat),
            cred_blob: cred_blob::requested(extensions),
            large_blob: large_blob::Request::parse(extensions),
            prf: prf::Request::parse(extensions).map(|prf| match request.has_allow_list {
                true => prf,
                // Salts for passkeys that the site did not name are for none.
                false => prf.for_any(),
            }),
            salts: hmac_secret::Salts::parse(extensions, key)?,
        })
    }

    pub(super) fn shares(&self) -> Vec<Sharing> {
        let prf = self.prf.as_ref().is_some_and(prf::Request::evaluates);
        let (reads, writes) = match &self.large_blob {
            None => (false, false),
            Some(large_blob::Request::Read) => (true, false),
            Some(_) => (false, true),
        };
        listed([
            (self.keys.share_group_key(), Sharing::GroupKey),
            (self.keys.share_device_key(), Sharing::DeviceKey),
            (prf || self.salts.is_some(), Sharing::Secret),
            (reads || self.cred_blob, Sharing::StoredRead),
            (writes, Sharing::StoredReplaced),
        ])
    }

    /// Answers for a passkey. Whether what was to be stored is, is known already.
    pub(super) fn answer(
        &self,
        answered: &mut Answered<'_>,
        passkey: &Passkey,
        verified: bool,
        written: bool,
        turn: &mut Turn<'_>,
    ) {
        if self.cred_blob {
            answered.push(cred_blob::prepare(passkey.cred_blob.as_ref()));
        }
        match &self.large_blob {
            None => {}
            Some(large_blob::Request::Read) => {
                let stored = passkey.large_blob.as_ref().map(|(blob, _)| blob);
                answered.push_some(large_blob::prepare_read(stored));
            }
            Some(_) => answered.push(large_blob::prepare_written(written)),
        }
        let Some(seeds) = &passkey.prf else {
            return;
        };
        if let Some(salts) = &self.salts {
            answered.push(salts.prepare(seeds, verified, turn.rng));
        }
        // Its secrets are only for who verified himself.
        if let Some(request) = self.prf.as_ref().filter(|_| verified) {
            answered.push_some(prf::prepare(request, &passkey.credential_id, seeds));
        }
    }
}

fn listed<const N: usize>(all: [(bool, Sharing); N]) -> Vec<Sharing> {
    let wanted = all.into_iter().filter(|(wanted, _)| *wanted);
    wanted.map(|(_, sharing)| sharing).collect()
}
