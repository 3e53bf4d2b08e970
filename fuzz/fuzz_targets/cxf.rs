//! A document of another program is refused, or its passkeys are what is written of them again.
#![no_main]

use handfast_authenticator::exchange::sealed::Sealed;
use handfast_authenticator::exchange::{Document, write};
use handfast_authenticator::vault::Passkey;
use handfast_proto::trust::VaultId;
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_700_000_000;

fuzz_target!(|bytes: &[u8]| {
    let _ = Sealed::parse(bytes);
    let Ok(document) = Document::parse(bytes, NOW) else {
        return;
    };
    let found = document
        .entries
        .iter()
        .filter_map(|it| it.found.as_ref().ok());
    let passkeys: Vec<_> = found.map(|found| &found.passkey).collect();
    let written = write(VaultId([1; 16]), &passkeys, NOW).expect("memory takes it");
    let again = Document::parse(&written, NOW).expect("what is written can be read");
    let mut read: Vec<_> = again
        .entries
        .iter()
        .map(|entry| {
            let found = entry.found.as_ref().expect("it was good before");
            assert!(found.lost.is_empty());
            &found.passkey
        })
        .collect();
    // They are written by site and age.
    let mut passkeys = passkeys;
    let place = |it: &Passkey| {
        (
            it.rp_id.clone(),
            it.credential_id.clone(),
            it.user_handle.clone(),
        )
    };
    passkeys.sort_by_key(|it| place(it));
    read.sort_by_key(|it| place(it));
    assert_eq!(read.len(), passkeys.len());
    for (read, passkey) in read.into_iter().zip(passkeys) {
        assert_eq!(read.credential_id, passkey.credential_id);
        assert_eq!(read.rp_id, passkey.rp_id);
        assert_eq!(read.user_handle, passkey.user_handle);
    }
});
