//! `vectors/vault.json`, made by other code: the same bytes come out here.

use rand_core::{CryptoRng, RngCore};
use serde_json::Value;

use super::*;
use crate::vault::backup::{self, Backup};
use crate::vault::header::Header;
use crate::vault::keys::{Keys, VaultKey};
use crate::vault::sealed::{Files, Kind};
use crate::vault::{HEADER, VaultId};

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/vault.json");
    let vectors: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    vectors["format_2"].clone()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// Randomness that was written down.
struct Written(Vec<u8>);

impl Written {
    fn of(value: &Value) -> Self {
        Self(bytes(&value["random"]))
    }
}

impl RngCore for Written {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        let taken: Vec<u8> = self.0.drain(..out.len()).collect();
        out.copy_from_slice(&taken);
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

impl CryptoRng for Written {}

fn vault_id(vectors: &Value) -> VaultId {
    VaultId(bytes(&vectors["vault"]).try_into().unwrap())
}

fn keys(vectors: &Value) -> Keys {
    let key = |value| VaultKey::from_slice(&bytes(value)).unwrap();
    let earlier = vectors["earlier_keys"].as_array().unwrap();
    let mut keys = Keys::new(key(&vectors["vault_key"]));
    for earlier in earlier {
        keys.add(&Keys::new(key(earlier)));
    }
    keys
}

#[test]
fn a_header_is_made_byte_for_byte_and_leads_to_all_keys() {
    let vectors = vectors();
    let header = &vectors["header"];
    let passphrase = Passphrase::new(vectors["passphrase"].as_str().unwrap());
    let mut rng = Written::of(header);
    let revision = header["revision"].as_u64().unwrap();
    let keys = keys(&vectors);
    let made = Header::new(
        vault_id(&vectors),
        revision,
        true,
        Stretching::LEAST,
        &keys,
        &mut rng,
    );
    let sealed = made.seal(&passphrase, &keys, &mut rng).unwrap();
    assert_eq!(hex::encode(&sealed), header["bytes"]);
    assert!(rng.0.is_empty());
    let (parsed, wrapped) = Header::parse(&sealed).unwrap();
    assert_eq!(parsed, made);
    let opened = parsed.open(&wrapped, &passphrase).unwrap();
    assert!(
        opened
            .all()
            .map(VaultKey::bytes)
            .eq(keys.all().map(VaultKey::bytes))
    );
    // Every bit of it is vouched for.
    for byte in (0..sealed.len()).step_by(7) {
        let mut bad = sealed.clone();
        bad[byte] ^= 1;
        let opened =
            Header::parse(&bad).and_then(|(parsed, wrapped)| parsed.open(&wrapped, &passphrase));
        assert!(opened.is_err(), "byte {byte}");
    }
}

#[test]
fn files_are_sealed_and_sealed_anew_byte_for_byte() {
    let vectors = vectors();
    let files = Files::new(vault_id(&vectors), &keys(&vectors));
    for (name, kind) in [
        ("passkey_file", Kind::Passkey),
        ("device_file", Kind::Device),
    ] {
        let vector = &vectors[name];
        let (id, content) = (bytes(&vector["id"]), bytes(&vector["content"]));
        let mut rng = Written::of(vector);
        let sealed = files.seal(kind, &id, &content, &mut rng).unwrap();
        assert_eq!(hex::encode(&sealed), vector["bytes"], "{name}");
        let opened = files.open(kind, &sealed).unwrap();
        assert_eq!((&opened.id, &*opened.content), (&id, &content));
        assert!(!opened.is_stale);
        let stale = files
            .open(kind, &bytes(&vector["under_earlier_key"]))
            .unwrap();
        assert_eq!((&stale.id, &*stale.content), (&id, &content));
        assert!(stale.is_stale);
        let resealed = files.reseal(kind, &stale).unwrap();
        assert_eq!(hex::encode(&resealed), vector["resealed"], "{name}");
        assert!(!files.open(kind, &resealed).unwrap().is_stale);
        if kind == Kind::Passkey {
            let passkey = Passkey::parse(&id, &content).unwrap();
            assert_eq!(hex::encode(passkey.encode()), vector["content"]);
        }
    }
}

#[test]
fn a_backup_is_made_byte_for_byte_and_becomes_the_vault() {
    let vectors = vectors();
    let vector = &vectors["backup"];
    let content = &vectors["passkey_file"];
    let passkey = Passkey::parse(&bytes(&content["id"]), &bytes(&content["content"])).unwrap();
    let made_at = vector["made_at"].as_u64().unwrap();
    let header = bytes(&vectors["header"]["bytes"]);
    let keys = keys(&vectors);
    let sealed = backup::seal(
        vault_id(&vectors),
        keys.newest(),
        &header,
        &[&passkey],
        made_at,
        &mut Written::of(vector),
    );
    let sealed = sealed.unwrap();
    assert_eq!(hex::encode(&sealed), vector["bytes"]);
    let passphrase = Passphrase::new(vectors["passphrase"].as_str().unwrap());
    let opened = Backup::parse(&sealed).unwrap().open(&passphrase).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (vault, restored) = Vault::from_backup(folder.path(), &opened).unwrap();
    // Its passkey was replaced, and is not counted.
    assert_eq!((restored.made_at, restored.new), (made_at, 0));
    assert_eq!(vault.id(), vault_id(&vectors));
    assert_eq!(fs::read(folder.path().join(HEADER)).unwrap(), header);
    // A file of the time before the last new key belongs to it as well.
    let old = bytes(&vectors["device_file"]["under_earlier_key"]);
    fs::create_dir(folder.path().join("devices")).unwrap();
    fs::write(folder.path().join("devices/laptop"), old).unwrap();
    let vault = Vault::open(folder.path(), &passphrase).unwrap();
    assert_eq!((vault.devices().count(), vault.stale()), (1, 1));
}
