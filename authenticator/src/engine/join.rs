use handfast_proto::ctap2::Status;
use handfast_proto::trust::Method;
use handfast_proto::trust::join::{AwaitingMerge, Granter, JoinError, OfferedGroup, PendingGrant};

use super::{Authenticator, Prompt, Refused, Session, Turn, approved, printable};
use crate::group;

/// How far a join is, in one session.
pub(super) enum Joining {
    None,
    Offered(PendingGrant),
    Sealed(AwaitingMerge),
    Over,
}

/// Every mismatch is answered alike; only the owner learns which it was.
fn refused(error: JoinError) -> Refused {
    Refused::noted(
        Status::OTHER,
        format!("A device tried to join your trust group: {error}"),
    )
}

impl Joining {
    /// What the owner should know of a join that nobody carries on.
    pub(super) fn left(&self) -> Option<String> {
        let Self::Sealed(awaiting) = self else {
            return None;
        };
        let name = printable(awaiting.joiner().name.as_str());
        Some(format!(
            "“{name}” left before the link was done, but has the group's secret: it is on the list of members"
        ))
    }
}

impl Authenticator {
    /// A step of a trust-group join (`trust-group.md` §4.3).
    pub(super) fn trust_group(
        &mut self,
        cbor: &[u8],
        session: &mut Session,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<u8>, Refused> {
        let (reply, next) = match std::mem::replace(&mut session.joining, Joining::Over) {
            Joining::None => self.offer_group(cbor, session, turn)?,
            Joining::Offered(pending) => self.seal_group(pending, cbor, session, turn)?,
            Joining::Sealed(awaiting) => self.merge_group(awaiting, cbor, turn)?,
            Joining::Over => {
                let why = "A device went on with a join that was over";
                return Err(Refused::noted(Status::OTHER, why));
            }
        };
        session.joining = next;
        // The trust-group messages come with their status byte.
        Ok(reply.get(1..).unwrap_or_default().to_vec())
    }

    fn offer_group(
        &mut self,
        cbor: &[u8],
        session: &Session,
        turn: &mut Turn<'_>,
    ) -> Result<(Vec<u8>, Joining), Refused> {
        let (Some(hash), Some(method)) = (session.context.handshake_hash, session.context.method)
        else {
            return Err(Status::OTHER.into());
        };
        let Self { vault, device } = self;
        let (id, epoch, members) =
            group::offer(vault, device, turn.now, turn.rng).map_err(Refused::storage)?;
        if !members.admits(method) {
            return Err(Refused::noted(
                Status::OTHER,
                "A device tried to join by a simulated radio a group that has real ones",
            ));
        }
        let member = vault.member_key();
        let granter = Granter {
            config: group::join_config(vault, device, &member, method),
            group: OfferedGroup { id, epoch },
            session: hash,
            removed: &members.removed(),
        };
        let (pending, reply) = granter.handle_join(cbor, turn.rng).map_err(refused)?;
        if !session.introduction.fits(pending.joiner().device) {
            return Err(Refused::noted(
                Status::OTHER,
                "A device tried to join your trust group that had introduced itself as another",
            ));
        }
        Ok((reply, Joining::Offered(pending)))
    }

    fn seal_group(
        &mut self,
        pending: PendingGrant,
        cbor: &[u8],
        session: &Session,
        turn: &mut Turn<'_>,
    ) -> Result<(Vec<u8>, Joining), Refused> {
        let confirmed = pending.handle_confirm(cbor).map_err(refused)?;
        let prompt = Prompt::Join {
            device: printable(confirmed.joiner().name.as_str()),
            code: confirmed.code().to_string(),
            simulated: session.context.method == Some(Method::Simulated),
            since: self
                .vault
                .device(confirmed.joiner().device)
                .map(|known| known.since),
        };
        if !self.device.has_pin() {
            return Err(Refused::noted(
                Status::OPERATION_DENIED,
                "Nobody joins without a PIN on this device",
            ));
        }
        approved(self.ask(&prompt, session, turn)?, true)?;
        let Some(group) = &self.device.group else {
            return Err(Status::OTHER.into());
        };
        // Every key of the group was published before this request was read.
        let sealed = confirmed.seal(&group.secret, &[], turn.rng);
        let (awaiting, reply) = sealed.map_err(refused)?;
        // Who has the secret is in, whatever he does with it: on the list before it leaves.
        let Self { vault, device } = self;
        group::let_in(vault, device, awaiting.joiner(), turn.now, turn.rng)
            .map_err(Refused::storage)?;
        Ok((reply, Joining::Sealed(awaiting)))
    }

    fn merge_group(
        &mut self,
        awaiting: AwaitingMerge,
        cbor: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(Vec<u8>, Joining), Refused> {
        let merged = awaiting.handle_merge(cbor, self.device.keys());
        let (keys, reply) = merged.map_err(refused)?;
        let Self { vault, device } = self;
        group::take_keys(vault, device, keys, turn.rng).map_err(Refused::storage)?;
        Ok((reply, Joining::Over))
    }
}
