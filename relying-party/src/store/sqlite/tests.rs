#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use crate::compat::{KeyRecord, KeyRecords};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::extension::{device_pub_key, supplemental_pub_keys};
use handfast_proto::ids::Aaguid;
use rand_core::OsRng;

use super::*;

/// What a database was made with before trust-group keys were looked up across passkeys.
const SCHEMA_BEFORE: &str = "
    CREATE TABLE users (
        handle BLOB PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE credentials (
        id BLOB PRIMARY KEY,
        user_handle BLOB NOT NULL REFERENCES users (handle),
        public_key BLOB NOT NULL,
        sign_count INTEGER NOT NULL,
        backup_eligible INTEGER NOT NULL,
        backed_up INTEGER NOT NULL,
        uv_initialized INTEGER NOT NULL,
        transports TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        last_used INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX credentials_of_user ON credentials (user_handle);
    CREATE TABLE trust_group_keys (
        credential_id BLOB NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
        public_key BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        last_used INTEGER NOT NULL,
        trust TEXT NOT NULL,
        evidence TEXT NOT NULL,
        PRIMARY KEY (credential_id, public_key)
    ) STRICT;
";

fn new_key() -> CoseKey {
    SigningKey::generate(Algorithm::Es256, &mut OsRng).public_key()
}

fn ada() -> User {
    User {
        handle: UserHandle::from_bytes(b"ada's handle").unwrap(),
        name: "ada".to_owned(),
    }
}

/// A passkey of ada's with a trust-group key.
fn passkey(id: &[u8]) -> CredentialRecord {
    let mut record = CredentialRecord {
        id: CredentialId::from_bytes(id).unwrap(),
        user_handle: ada().handle,
        public_key: new_key(),
        sign_count: 3,
        backup_eligible: true,
        backed_up: true,
        uv_initialized: true,
        transports: vec!["hybrid".to_owned(), "internal".to_owned()],
        created_at: 10,
        last_used: 20,
        cmtg: Vec::new(),
        compat: KeyRecords::default(),
    };
    record.see_cmtg_key(&new_key(), Trust::Trusted, "registration", 10);
    record
}

#[test]
fn a_database_of_the_schema_before_opens_and_keeps_its_data() {
    let database = Connection::open_in_memory().unwrap();
    database.execute_batch(SCHEMA_BEFORE).unwrap();
    let mut record = passkey(b"first");
    let group = record.cmtg[0].clone();
    let (user, id) = (ada(), record.id.clone());
    database
        .execute(
            "INSERT INTO users VALUES (?1, ?2)",
            params![user.handle.as_bytes(), user.name],
        )
        .unwrap();
    database
        .execute(
            "INSERT INTO credentials VALUES (?1, ?2, ?3, 3, 1, 1, 1, 'hybrid internal', 10, 20)",
            params![
                id.as_bytes(),
                user.handle.as_bytes(),
                record.public_key.as_bytes()
            ],
        )
        .unwrap();
    database
        .execute(
            "INSERT INTO trust_group_keys VALUES (?1, ?2, 10, 10, 'trusted', 'registration')",
            params![id.as_bytes(), group.public_key],
        )
        .unwrap();

    let mut store = SqliteStore::with(database).unwrap();
    assert_eq!(store.user_named("ada").unwrap(), Some(user));
    assert_eq!(store.credential(&id).unwrap(), Some(record.clone()));
    let key = CoseKey::parse(&group.public_key).unwrap();
    assert_eq!(
        store.credentials_with_cmtg_key(&key).unwrap(),
        std::slice::from_ref(&id)
    );

    assert_eq!(record.forget_cmtg_keys(|_| true), 1);
    store.update_credential(&record).unwrap();
    let stored = store.credential(&id).unwrap().unwrap();
    assert_eq!(stored, record);
    assert_eq!(stored.cmtg[0].trust, Trust::Distrusted);
    assert_eq!(stored.trust_groups().count(), 0);
}

#[test]
fn keys_of_other_extensions_are_kept_in_their_order_and_go_with_their_passkey() {
    let mut store = SqliteStore::in_memory().unwrap();
    let mut record = passkey(b"first");
    let key = |scope, statement: &[u8]| KeyRecord {
        aaguid: Aaguid([7; 16]),
        public_key: new_key().as_bytes().to_vec(),
        scope,
        format: "packed".to_owned(),
        statement: statement.to_vec(),
    };
    let (entire, app) = (
        device_pub_key::Scope::EntireDevice,
        device_pub_key::Scope::PerApp,
    );
    record.compat.device = vec![key(app, b"b"), key(entire, b"a")];
    store.add_credential(&ada(), &record).unwrap();
    assert_eq!(store.credential(&record.id).unwrap(), Some(record.clone()));
    let supplemental = supplemental_pub_keys::Scope::Provider;
    record.compat.device.remove(0);
    record.compat.supplemental = vec![KeyRecord {
        aaguid: Aaguid([7; 16]),
        public_key: new_key().as_bytes().to_vec(),
        scope: supplemental,
        format: "none".to_owned(),
        statement: vec![0xa0],
    }];
    store.update_credential(&record).unwrap();
    assert_eq!(store.credential(&record.id).unwrap(), Some(record.clone()));
    let damage = "UPDATE attested_keys SET scope = CAST('x' AS BLOB)";
    store.database.execute_batch(damage).unwrap();
    let damaged = store.credential(&record.id);
    assert!(matches!(damaged, Err(StoreError::Damaged)), "{damaged:?}");
    store
        .replace_credentials(&ada(), &passkey(b"second"))
        .unwrap();
    let left = "SELECT count(*) FROM attested_keys";
    let left: u32 = store
        .database
        .query_row(left, [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn opening_a_database_again_changes_nothing() {
    let mut store = SqliteStore::in_memory().unwrap();
    let record = passkey(b"first");
    store.add_credential(&ada(), &record).unwrap();
    let store = SqliteStore::with(store.database).unwrap();
    assert_eq!(store.credentials_of(&ada().handle).unwrap(), [record]);
}

#[test]
fn passkeys_are_replaced_all_at_once_or_not_at_all() {
    let mut store = SqliteStore::in_memory().unwrap();
    let old = [passkey(b"first"), passkey(b"second")];
    for record in &old {
        store.add_credential(&ada(), record).unwrap();
    }
    let new = passkey(b"third");
    // The new passkey is stored by then, and one of the old ones is gone.
    store
        .database
        .execute_batch(
            "CREATE TRIGGER full BEFORE DELETE ON credentials WHEN OLD.id = CAST('second' AS BLOB)
             BEGIN SELECT RAISE(FAIL, 'the disk is full'); END",
        )
        .unwrap();
    let failed = store.replace_credentials(&ada(), &new);
    assert!(matches!(failed, Err(StoreError::Sqlite(_))), "{failed:?}");
    assert_eq!(store.credentials_of(&ada().handle).unwrap(), old);

    store.database.execute_batch("DROP TRIGGER full").unwrap();
    let taken = store.replace_credentials(&ada(), &old[0]);
    assert!(matches!(taken, Err(StoreError::CredentialExists)));
    assert_eq!(store.credentials_of(&ada().handle).unwrap(), old);
    store.replace_credentials(&ada(), &new).unwrap();
    assert_eq!(store.credentials_of(&ada().handle).unwrap(), [new]);
    let keys = "SELECT count(*) FROM trust_group_keys";
    let keys: u32 = store
        .database
        .query_row(keys, [], |row| row.get(0))
        .unwrap();
    assert_eq!(keys, 1, "the keys of the others are gone with them");
}
