//! The CTAP2 engine: requests in, replies out, and a person asked in between.

mod attestation;
mod client_pin;
mod computer;
mod extensions;
mod get_assertion;
mod join;
mod keys;
mod make_credential;
mod prompt;
mod reset;

use handfast_proto::cose::{Algorithm, KeyId};
use handfast_proto::ctap2::client_pin::PROTOCOL_TWO;
use handfast_proto::ctap2::get_info::{self, INTRODUCTIONS};
use handfast_proto::ctap2::{Command, MAX_REQUEST, Status, command};
use handfast_proto::extension::cred_blob;
use handfast_proto::ids::{Aaguid, CredentialId, RpId, UserHandle};
use handfast_proto::pin_uv::KeyAgreement;
use handfast_proto::trust::{KeyTuple, Method, SUPPORT_VERSION};
use rand_core::CryptoRngCore;

pub use computer::{Computer, Introduced, Standing};
pub use prompt::{
    Account, Answer, PassphraseCheck, Person, PinPad, PinUnavailable, Prompt, Sharing, printable,
    printable_text,
};

use self::computer::Introduction;
use self::get_assertion::Remaining;
use self::join::Joining;
use self::keys::WantedKeys;
use self::prompt::StorePin;
use crate::device::DeviceStore;
use crate::group;
use crate::vault::{Vault, VaultError};

/// The model of this authenticator: random, once and for all.
pub const AAGUID: Aaguid = Aaguid([
    0x6e, 0x2f, 0x1c, 0x3b, 0x9d, 0x44, 0x4f, 0x0a, 0xb7, 0x51, 0x08, 0xc6, 0x5a, 0xe2, 0x93, 0x7d,
]);

/// An authenticator: a vault and this device's own store.
#[derive(Debug)]
pub struct Authenticator {
    /// The vault.
    pub vault: Vault,
    /// The device store.
    pub device: DeviceStore,
}

/// What is known of a session with a computer.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who asks, as far as that is known from the beginning.
    pub computer: Computer,
    /// By which radio, for trust groups; nothing if there is none.
    pub method: Option<Method>,
    /// The handshake hash of the hybrid session, if there is one.
    pub handshake_hash: Option<[u8; 32]>,
}

/// What the engine answers.
#[derive(Debug)]
pub struct Reply {
    /// Status byte and CBOR.
    pub bytes: Vec<u8>,
    /// What the owner of this device should know, beyond what he decided himself.
    pub note: Option<String>,
}

/// One session with a computer. Steps of a trust-group join belong to one session.
pub struct Session {
    context: Context,
    introduction: Introduction,
    joining: Joining,
    conclusion: Conclusion,
    key_agreement: Option<KeyAgreement>,
    remaining: Option<Remaining>,
}

/// What came of a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Conclusion {
    /// What was asked for last was done: signed, made, or joined.
    Done,
    /// Nothing was asked for that a person decides, or a join was begun and left.
    Nothing {
        /// What the owner should know of it.
        note: Option<String>,
    },
    /// What was asked for last was not done.
    Refused(Status),
}

/// Everything that a request needs.
struct Turn<'a> {
    person: &'a mut dyn Person,
    rng: &'a mut dyn CryptoRngCore,
    now: u64,
}

impl Authenticator {
    /// Begins a session.
    pub fn session(&self, context: Context) -> Session {
        Session {
            context,
            introduction: Introduction::None,
            joining: Joining::None,
            conclusion: Conclusion::Nothing { note: None },
            key_agreement: None,
            remaining: None,
        }
    }

    /// Deletes passkeys that were replaced long ago, and retires their keys of the trust group.
    ///
    /// # Errors
    ///
    /// [`group::GroupError`].
    pub fn tidy(&mut self, rng: &mut dyn CryptoRngCore, now: u64) -> Result<(), group::GroupError> {
        let gone = self.vault.bury(now)?;
        self.forget_bound_keys(rng)?;
        if gone.is_empty() {
            return Ok(());
        }
        self.retire_keys(&gone, rng)
    }

