//! What is inside of sealed files: passkeys, devices, the device store, files of the trust group.
#![no_main]

use handfast_proto::trust::entry::SignedEntry;
use handfast_proto::trust::wrap::key_file_header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    handfast_authenticator::fuzzing::content(bytes);
    let _ = SignedEntry::parse(bytes);
    let _ = key_file_header(bytes);
});
