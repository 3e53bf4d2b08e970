//! Doors for fuzzing, which are there with `--cfg fuzzing` only. Each panics if a property does not
//! hold that it names.

/// What lies in a vault's folder as everybody can write it: header, backup, sealed file.
pub fn vault_file(bytes: &[u8]) {
    crate::vault::fuzzing::header(bytes);
    crate::vault::fuzzing::file(bytes);
}

/// What is in a file that who has the vault's key can write, and in the device store.
pub fn content(bytes: &[u8]) {
    crate::vault::fuzzing::content(bytes);
    crate::device::fuzzing_content(bytes);
}
