//! A request is refused, or is what it says when it is written again.
#![no_main]

use handfast_proto::ctap2::command::{GET_ASSERTION, MAX_REQUEST, TRUST_GROUP};
use handfast_proto::ctap2::{Command, Status};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: &[u8]| {
    let again = match Command::parse(request) {
        Err(status) => return assert_ne!(status, Status::OK),
        Ok(Command::MakeCredential(made)) => made.encode(),
        Ok(Command::GetAssertion(get)) => {
            assert!(get.has_allow_list || get.allow.is_empty());
            // A list of which nothing can be read is there, but cannot be written.
            if get.has_allow_list && get.allow.is_empty() {
                return;
            }
            assert_eq!(request.first(), Some(&GET_ASSERTION));
            get.encode()
        }
        Ok(Command::ClientPin(pin)) => pin.encode(),
        Ok(_) => return,
    };
    let most = usize::from(request.first() == Some(&TRUST_GROUP)).max(1) * MAX_REQUEST;
    assert!(again.len() <= most, "it grew");
    assert_eq!(Command::parse(&again), Command::parse(request));
});
