//! Reading members out of maps, with the status or the error that each fault has.

use crate::cbor::{self, Map, Value};
use crate::ctap2::{ResponseError, RpEntity, Status, UserEntity};
use crate::extension::prf;
use crate::ids::{ClientDataHash, CredentialId, IdError, RpId, UserHandle};

/// The members of a request's map.
pub(super) struct Members(Map);

impl Members {
    /// Reads the map of a request that has no extensions.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Status> {
        let value = cbor::decode(bytes).map_err(|_| Status::INVALID_CBOR)?;
        let map = value.into_map().ok_or(Status::CBOR_UNEXPECTED_TYPE)?;
        Ok(Self(map))
    }

    /// Reads the map of a request whose extensions are under this key.
    pub(super) fn of_request(bytes: &[u8], extensions: i64) -> Result<Self, Status> {
        let value = cbor::decode_with_depth(bytes, cbor::MESSAGE_DEPTH + 1)
            .map_err(|_| Status::INVALID_CBOR)?;
        let map = value.into_map().ok_or(Status::CBOR_UNEXPECTED_TYPE)?;
        let fits = map.iter().all(|(key, value)| {
            fits(value, 1) || *key == extensions.into() && extensions_fit(value)
        });
        fits.then_some(Self(map)).ok_or(Status::INVALID_CBOR)
    }

    pub(super) fn required(&self, key: i64) -> Result<&Value, Status> {
        self.0.int(key).ok_or(Status::MISSING_PARAMETER)
    }

    pub(super) fn optional<'a, T>(
        &'a self,
        key: i64,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Status> {
        self.0.int(key).map(|value| typed(read(value))).transpose()
    }

    pub(super) fn client_data_hash(&self, key: i64) -> Result<ClientDataHash, Status> {
        let bytes = typed(self.required(key)?.as_bytes())?;
        bytes
            .try_into()
            .map(ClientDataHash)
            .map_err(|_| Status::INVALID_LENGTH)
    }

    pub(super) fn extensions(&self, key: i64) -> Result<Map, Status> {
        Ok(self
            .optional(key, |value| value.as_map().cloned())?
            .unwrap_or_default())
    }

    /// Reads a list of credential descriptors; those of another type than `public-key` are passed
    /// over, and so are IDs that no credential can have.
    pub(super) fn credentials(&self, key: i64) -> Result<Vec<CredentialId>, Status> {
        let Some(list) = self.optional(key, Value::as_array)? else {
            return Ok(Vec::new());
        };
        let mut credentials = Vec::new();
        for item in list {
            let descriptor = typed(item.as_map())?;
            let kind = typed(member(descriptor, "type")?.as_text())?;
            let id = typed(member(descriptor, "id")?.as_bytes())?;
            if kind == "public-key" {
                credentials.extend(CredentialId::from_bytes(id).ok());
            }
        }
        Ok(credentials)
    }

    pub(super) fn option(&self, key: i64, name: &str) -> Result<Option<bool>, Status> {
        let Some(options) = self.optional(key, Value::as_map)? else {
            return Ok(None);
        };
        options
            .text(name)
            .map(|value| typed(value.as_bool()))
            .transpose()
    }
}

/// Whether a value at this depth nests no deeper than a message may (CTAP 2.3 §8).
fn fits(value: &Value, depth: usize) -> bool {
    let inner = depth + 1;
    match (value.as_array(), value.as_map()) {
        (None, None) => true,
        _ if inner > cbor::MESSAGE_DEPTH => false,
        (Some(items), _) => items.iter().all(|item| fits(item, inner)),
        (_, Some(map)) => map
            .iter()
            .all(|(key, value)| fits(key, inner) && fits(value, inner)),
    }
}

/// `evalByCredential` of `prf`, which clients send to phones, is one level deeper than the standard
/// allows (`hybrid-transport.md` §11.3); nothing else may be.
fn extensions_fit(value: &Value) -> bool {
    value.as_map().is_some_and(|map| {
        let mut all = map.iter();
        all.all(|(name, value)| name.as_text() == Some(prf::NAME) || fits(value, 2))
    })
}

pub(super) fn typed<T>(read: Option<T>) -> Result<T, Status> {
    read.ok_or(Status::CBOR_UNEXPECTED_TYPE)
}

pub(super) fn member<'a>(map: &'a Map, name: &str) -> Result<&'a Value, Status> {
    map.text(name).ok_or(Status::MISSING_PARAMETER)
}

pub(super) fn identifier_status(error: IdError) -> Status {
    match error {
        IdError::IllegalCharacter => Status::INVALID_PARAMETER,
        IdError::Empty | IdError::TooLong => Status::INVALID_LENGTH,
    }
}

fn optional_text(map: &Map, name: &str) -> Result<Option<String>, Status> {
    map.text(name)
        .map(|value| typed(value.as_text()).map(str::to_owned))
        .transpose()
}

/// Reads an RP ID, which clients send as it is hashed: in small letters.
pub(super) fn parse_rp_id(text: &str) -> Result<RpId, Status> {
    let id = RpId::parse(text).map_err(identifier_status)?;
    match id.as_str() == text {
        true => Ok(id),
        false => Err(Status::INVALID_PARAMETER),
    }
}

pub(super) fn rp_entity(value: &Value) -> Result<RpEntity, Status> {
    let map = typed(value.as_map())?;
    let id = parse_rp_id(typed(member(map, "id")?.as_text())?)?;
    Ok(RpEntity {
        id,
        name: optional_text(map, "name")?,
    })
}

pub(super) fn user_entity(value: &Value) -> Result<UserEntity, Status> {
    let map = typed(value.as_map())?;
    let id = typed(member(map, "id")?.as_bytes())?;
    Ok(UserEntity {
        id: UserHandle::from_bytes(id).map_err(identifier_status)?,
        name: optional_text(map, "name")?,
        display_name: optional_text(map, "displayName")?,
    })
}

/// The members of a response's map.
pub(super) struct Reply(Map);

impl Reply {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ResponseError> {
        cbor::decode(bytes)?
            .into_map()
            .map(Self)
            .ok_or(ResponseError::NotMap)
    }

    pub(super) fn required<'a, T>(
        &'a self,
        key: u8,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, ResponseError> {
        self.optional(key, read)?.ok_or(ResponseError::Missing(key))
    }

    pub(super) fn optional<'a, T>(
        &'a self,
        key: u8,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ResponseError> {
        self.0
            .int(key.into())
            .map(|value| read(value).ok_or(ResponseError::WrongType(key)))
            .transpose()
    }
}

/// Returns the descriptor of a credential: its ID and its type.
pub(super) fn descriptor(id: &CredentialId) -> Value {
    Map::new()
        .with("id", id.as_bytes())
        .with("type", "public-key")
        .into()
}

/// Returns a list of descriptors, or nothing for an empty list: CTAP2 wants it left out.
pub(super) fn descriptors(ids: &[CredentialId]) -> Option<Vec<Value>> {
    (!ids.is_empty()).then(|| ids.iter().map(descriptor).collect())
}

/// Returns a map, or nothing if it is empty.
pub(super) fn unless_empty(map: &Map) -> Option<Map> {
    (!map.is_empty()).then(|| map.clone())
}

/// Returns an options map, or nothing if none is given.
pub(super) fn options(given: &[(&str, Option<bool>)]) -> Option<Map> {
    let options = given.iter().fold(Map::new(), |options, &(name, value)| {
        options.with_some(name, value)
    });
    unless_empty(&options)
}
