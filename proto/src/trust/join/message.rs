//! The bytes of the steps.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Code, JoinConfig, JoinError, OfferedGroup, Peer};
use crate::cbor::{self, Map, SecretMap, Value};
use crate::cose::{Algorithm, CoseKey, SigningKey};
use crate::ctap2::{Status, split_reply};
use crate::ids::{CredentialId, UserHandle};
use crate::trust::identity::{
    DeviceId, DeviceName, Epoch, GroupId, GroupSecret, Method, VaultId, parse_mk,
};
use crate::trust::key::{GroupKey, KeyTuple};
use crate::trust::wrap::presented;

const JOIN: &str = "tg-join/v1";
const GRANT: &str = "tg-grant/v1";

/// A step of the exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    Join = 1,
    Confirm = 2,
    Merge = 3,
}

impl Step {
    fn number(self) -> u64 {
        match self {
            Self::Join => 1,
            Self::Confirm => 2,
            Self::Merge => 3,
        }
    }
}

/// The map that every request and reply is.
pub(super) struct Envelope(Map);

impl Envelope {
    pub(super) fn new(step: Step) -> Self {
        Self(Map::new().with(1, step.number()))
    }

    pub(super) fn with(self, key: u8, bytes: impl Into<Vec<u8>>) -> Self {
        Self(self.0.with(key, bytes.into()))
    }

    pub(super) fn request(self) -> Vec<u8> {
        [
            &[crate::ctap2::command::TRUST_GROUP],
            self.0.encode().as_slice(),
        ]
        .concat()
    }

    pub(super) fn reply(self) -> Vec<u8> {
        [&[Status::OK.0], self.0.encode().as_slice()].concat()
    }

    /// Reads a request's CBOR, which must be of this step and have just these members.
    pub(super) fn parse(cbor: &[u8], step: Step, members: &[u8]) -> Result<Self, JoinError> {
        let map = cbor::decode(cbor)
            .ok()
            .and_then(Value::into_map)
            .ok_or(JoinError::Malformed)?;
        if map.int(1).and_then(Value::as_u64) != Some(step.number()) {
            return Err(JoinError::Step);
        }
        let envelope = Self(map);
        let complete = members.iter().all(|key| envelope.bytes(*key).is_ok());
        if complete && envelope.0.len() == members.len() + 1 {
            Ok(envelope)
        } else {
            Err(JoinError::Malformed)
        }
    }

    pub(super) fn parse_reply(reply: &[u8], step: Step, members: &[u8]) -> Result<Self, JoinError> {
        Self::parse(
            split_reply(reply).map_err(JoinError::Refused)?,
            step,
            members,
        )
    }

    pub(super) fn bytes(&self, key: u8) -> Result<&[u8], JoinError> {
        self.0
            .int(key.into())
            .and_then(Value::as_bytes)
            .ok_or(JoinError::Malformed)
    }
}

pub(super) fn vault_hash(vault: &VaultId) -> [u8; 32] {
    Sha256::digest(vault.0).into()
}

pub(super) fn join_bytes(config: &JoinConfig<'_>, session: &[u8; 32], nonce: [u8; 32]) -> Vec<u8> {
    Map::new()
        .with(1, JOIN)
        .with(2, session)
        .with(3, config.keys.device_id().0)
        .with(4, config.keys.dsk().public_key().as_bytes())
        .with(5, config.keys.mk_public())
        .with(6, nonce)
        .with(7, vault_hash(&config.vault))
        .with(8, config.name.as_str())
        .with(9, config.method.number())
        .encode()
}

pub(super) fn grant_bytes(
    config: &JoinConfig<'_>,
    session: &[u8; 32],
    join: &[u8],
    group: OfferedGroup,
    nonce: [u8; 32],
) -> Vec<u8> {
    let join_hash: [u8; 32] = Sha256::digest(join).into();
    Map::new()
        .with(1, GRANT)
        .with(2, session)
        .with(3, join_hash)
        .with(4, config.keys.device_id().0)
        .with(5, group.id.0)
        .with(6, group.epoch.0)
        .with(7, nonce)
        .with(8, config.keys.dsk().public_key().as_bytes())
        .with(9, config.keys.mk_public())
        .with(10, config.name.as_str())
        .with(11, config.method.number())
        .encode()
}

