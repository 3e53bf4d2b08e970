//! What lies in a vault's folder: headers, backups, sealed files that nobody sealed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| handfast_authenticator::fuzzing::vault_file(bytes));
