//! The keys of `devicePubKey` and `supplementalPubKeys`, in the order in which they were learned.

use handfast_proto::cbor;
use handfast_proto::extension::attested_key::Scope;
use handfast_proto::extension::{device_pub_key, supplemental_pub_keys};
use handfast_proto::ids::Aaguid;
use rusqlite::{Connection, Row, Transaction, params};

use crate::compat::{KeyRecord, KeyRecords};
use crate::record::CredentialRecord;
use crate::store::StoreError;

/// Reads all that are kept of a passkey.
pub(super) fn read(database: &Connection, id: &[u8]) -> Result<KeyRecords, StoreError> {
    Ok(KeyRecords {
        device: read_of(database, id, device_pub_key::NAME)?,
        supplemental: read_of(database, id, supplemental_pub_keys::NAME)?,
    })
}

fn read_of<S: Scope>(
    database: &Connection,
    id: &[u8],
    extension: &str,
) -> Result<Vec<KeyRecord<S>>, StoreError> {
    let mut query = database.prepare_cached(
        "SELECT aaguid, public_key, scope, format, statement FROM attested_keys \
         WHERE credential_id = ?1 AND extension = ?2 ORDER BY number",
    )?;
    let rows = query.query_map(params![id, extension], Stored::read)?;
    rows.map(|row| row?.parse().ok_or(StoreError::Damaged))
        .collect()
}

/// Replaces all that are kept of a passkey.
pub(super) fn write(change: &Transaction<'_>, record: &CredentialRecord) -> Result<(), StoreError> {
    let id = record.id.as_bytes();
    change.execute("DELETE FROM attested_keys WHERE credential_id = ?1", [id])?;
    write_of(change, id, device_pub_key::NAME, &record.compat.device)?;
    let supplemental = &record.compat.supplemental;
    write_of(change, id, supplemental_pub_keys::NAME, supplemental)
}

fn write_of<S: Scope>(
    change: &Transaction<'_>,
    id: &[u8],
    extension: &str,
    keys: &[KeyRecord<S>],
) -> Result<(), StoreError> {
    for (number, key) in keys.iter().enumerate() {
        change.execute(
            "INSERT INTO attested_keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                id,
                u64::try_from(number).unwrap_or(u64::MAX),
                extension,
                key.aaguid.0,
                key.public_key,
                key.scope.to_value().encode(),
                key.format,
                key.statement,
            ],
        )?;
    }
    Ok(())
}

/// A row, before it is parsed.
struct Stored {
    aaguid: Vec<u8>,
    public_key: Vec<u8>,
    scope: Vec<u8>,
    format: String,
    statement: Vec<u8>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            aaguid: row.get(0)?,
            public_key: row.get(1)?,
            scope: row.get(2)?,
            format: row.get(3)?,
            statement: row.get(4)?,
        })
    }

    fn parse<S: Scope>(self) -> Option<KeyRecord<S>> {
        Some(KeyRecord {
            aaguid: Aaguid(self.aaguid.try_into().ok()?),
            public_key: self.public_key,
            scope: S::parse(&cbor::decode(&self.scope).ok()?)?,
            format: self.format,
            statement: self.statement,
        })
    }
}
