use handfast_proto::ctap2::client_pin;
use handfast_proto::ctap2::{Status, client_pin::PROTOCOL_TWO};
use handfast_proto::pin_uv::KeyAgreement;

use super::{Authenticator, Prompt, Refused, Session, Turn, approved};
use crate::device::TRIES;

impl Authenticator {
    /// authenticatorClientPIN (CTAP 2.3 §6.5). The key is good as long as the session.
    pub(super) fn client_pin(
        &self,
        request: client_pin::Request,
        session: &mut Session,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<u8>, Refused> {
        match request {
            client_pin::Request::KeyAgreement => {
                let key = session.key_agreement.take();
                let key = key.unwrap_or_else(|| KeyAgreement::generate(turn.rng));
                let public = key.public_key();
                session.key_agreement = Some(key);
                Ok(client_pin::key_agreement(public))
            }
            client_pin::Request::UvRetries => {
                let left = self.device.pin_tries().unwrap_or(TRIES);
                Ok(client_pin::uv_retries(left.into()))
            }
            _ => Err(Status::INVALID_SUBCOMMAND.into()),
        }
    }

    /// Refuses the proof of a PIN that the client asked for: there is no such PIN here. An empty
    /// proof asks which device is meant (CTAP 2.3 §6.1.2, §6.2.2, first steps).
    pub(super) fn refuse_client_pin(
        &mut self,
        proof: Option<&[u8]>,
        protocol: Option<u64>,
        session: &Session,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refused> {
        let status = match (proof, protocol) {
            (None, _) => return Ok(()),
            (Some([]), _) => {
                approved(self.ask(&Prompt::Select, session, turn)?, false)?;
                Status::PIN_NOT_SET
            }
            (Some(_), None) => Status::MISSING_PARAMETER,
            (Some(_), Some(PROTOCOL_TWO)) => Status::PIN_AUTH_INVALID,
            (Some(_), Some(_)) => Status::INVALID_PARAMETER,
        };
        Err(status.into())
    }
}
