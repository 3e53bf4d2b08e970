mod keys;
#[cfg(test)]
mod tests;

use std::path::Path;

use handfast_proto::cose::CoseKey;
use handfast_proto::ids::{CredentialId, UserHandle};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, params};

use super::{Store, StoreError, User};
use crate::record::{CmtgRecord, CredentialRecord, Trust};

const SCHEMA: &str = "
    PRAGMA foreign_keys = ON;
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS users (
        handle BLOB PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE IF NOT EXISTS credentials (
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
    CREATE INDEX IF NOT EXISTS credentials_of_user ON credentials (user_handle);
    CREATE TABLE IF NOT EXISTS trust_group_keys (
        credential_id BLOB NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
        public_key BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        last_used INTEGER NOT NULL,
        trust TEXT NOT NULL,
        evidence TEXT NOT NULL,
        PRIMARY KEY (credential_id, public_key)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS credentials_with_key ON trust_group_keys (public_key);
    CREATE TABLE IF NOT EXISTS attested_keys (
        credential_id BLOB NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        extension TEXT NOT NULL,
        aaguid BLOB NOT NULL,
        public_key BLOB NOT NULL,
        scope BLOB NOT NULL,
        format TEXT NOT NULL,
        statement BLOB NOT NULL,
        PRIMARY KEY (credential_id, extension, number)
    ) STRICT;
";

const CREDENTIAL: &str = "SELECT id, user_handle, public_key, sign_count, backup_eligible, \
     backed_up, uv_initialized, transports, created_at, last_used FROM credentials";

/// A store in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    database: Connection,
}

impl SqliteStore {
    /// Opens a file, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Sqlite`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::with(Connection::open(path)?)
    }

    /// Makes a store that ends with the process.
    ///
    /// # Errors
    ///
    /// [`StoreError::Sqlite`].
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::with(Connection::open_in_memory()?)
    }

    fn with(database: Connection) -> Result<Self, StoreError> {
        database.execute_batch(SCHEMA)?;
        Ok(Self { database })
    }

    fn cmtg_of(&self, id: &[u8]) -> Result<Vec<CmtgRecord>, StoreError> {
        let mut query = self.database.prepare_cached(
            "SELECT public_key, created_at, last_used, trust, evidence FROM trust_group_keys \
             WHERE credential_id = ?1 ORDER BY created_at, public_key",
        )?;
        let rows = query.query_map([id], |row| {
            Ok((
                row.get::<_, Vec<u8>>(0)?,
                row.get::<_, u64>(1)?,
                row.get::<_, u64>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, String>(4)?,
            ))
        })?;
        let mut records = Vec::new();
        for row in rows {
            let (public_key, created_at, last_used, trust, evidence) = row?;
            let key_id = CoseKey::parse(&public_key)
                .map_err(|_| StoreError::Damaged)?
                .key_id();
            let trust = Trust::from_name(&trust);
            records.push(CmtgRecord {
                public_key,
                key_id,
                created_at,
                last_used,
                trust,
                evidence,
            });
        }
        Ok(records)
    }

    fn complete(&self, stored: Stored) -> Result<CredentialRecord, StoreError> {
        let cmtg = self.cmtg_of(&stored.id)?;
        let compat = keys::read(&self.database, &stored.id)?;
        let damaged = |_| StoreError::Damaged;
        let [backup_eligible, backed_up, uv_initialized] = stored.flags;
        Ok(CredentialRecord {
            id: CredentialId::from_bytes(&stored.id).map_err(damaged)?,
            user_handle: UserHandle::from_bytes(&stored.user_handle).map_err(damaged)?,
            public_key: CoseKey::parse(&stored.public_key).map_err(|_| StoreError::Damaged)?,
            transports: stored
                .transports
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            cmtg,
            compat,
            sign_count: stored.sign_count,
            backup_eligible,
            backed_up,
            uv_initialized,
            created_at: stored.created_at,
            last_used: stored.last_used,
        })
    }
}

/// A row of `credentials`: what must be parsed, and the rest.
struct Stored {
    id: Vec<u8>,
    user_handle: Vec<u8>,
    public_key: Vec<u8>,
    sign_count: u32,
    flags: [bool; 3],
    transports: String,
    created_at: u64,
    last_used: u64,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            user_handle: row.get(1)?,
            public_key: row.get(2)?,
            sign_count: row.get(3)?,
            flags: [row.get(4)?, row.get(5)?, row.get(6)?],
            transports: row.get(7)?,
            created_at: row.get(8)?,
            last_used: row.get(9)?,
        })
    }
}

impl Store for SqliteStore {
    fn user_named(&self, name: &str) -> Result<Option<User>, StoreError> {
        self.find_user("SELECT handle, name FROM users WHERE name = ?1", &name)
    }