    /// Retires the trust-group keys of passkeys that are deleted.
    fn retire_keys(
        &mut self,
        gone: &[CredentialId],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), group::GroupError> {
        let passkeys = gone.iter().filter_map(|id| self.vault.any(id));
        let tuples: Vec<KeyTuple> = passkeys
            .map(|gone| tuple(&gone.rp_id, &gone.credential_id, &gone.user_handle))
            .collect();
        group::retire(&mut self.vault, &mut self.device, &tuples, rng)
    }

    /// Returns the answer of authenticatorGetInfo to this computer, without a status byte.
    pub fn get_info(&self, computer: &Computer) -> Vec<u8> {
        let text = |text: &str| text.to_owned();
        get_info::Response {
            versions: ["FIDO_2_0", "FIDO_2_1", SUPPORT_VERSION, INTRODUCTIONS]
                .map(text)
                .to_vec(),
            extensions: extensions::NAMES
                .into_iter()
                .chain(self.device.compat.names())
                .map(text)
                .collect(),
            aaguid: AAGUID,
            options: vec![(text("rk"), true), (text("uv"), self.can_verify(computer))],
            max_msg_size: match computer {
                // Such tools keep to 1,024 bytes if they are told nothing, and hybrid clients to no limit.
                Computer::TestTool => u64::try_from(MAX_REQUEST).ok(),
                _ => None,
            },
            pin_uv_protocols: vec![PROTOCOL_TWO],
            transports: vec![text("hybrid"), text("internal")],
            max_cred_blob_length: u64::try_from(cred_blob::LONGEST).ok(),
            attestation_formats: vec![text("none"), text("packed")],
        }
        .encode()
    }

    /// Answers a request: command byte and CBOR.
    pub fn handle(
        &mut self,
        session: &mut Session,
        request: &[u8],
        person: &mut dyn Person,
        rng: &mut dyn CryptoRngCore,
        now: u64,
    ) -> Reply {
        let mut turn = Turn { person, rng, now };
        // Whatever comes in between, the others of an assertion are gone.
        let remaining = session.remaining.take();
        let answered = Command::parse(request)
            .map_err(Refused::from)
            .and_then(|command| {
                self.read_folder(&mut turn)?;
                match command {
                    Command::ClientPin(request) => self.client_pin(request, session, &mut turn),
                    Command::GetNextAssertion => {
                        self.get_next_assertion(remaining, session, &mut turn)
                    }
                    Command::MakeCredential(request) => {
                        self.make_credential(&request, session, &mut turn)
                    }
                    Command::GetAssertion(request) => {
                        self.get_assertion(request, session, &mut turn)
                    }
                    Command::GetInfo => Ok(self.get_info(&session.context.computer)),
                    Command::Reset => self.reset(session, &mut turn),
                    Command::Selection => self.select(session, &mut turn),
                    Command::TrustGroup(cbor) => self.trust_group(&cbor, session, &mut turn),
                    _ => Err(Status::INVALID_COMMAND.into()),
                }
            });
        session.note(request.first().copied(), answered.as_ref().err());
        match answered {
            Ok(cbor) => Reply {
                bytes: [&[Status::OK.0], cbor.as_slice()].concat(),
                note: None,
            },
            Err(Refused { status, note }) => Reply {
                bytes: vec![session.context.computer.told(status).0],
                note,
            },
        }
    }

    /// Whether a person can be verified for this computer.
    fn can_verify(&self, computer: &Computer) -> bool {
        self.device.has_pin() || *computer == Computer::TestTool
    }

    /// authenticatorSelection (CTAP 2.3 §6.9): a person says that it is this device that is meant.
    fn select(&mut self, session: &Session, turn: &mut Turn<'_>) -> Result<Vec<u8>, Refused> {
        approved(self.ask(&Prompt::Select, session, turn)?, false)?;
        Ok(Vec::new())
    }

