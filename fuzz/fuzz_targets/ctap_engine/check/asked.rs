//! What a person was asked, and what his answer comes to.

use handfast_authenticator::engine::Answer;
use handfast_proto::ctap2::{Command, Status};

use super::Exchange;
use crate::person::{Asked, Question};

/// Returns what the request comes to if the person says yes, if nothing but his answer matters.
///
/// # Panics
///
/// If the question is none of this request's.
fn meant(question: &Question, command: &Command) -> Status {
    match (question, command) {
        (Question::Create { rp_id, .. }, Command::MakeCredential(request)) => {
            assert_eq!(*rp_id, request.rp.id);
            Status::OK
        }
        (Question::Excluded { rp_id, .. }, Command::MakeCredential(request)) => {
            assert_eq!(*rp_id, request.rp.id);
            Status::CREDENTIAL_EXCLUDED
        }
        (Question::NoPasskey { rp_id }, Command::GetAssertion(request)) => {
            assert_eq!(*rp_id, request.rp_id);
            Status::NO_CREDENTIALS
        }
        (Question::SignIn { rp_id, .. }, Command::GetAssertion(request)) => {
            assert_eq!(*rp_id, request.rp_id);
            Status::OK
        }
        (Question::Select, Command::MakeCredential(_) | Command::GetAssertion(_)) => {
            Status::PIN_NOT_SET
        }
        (Question::Select, Command::Selection) => Status::OK,
        (Question::Join, Command::TrustGroup(_)) => Status::OK,
        (question, command) => panic!("{question:?} of {command:?}"),
    }
}

/// Returns whether only a person who was verified can say yes.
fn wants_verification(question: &Question, command: &Command) -> bool {
    match (question, command) {
        (Question::Create { .. }, Command::MakeCredential(request)) => {
            request.user_verification == Some(true)
        }
        (Question::SignIn { .. }, Command::GetAssertion(request)) => {
            request.user_verification == Some(true)
        }
        (Question::Excluded { verify, .. }, _) => *verify,
        (Question::Join, _) => true,
        _ => false,
    }
}

impl Exchange<'_> {
    /// A question is one that the request raises, and the status is what its answer comes to.
    pub(super) fn check_asked(&self, asked: &Asked, command: &Command, status: Status) {
        let Asked { question, answer } = asked;
        let meant = meant(question, command);
        let expected = match (question, *answer) {
            (_, Answer::Blocked) if self.is_this_device() => Status::UV_BLOCKED,
            (_, Answer::WrongPin) if self.is_this_device() => Status::UV_INVALID,
            (_, Answer::NoAnswer) => Status::USER_ACTION_TIMEOUT,
            (_, Answer::Refused | Answer::Blocked | Answer::WrongPin) => Status::OPERATION_DENIED,
            (_, Answer::Approved { verified, .. })
                if !verified && wants_verification(question, command) =>
            {
                Status::OPERATION_DENIED
            }
            (Question::SignIn { accounts, .. }, Answer::Approved { account, .. })
                if account >= *accounts =>
            {
                Status::OPERATION_DENIED
            }
            // Only now a passkey may turn out to want verification.
            (Question::SignIn { .. }, Answer::Approved { verified, .. })
                if !verified && status == Status::NO_CREDENTIALS =>
            {
                status
            }
            (_, Answer::Approved { .. }) => meant,
        };
        assert_eq!(status, expected);
    }

    /// Where nobody was asked, nobody learns anything of passkeys; only a tool for tests does.
    pub(super) fn check_silent(&self, command: &Command, status: Status) {
        match command {
            Command::GetAssertion(request) => {
                let tells = [Status::OK, Status::NO_CREDENTIALS].contains(&status);
                let is_silent =
                    request.user_presence == Some(false) && request.user_verification != Some(true);
                let is_own = status == Status::NO_CREDENTIALS && self.is_this_device();
                assert!(!tells || is_own || is_silent && self.is_test_tool());
                assert_ne!(status, Status::PIN_NOT_SET);
            }
            Command::MakeCredential(_) => {
                let tells = [Status::OK, Status::CREDENTIAL_EXCLUDED, Status::PIN_NOT_SET];
                assert!(!tells.contains(&status));
            }
            Command::Reset => assert_eq!(status == Status::OK, self.is_test_tool()),
            Command::Selection => panic!("nobody was asked"),
            Command::TrustGroup(_) => {
                assert!(
                    status != Status::OK || self.contact.is_near(),
                    "nobody is near"
                );
            }
            Command::Unknown(_) => assert_eq!(status, Status::INVALID_COMMAND),
            _ => {}
        }
    }
}