/// The content of a JOIN or OFFER, with its signature and member tag checked.
pub(super) struct Checked {
    map: Map,
    pub(super) bytes: Vec<u8>,
    pub(super) peer: Peer,
}

/// Where the members that both messages have stand in them.
pub(super) struct Layout {
    kind: &'static str,
    members: usize,
    nonce: i64,
    device: i64,
    dsk: i64,
    mk: i64,
    name: i64,
    method: i64,
}

pub(super) const JOIN_LAYOUT: Layout = Layout {
    kind: JOIN,
    members: 9,
    nonce: 6,
    device: 3,
    dsk: 4,
    mk: 5,
    name: 8,
    method: 9,
};
pub(super) const GRANT_LAYOUT: Layout = Layout {
    kind: GRANT,
    members: 11,
    nonce: 7,
    device: 4,
    dsk: 8,
    mk: 9,
    name: 10,
    method: 11,
};

impl Checked {
    pub(super) fn read(
        envelope: &Envelope,
        layout: &Layout,
        config: &JoinConfig<'_>,
        session: &[u8; 32],
    ) -> Result<Self, JoinError> {
        let bytes = envelope.bytes(2)?.to_vec();
        let map = cbor::decode(&bytes).ok().and_then(Value::into_map);
        let map = map
            .filter(|map| map.len() == layout.members)
            .ok_or(JoinError::Malformed)?;
        let peer = read_peer(&map, layout).ok_or(JoinError::Malformed)?;
        let checked = Self { map, bytes, peer };
        checked.array::<32>(layout.nonce)?;
        if checked.array::<32>(2)? != *session {
            return Err(JoinError::OtherSession);
        }
        if DeviceId::of(&checked.peer.dsk) != checked.peer.device {
            return Err(JoinError::OtherDevice);
        }
        let signature = envelope.bytes(3)?;
        let verified = checked.peer.dsk.verify(&checked.bytes, signature);
        verified.map_err(|_| JoinError::Signature)?;
        if !config.member.verify(&checked.bytes, envelope.bytes(4)?) {
            return Err(JoinError::NotInVault);
        }
        if checked.peer.method != config.method {
            return Err(JoinError::Method);
        }
        Ok(checked)
    }

    pub(super) fn array<const N: usize>(&self, key: i64) -> Result<[u8; N], JoinError> {
        let bytes = self.map.int(key).and_then(Value::as_bytes);
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(JoinError::Malformed)
    }

    pub(super) fn epoch(&self, key: i64) -> Result<Epoch, JoinError> {
        let number = self.map.int(key).and_then(Value::as_u64);
        number
            .and_then(Epoch::from_number)
            .ok_or(JoinError::Malformed)
    }
}

fn read_peer(map: &Map, layout: &Layout) -> Option<Peer> {
    if map.int(1)?.as_text()? != layout.kind {
        return None;
    }
    let dsk = CoseKey::parse(map.int(layout.dsk)?.as_bytes()?).ok()?;
    (dsk.algorithm() == Algorithm::Es256).then_some(())?;
    Some(Peer {
        device: DeviceId(map.int(layout.device)?.as_bytes()?.try_into().ok()?),
        dsk,
        mk: parse_mk(map.int(layout.mk)?.as_bytes()?)?,
        name: DeviceName::parse(map.int(layout.name)?.as_text()?).ok()?,
        method: Method::from_number(map.int(layout.method)?.as_u64()?)?,
    })
}

/// What both sides agreed on, and what follows from it.
pub(super) struct Transcript {
    pub(super) join: Vec<u8>,
    pub(super) grant: Vec<u8>,
}

impl Transcript {
    fn hash(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(&self.join)
            .chain_update(&self.grant)
            .finalize()
            .into()
    }

