//! A document of another program is refused, or its passkeys are what is written of them again.
#![no_main]

use handfast_authenticator::exchange::sealed::Sealed;
use handfast_authenticator::exchange::{Document, write};
use handfast_proto::trust::VaultId;
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_700_000_000;

fuzz_target!(|bytes: &[u8]| {
    let _ = Sealed::parse(bytes);
    let Ok(document) = Document::parse(bytes, NOW) else {
        return;
    };
    let found = document.entries.iter().filter_map(|it| it.found.as_ref().ok());
    let passkeys: Vec<_> = found.map(|found| &found.passkey).collect();
    let written = write(VaultId([1; 16]), &passkeys, NOW).expect("memory takes it");
    let again = Document::parse(&written, NOW).expect("what is written can be read");
    assert_eq!(again.entries.len(), passkeys.len());
    for (entry, passkey) in again.entries.iter().zip(passkeys) {
        let found = entry.found.as_ref().expect("it was good before");
        assert!(found.lost.is_empty());
        assert_eq!(found.passkey.credential_id, passkey.credential_id);
        assert_eq!(found.passkey.rp_id, passkey.rp_id);
        assert_eq!(found.passkey.user_handle, passkey.user_handle);
        assert_eq!(found.passkey.algorithm, passkey.algorithm);
        assert_eq!(found.passkey.large_blob.is_some(), passkey.large_blob.is_some());
    }
});
