use rand_core::CryptoRngCore;

use super::hpke_seal::{open, seal};
use super::message::{
    Checked, Envelope, JOIN_LAYOUT, Step, Transcript, grant_bytes, parse_plaintext, plaintext,
    vault_hash,
};
use super::{Code, JoinConfig, JoinError, OfferedGroup, Peer};
use crate::trust::identity::{DeviceId, DeviceKeys, GroupSecret};
use crate::trust::key::GroupKey;

/// The granter before a JOIN.
#[derive(Debug)]
pub struct Granter<'a> {
    /// The granter itself.
    pub config: JoinConfig<'a>,
    /// Its group.
    pub group: OfferedGroup,
    /// The handshake hash of this session.
    pub session: [u8; 32],
    /// Devices that were put out of the group.
    pub removed: &'a [DeviceId],
}

impl Granter<'_> {
    /// Reads a JOIN and makes the OFFER: status byte and CBOR.
    ///
    /// # Errors
    ///
    /// [`JoinError`]; whichever it is, the joiner is told the same.
    pub fn handle_join(
        &self,
        request: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(PendingGrant, Vec<u8>), JoinError> {
        let envelope = Envelope::parse(request, Step::Join, &[2, 3, 4])?;
        let join = Checked::read(&envelope, &JOIN_LAYOUT, &self.config, &self.session)?;
        if join.array::<32>(7)? != vault_hash(&self.config.vault) {
            return Err(JoinError::OtherVault);
        }
        if self.removed.contains(&join.peer.device) {
            return Err(JoinError::Removed);
        }
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let grant = grant_bytes(&self.config, &self.session, &join.bytes, self.group, nonce);
        let reply = Envelope::new(Step::Join)
            .with(2, grant.as_slice())
            .with(3, self.config.keys.dsk().sign(&grant))
            .with(4, self.config.member.tag(&grant))
            .reply();
        let transcript = Transcript {
            join: join.bytes,
            grant,
        };
        Ok((
            PendingGrant {
                transcript,
                joiner: join.peer,
                group: self.group,
            },
            reply,
        ))
    }
}

/// The granter after its OFFER.
pub struct PendingGrant {
    transcript: Transcript,
    joiner: Peer,
    group: OfferedGroup,
}

impl PendingGrant {
    /// Returns the six digits to compare.
    pub fn code(&self) -> Code {
        self.transcript.code()
    }

    /// Returns who wants in.
    pub fn joiner(&self) -> &Peer {
        &self.joiner
    }

    /// Reads a CONFIRM: the joiner's person has compared the digits, now ask this one.
    ///
    /// # Errors
    ///
    /// [`JoinError`].
    pub fn handle_confirm(self, request: &[u8]) -> Result<ConfirmedGrant, JoinError> {
        Envelope::parse(request, Step::Confirm, &[])?;
        Ok(ConfirmedGrant(self))
    }
}

/// The granter after CONFIRM, while its person decides.
pub struct ConfirmedGrant(PendingGrant);

impl ConfirmedGrant {
    /// Returns the six digits to compare.
    pub fn code(&self) -> Code {
        self.0.code()
    }

    /// Returns who wants in.
    pub fn joiner(&self) -> &Peer {
        self.0.joiner()
    }

    /// Makes the SEALED reply, once the person has verified himself and agreed.
    ///
    /// # Errors
    ///
    /// [`JoinError`].
    pub fn seal(
        self,
        secret: &GroupSecret,
        keys: &[&GroupKey],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(AwaitingMerge, Vec<u8>), JoinError> {
        let pending = self.0;
        let plaintext = plaintext(pending.group, Some(secret), keys)?;
        let (info, aad) = (
            pending.transcript.transfer_info(),
            &pending.transcript.grant,
        );
        let sealed = seal(&pending.joiner.mk, &info, aad, &plaintext, rng)?;
        let reply = Envelope::new(Step::Confirm)
            .with(2, sealed.ciphertext)
            .with(4, sealed.enc);
        Ok((AwaitingMerge(pending), reply.reply()))
    }
}

/// The granter after its SEALED.
pub struct AwaitingMerge(PendingGrant);

impl AwaitingMerge {
    /// Returns who is coming in.
    pub fn joiner(&self) -> &Peer {
        self.0.joiner()
    }

    /// Reads the MERGE: the joiner's keys, and the acknowledgement to send once they are stored.
    ///
    /// # Errors
    ///
    /// [`JoinError`].
    pub fn handle_merge(
        self,
        request: &[u8],
        keys: &DeviceKeys,
    ) -> Result<(Vec<GroupKey>, Vec<u8>), JoinError> {
        let pending = self.0;
        let envelope = Envelope::parse(request, Step::Merge, &[2, 4])?;
        let info = pending.transcript.merge_info();
        let (ciphertext, enc) = (envelope.bytes(2)?, envelope.bytes(4)?);
        let plaintext = open(keys, enc, &info, &pending.transcript.join, ciphertext)?;
        let (_, merged) = parse_plaintext(&plaintext, pending.group, false)?;
        Ok((merged, Envelope::new(Step::Merge).reply()))
    }
}
