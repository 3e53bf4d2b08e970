//! What holds of every request and its answer.

mod asked;
mod keys;
mod outputs;
mod passkeys;

use std::collections::BTreeSet;

use handfast_authenticator::engine::{Authenticator, Computer, Conclusion};
use handfast_proto::cbor::{self, Value};
use handfast_proto::ctap2::command::{GET_INFO, TRUST_GROUP};
use handfast_proto::ctap2::{Command, Status, get_assertion, get_info};
use handfast_proto::ids::CredentialId;

use self::passkeys::Made;
use crate::client::Client;
use crate::contact::Contact;
use crate::person::Asked;
use crate::phone::Phone;

/// What was seen of a phone so far.
#[derive(Default)]
pub(crate) struct Memory {
    /// Every passkey that was made, the newest last.
    made: Vec<Made>,
    /// The assertions of which the client may ask for more.
    following: Option<Following>,
    /// The last command of the session that was not authenticatorGetInfo, and its status.
    last: Option<(Option<u8>, Status)>,
}

impl Memory {
    /// Checks what is told of a session that is over, and forgets what belongs to it.
    pub(crate) fn check_end(&mut self, conclusion: &Conclusion) {
        self.following = None;
        match self.last.take() {
            Some((Some(TRUST_GROUP), Status::OK)) => {
                assert!(!matches!(conclusion, Conclusion::Refused(_)));
            }
            Some((_, Status::OK)) => assert_eq!(*conclusion, Conclusion::Done),
            Some((_, Status::OPERATION_DENIED)) => {
                let Conclusion::Refused(why) = conclusion else {
                    panic!("{conclusion:?} of a refusal");
                };
                let told = [Status::OPERATION_DENIED, Status::UV_BLOCKED, Status::UV_INVALID];
                assert!(told.contains(why), "the owner learns more of it");
            }
            Some((_, status)) => assert_eq!(*conclusion, Conclusion::Refused(status)),
            None => assert_eq!(*conclusion, Conclusion::Nothing { note: None }),
        }
    }
}

/// The assertions of one request, one after the other.
pub(crate) struct Following {
    request: get_assertion::Request,
    flags: u8,
    left: u64,
    seen: BTreeSet<CredentialId>,
    since: u64,
}

/// A request, and what came of it.
pub(crate) struct Exchange<'a> {
    pub(crate) request: &'a [u8],
    pub(crate) reply: &'a [u8],
    pub(crate) asked: Option<Asked>,
    pub(crate) contact: Contact,
    /// The passkeys that could be used before.
    pub(crate) before: BTreeSet<CredentialId>,
    /// The phone as it is now.
    pub(crate) phone: &'a Phone,
    pub(crate) client: &'a Client,
    pub(crate) now: u64,
}

impl Exchange<'_> {
    /// Checks what holds, and returns the passkey that was made, if one was.
    ///
    /// # Panics
    ///
    /// If it does not hold.
    pub(crate) fn check(&self, memory: &mut Memory) -> Option<CredentialId> {
        let (status, cbor) = self.reply.split_first().expect("a status");
        let status = Status(*status);
        assert!(status == Status::OK || cbor.is_empty());
        if !cbor.is_empty() {
            cbor::decode(cbor).expect("canonical CBOR");
        }
        let first = self.request.first().copied();
        if first != Some(GET_INFO) {
            memory.last = Some((first, status));
        }
        let command = match Command::parse(self.request) {
            Ok(command) => command,
            Err(refused) => {
                assert_eq!(status, refused);
                assert!(self.asked.is_none(), "nobody knows what to ask");
                self.assert_unchanged();
                return None;
            }
        };
        match &self.asked {
            Some(asked) => self.check_asked(asked, &command, status),
            None => self.check_silent(&command, status),
        }
        let following = memory.following.take();
        match (status, &command) {
            (Status::OK, Command::MakeCredential(request)) => {
                let made = self.check_made(request, cbor, &memory.made);
                let id = made.id.clone();
                memory.made.push(made);
                return Some(id);
            }
            (Status::OK, Command::Reset) => assert!(self.phone.usable().is_empty()),
            _ => self.assert_unchanged(),
        }
        match (status, &command) {
            (Status::OK, Command::GetAssertion(request)) => {
                memory.following = self.check_asserted(request, cbor, &mut memory.made);
            }
            (Status::OK, Command::GetNextAssertion) => {
                let following = following.expect("a request that this follows");
                memory.following = Some(self.check_next(following, cbor, &mut memory.made));
            }
            (Status::OK, Command::Reset | Command::Selection) => assert!(cbor.is_empty()),
            (_, Command::GetInfo) => self.check_info(status, cbor),
            (Status::OK, Command::ClientPin(_)) => check_client_pin(cbor),
            _ => {}
        }
        None
    }

    fn assert_unchanged(&self) {
        assert_eq!(
            self.before,
            self.phone.usable(),
            "the passkeys that there are"
        );
    }

    fn authenticator(&self) -> &Authenticator {
        &self.phone.authenticator
    }

    fn can_verify(&self) -> bool {
        self.authenticator().device.has_pin() || self.is_test_tool()
    }

    fn is_test_tool(&self) -> bool {
        self.contact.computer() == Computer::TestTool
    }

    fn is_this_device(&self) -> bool {
        self.contact.computer() == Computer::ThisDevice
    }

    fn check_info(&self, status: Status, cbor: &[u8]) {
        assert_eq!(status, Status::OK);
        let info = get_info::Response::parse(cbor).expect("an answer to getInfo");
        assert_eq!(info.option("uv"), Some(self.can_verify()));
        let names: BTreeSet<&String> = info.extensions.iter().collect();
        assert_eq!(names.len(), info.extensions.len(), "no name is there twice");
    }
}

/// It is a key to agree with, or the number of tries.
fn check_client_pin(cbor: &[u8]) {
    let value = cbor::decode(cbor).expect("canonical CBOR");
    let map = value.as_map().expect("a map");
    assert_eq!(map.len(), 1);
    let tries = map.int(5).and_then(Value::as_u64);
    assert!(map.int(1).is_some() || tries.is_some_and(|tries| tries <= 8));
}