    fn read_folder(&mut self, turn: &mut Turn<'_>) -> Result<(), Refused> {
        let read = self.vault.refresh().map_err(group::GroupError::from);
        read.and_then(|()| group::refresh(&mut self.vault, &mut self.device, turn.rng))
            .map_err(Refused::storage)?;
        self.forget_bound_keys(turn.rng).map_err(Refused::storage)
    }

    /// Asks the person.
    fn ask(
        &mut self,
        prompt: &Prompt<'_>,
        session: &Session,
        turn: &mut Turn<'_>,
    ) -> Result<Answer, Refused> {
        let computer = self.asker(session);
        let Self { vault, device } = self;
        let mut pin = StorePin {
            vault,
            device,
            rng: turn.rng,
            failed: None,
        };
        let answer = turn.person.ask(prompt, &computer, &mut pin);
        match pin.failed {
            Some(error) => Err(Refused::storage(error)),
            None => Ok(answer),
        }
    }

    /// Prepares the trust-group key of a passkey, if the request wants it. Without one the
    /// ceremony still goes on.
    fn group_key(
        &mut self,
        wanted: &WantedKeys,
        tuple: &KeyTuple,
        algorithm: Algorithm,
        turn: &mut Turn<'_>,
    ) -> Option<KeyId> {
        if !wanted.share_group_key() {
            return None;
        }
        let Self { vault, device } = self;
        group::key_for(vault, device, tuple, algorithm, turn.now, turn.rng).ok()
    }
}

impl Session {
    /// Ends the session, however it ended, and tells what came of it.
    pub fn conclude(self) -> Conclusion {
        match self.conclusion {
            Conclusion::Nothing { .. } => Conclusion::Nothing {
                note: self.joining.left(),
            },
            conclusion => conclusion,
        }
    }

    /// Notes what came of a request.
    fn note(&mut self, command: Option<u8>, refused: Option<&Refused>) {
        self.conclusion = match (command, refused, &self.joining) {
            (Some(command::GET_INFO), _, _) => return,
            (_, Some(refused), _) => Conclusion::Refused(refused.status),
            (Some(command::TRUST_GROUP), None, Joining::Offered(_) | Joining::Sealed(_)) => {
                Conclusion::Nothing { note: None }
            }
            (_, None, _) => Conclusion::Done,
        };
    }
}

/// Why a request is not answered with OK.
#[derive(Debug)]
struct Refused {
    status: Status,
    note: Option<String>,
}

impl Refused {
    fn storage(error: impl std::fmt::Display) -> Self {
        Self {
            status: Status::OTHER,
            note: Some(error.to_string()),
        }
    }

    /// A passkey could not be stored.
    fn full(error: VaultError) -> Self {
        let status = match error.is_full() {
            true => Status::KEY_STORE_FULL,
            false => Status::OTHER,
        };
        Self::noted(status, error.to_string())
    }

    fn noted(status: Status, note: impl Into<String>) -> Self {
        Self {
            status,
            note: Some(note.into()),
        }
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self { status, note: None }
    }
}

/// What an answer is worth: the account chosen and whether the person was verified.
fn approved(answer: Answer, needs_verification: bool) -> Result<(usize, bool), Status> {
    match answer {
        Answer::Approved { account, verified } if verified || !needs_verification => {
            Ok((account, verified))
        }
        Answer::Approved { .. } | Answer::Refused => Err(Status::OPERATION_DENIED),
        Answer::NoAnswer => Err(Status::USER_ACTION_TIMEOUT),
        Answer::Blocked => Err(Status::UV_BLOCKED),
        Answer::WrongPin => Err(Status::UV_INVALID),
    }
}

fn tuple(rp_id: &RpId, credential_id: &CredentialId, user_handle: &UserHandle) -> KeyTuple {
    KeyTuple {
        rp_id_hash: rp_id.hash(),
        credential_id: credential_id.clone(),
        user_handle: user_handle.clone(),
    }
}

#[cfg(test)]
mod tests;