    pub(super) fn code(&self) -> Code {
        let digest = Sha256::new()
            .chain_update(b"tg-code/v1")
            .chain_update(self.hash());
        let digest: [u8; 32] = digest.finalize().into();
        let number = digest
            .first_chunk()
            .map_or(0, |first| u64::from_be_bytes(*first));
        // A remainder of a million fits.
        Code(u32::try_from(number % 1_000_000).unwrap_or(0))
    }

    pub(super) fn transfer_info(&self) -> Vec<u8> {
        [b"tg-transfer/v1".as_slice(), &self.hash()].concat()
    }

    pub(super) fn merge_info(&self) -> Vec<u8> {
        [b"tg-merge/v1".as_slice(), &self.hash()].concat()
    }
}

/// Writes the plaintext of SEALED (with the group secret) or MERGE (without).
pub(super) fn plaintext(
    group: OfferedGroup,
    secret: Option<&GroupSecret>,
    keys: &[&GroupKey],
) -> Result<Zeroizing<Vec<u8>>, JoinError> {
    let mut records = Vec::new();
    for key in keys.iter().filter(|key| !key.retired) {
        let pkcs8 = key.key.to_pkcs8_der().map_err(|_| JoinError::Key)?;
        let record = Map::new()
            .with(1, key.tuple.rp_id_hash)
            .with(2, key.tuple.credential_id.as_bytes())
            .with(3, key.tuple.user_handle.as_bytes())
            .with(4, key.key.algorithm().id())
            .with(5, pkcs8.as_slice())
            .with(6, key.created_at)
            .with(7, key.first_presented_at.map_or(Value::Null, Value::from));
        records.push(Value::Map(record));
    }
    let map = Map::new()
        .with(1, group.id.0)
        .with(2, group.epoch.0)
        .with_some(3, secret.map(|secret| secret.expose().as_slice()))
        .with(4, records);
    Ok(SecretMap::from(map).encode())
}

/// Reads a plaintext of the offered group.
pub(super) fn parse_plaintext(
    plaintext: &[u8],
    group: OfferedGroup,
    with_secret: bool,
) -> Result<(Option<GroupSecret>, Vec<GroupKey>), JoinError> {
    let map = SecretMap::decode(plaintext).ok().flatten();
    let map = map.ok_or(JoinError::Malformed)?;
    let id = map.int(1).and_then(Value::as_bytes);
    let epoch = map.int(2).and_then(Value::as_u64);
    if id != Some(&group.id.0) || epoch != Some(group.epoch.0.into()) {
        return Err(JoinError::OtherJoin);
    }
    let secret = map.int(3).map(|value| value.as_bytes()?.try_into().ok());
    let secret = match (secret, with_secret) {
        (Some(Some(secret)), true) => Some(GroupSecret::from_bytes(secret)),
        (None, false) => None,
        _ => return Err(JoinError::Malformed),
    };
    let records = map
        .int(4)
        .and_then(Value::as_array)
        .ok_or(JoinError::Malformed)?;
    let keys = records
        .iter()
        .map(|record| parse_record(record).ok_or(JoinError::Malformed));
    Ok((secret, keys.collect::<Result<_, _>>()?))
}

fn parse_record(record: &Value) -> Option<GroupKey> {
    let map = record.as_map()?;
    let key = SigningKey::from_pkcs8_der(map.int(5)?.as_bytes()?).ok()?;
    (key.algorithm().id() == map.int(4)?.as_i64()?).then_some(())?;
    Some(GroupKey {
        tuple: KeyTuple {
            rp_id_hash: map.int(1)?.as_bytes()?.try_into().ok()?,
            credential_id: CredentialId::from_bytes(map.int(2)?.as_bytes()?).ok()?,
            user_handle: UserHandle::from_bytes(map.int(3)?.as_bytes()?).ok()?,
        },
        key,
        created_at: map.int(6)?.as_u64()?,
        first_presented_at: presented(map.int(7)?)?,
        retired: false,
    })
}

pub(super) fn group_of(checked: &Checked) -> Result<OfferedGroup, JoinError> {
    Ok(OfferedGroup {
        id: GroupId(checked.array(5)?),
        epoch: checked.epoch(6)?,
    })
}
