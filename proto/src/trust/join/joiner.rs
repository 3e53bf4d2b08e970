use rand_core::CryptoRngCore;

use super::hpke_seal::{open, seal};
use super::message::{
    Checked, Envelope, GRANT_LAYOUT, Step, Transcript, group_of, join_bytes, parse_plaintext,
    plaintext,
};
use super::{Code, JoinConfig, JoinError, OfferedGroup, Peer};
use crate::trust::identity::{DeviceKeys, GroupSecret};
use crate::trust::key::GroupKey;

/// The joiner after its JOIN.
pub struct Joiner {
    session: [u8; 32],
    join: Vec<u8>,
}

impl Joiner {
    /// Makes the JOIN request for the session of this handshake hash.
    pub fn start(
        config: &JoinConfig<'_>,
        session: [u8; 32],
        rng: &mut dyn CryptoRngCore,
    ) -> (Self, Vec<u8>) {
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let join = join_bytes(config, &session, nonce);
        let request = Envelope::new(Step::Join)
            .with(2, join.as_slice())
            .with(3, config.keys.dsk().sign(&join))
            .with(4, config.member.tag(&join))
            .request();
        (Self { session, join }, request)
    }

    /// Reads the OFFER.
    ///
    /// # Errors
    ///
    /// [`JoinError`].
    pub fn handle_offer(self, reply: &[u8], config: &JoinConfig<'_>) -> Result<Offered, JoinError> {
        let envelope = Envelope::parse_reply(reply, Step::Join, &[2, 3, 4])?;
        let grant = Checked::read(&envelope, &GRANT_LAYOUT, config, &self.session)?;
        let transcript = Transcript {
            join: self.join,
            grant: grant.bytes.clone(),
        };
        let join_hash: [u8; 32] = {
            use sha2::Digest;
            sha2::Sha256::digest(&transcript.join).into()
        };
        if grant.array::<32>(3)? != join_hash {
            return Err(JoinError::OtherJoin);
        }
        Ok(Offered {
            group: group_of(&grant)?,
            granter: grant.peer,
            transcript,
        })
    }
}

/// The joiner with an offer that its person has to confirm.
pub struct Offered {
    transcript: Transcript,
    granter: Peer,
    group: OfferedGroup,
}

impl Offered {
    /// Returns the six digits to compare.
    pub fn code(&self) -> Code {
        self.transcript.code()
    }

    /// Returns who offers.
    pub fn granter(&self) -> &Peer {
        &self.granter
    }

    /// Returns what is offered.
    pub fn group(&self) -> OfferedGroup {
        self.group
    }

    /// Makes the CONFIRM request, once the person has compared the digits.
    pub fn confirm(self) -> (AwaitingSealed, Vec<u8>) {
        (AwaitingSealed(self), Envelope::new(Step::Confirm).request())
    }
}

/// The joiner after its CONFIRM.
pub struct AwaitingSealed(Offered);

impl AwaitingSealed {
    /// Reads the SEALED reply.
    ///
    /// # Errors
    ///
    /// [`JoinError`].
    pub fn handle_sealed(self, reply: &[u8], keys: &DeviceKeys) -> Result<Granted, JoinError> {
        let Offered {
            transcript,
            granter,
            group,
        } = self.0;
        let envelope = Envelope::parse_reply(reply, Step::Confirm, &[2, 4])?;
        let (ciphertext, enc) = (envelope.bytes(2)?, envelope.bytes(4)?);
        let info = transcript.transfer_info();
        let plaintext = open(keys, enc, &info, &transcript.grant, ciphertext)?;
        let (secret, keys) = parse_plaintext(&plaintext, group, true)?;
        let secret = secret.ok_or(JoinError::Malformed)?;
        Ok(Granted {
            transcript,
            granter,
            group,
            secret,
            keys,
        })
    }
}

/// The joiner with the group's secret. It commits only after the acknowledgement of its MERGE.
pub struct Granted {
    transcript: Transcript,
    /// Who let it in.
    pub granter: Peer,
    /// The group.
    pub group: OfferedGroup,
    /// The group's secret.
    pub secret: GroupSecret,
    /// Keys that the vault's folder does not hold yet.
    pub keys: Vec<GroupKey>,
}

impl Granted {
    /// Makes the MERGE request with the joiner's own keys.
    ///
    /// # Errors
    ///
    /// [`JoinError::Key`].
    pub fn merge(
        &self,
        own: &[&GroupKey],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, JoinError> {
        let plaintext = plaintext(self.group, None, own)?;
        let info = self.transcript.merge_info();
        let sealed = seal(
            &self.granter.mk,
            &info,
            &self.transcript.join,
            &plaintext,
            rng,
        )?;
        let envelope = Envelope::new(Step::Merge)
            .with(2, sealed.ciphertext)
            .with(4, sealed.enc);
        Ok(envelope.request())
    }

    /// Reads the acknowledgement: now the joiner is in.
    ///
    /// # Errors
    ///
    /// [`JoinError`].
    pub fn handle_ack(&self, reply: &[u8]) -> Result<(), JoinError> {
        Envelope::parse_reply(reply, Step::Merge, &[]).map(|_| ())
    }
}