    fn user(&self, handle: &UserHandle) -> Result<Option<User>, StoreError> {
        self.find_user(
            "SELECT handle, name FROM users WHERE handle = ?1",
            &handle.as_bytes(),
        )
    }

    fn credential(&self, id: &CredentialId) -> Result<Option<CredentialRecord>, StoreError> {
        let mut query = self
            .database
            .prepare_cached(&format!("{CREDENTIAL} WHERE id = ?1"))?;
        let stored = query.query_row([id.as_bytes()], Stored::read).optional()?;
        stored.map(|stored| self.complete(stored)).transpose()
    }

    fn credentials_of(&self, user: &UserHandle) -> Result<Vec<CredentialRecord>, StoreError> {
        let query = format!("{CREDENTIAL} WHERE user_handle = ?1 ORDER BY created_at, id");
        let mut query = self.database.prepare_cached(&query)?;
        let rows = query.query_map([user.as_bytes()], Stored::read)?;
        let stored: Vec<Stored> = rows.collect::<Result<_, _>>()?;
        stored
            .into_iter()
            .map(|stored| self.complete(stored))
            .collect()
    }

    fn add_credential(&mut self, user: &User, record: &CredentialRecord) -> Result<(), StoreError> {
        let change = self.database.transaction()?;
        insert(&change, user, record)?;
        Ok(change.commit()?)
    }

    fn update_credential(&mut self, record: &CredentialRecord) -> Result<(), StoreError> {
        let change = self.database.transaction()?;
        change.execute(
            "UPDATE credentials SET sign_count = ?2, backed_up = ?3, last_used = ?4 WHERE id = ?1",
            params![
                record.id.as_bytes(),
                record.sign_count,
                record.backed_up,
                record.last_used
            ],
        )?;
        change.execute(
            "DELETE FROM trust_group_keys WHERE credential_id = ?1",
            [record.id.as_bytes()],
        )?;
        write_cmtg(&change, record)?;
        keys::write(&change, record)?;
        Ok(change.commit()?)
    }

    fn replace_credentials(
        &mut self,
        user: &User,
        record: &CredentialRecord,
    ) -> Result<(), StoreError> {
        let change = self.database.transaction()?;
        insert(&change, user, record)?;
        change.execute(
            "DELETE FROM credentials WHERE user_handle = ?1 AND id <> ?2",
            [user.handle.as_bytes(), record.id.as_bytes()],
        )?;
        Ok(change.commit()?)
    }

    fn credentials_with_cmtg_key(&self, key: &CoseKey) -> Result<Vec<CredentialId>, StoreError> {
        let mut query = self.database.prepare_cached(
            "SELECT credential_id FROM trust_group_keys WHERE public_key = ?1 \
             ORDER BY credential_id",
        )?;
        let rows = query.query_map([key.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|id| CredentialId::from_bytes(&id?).map_err(|_| StoreError::Damaged))
            .collect()
    }
}

impl SqliteStore {
    fn find_user(
        &self,
        query: &str,
        key: &dyn rusqlite::ToSql,
    ) -> Result<Option<User>, StoreError> {
        let found = self
            .database
            .query_row(query, [key], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?))
            })
            .optional()?;
        found
            .map(|(handle, name)| {
                let handle = UserHandle::from_bytes(&handle).map_err(|_| StoreError::Damaged)?;
                Ok(User { handle, name })
            })
            .transpose()
    }
}

fn conflict(error: rusqlite::Error, meaning: StoreError) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => meaning,
        _ => error.into(),
    }
}

fn insert(
    change: &Transaction<'_>,
    user: &User,
    record: &CredentialRecord,
) -> Result<(), StoreError> {
    let handle = user.handle.as_bytes();
    let known: Option<String> = change
        .query_row(
            "SELECT name FROM users WHERE handle = ?1",
            [handle],
            |row| row.get(0),
        )
        .optional()?;
    if known.is_none() {
        change
            .execute(
                "INSERT INTO users (handle, name) VALUES (?1, ?2)",
                params![handle, user.name],
            )
            .map_err(|error| conflict(error, StoreError::NameTaken))?;
    }
    change
        .execute(
            "INSERT INTO credentials VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                record.id.as_bytes(),
                handle,
                record.public_key.as_bytes(),
                record.sign_count,
                record.backup_eligible,
                record.backed_up,
                record.uv_initialized,
                record.transports.join(" "),
                record.created_at,
                record.last_used,
            ],
        )
        .map_err(|error| conflict(error, StoreError::CredentialExists))?;
    write_cmtg(change, record)?;
    keys::write(change, record)
}

fn write_cmtg(change: &Transaction<'_>, record: &CredentialRecord) -> Result<(), StoreError> {
    for key in &record.cmtg {
        change.execute(
            "INSERT INTO trust_group_keys VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                record.id.as_bytes(),
                key.public_key,
                key.created_at,
                key.last_used,
                key.trust.name(),
                key.evidence,
            ],
        )?;
    }
    Ok(())
}
