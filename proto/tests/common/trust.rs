//! Devices of one vault, and messages between them that are made by hand.

use handfast_proto::cbor::{self, Map};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ids::{CredentialId, UserHandle};
use handfast_proto::trust::join::{Granter, JoinConfig, OfferedGroup};
use handfast_proto::trust::{
    DeviceId, DeviceKeys, DeviceName, Epoch, GroupId, GroupKey, KeyTuple, MemberKey, Method,
    VaultId,
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use rand_core::OsRng;
use sha2::Sha256;

pub(crate) const VAULT: VaultId = VaultId([0xaa; 16]);
pub(crate) const VAULT_KEY: [u8; 32] = [0xbb; 32];
pub(crate) const SESSION: [u8; 32] = [0xcc; 32];
pub(crate) const GROUP: OfferedGroup = OfferedGroup {
    id: GroupId([0xdd; 16]),
    epoch: Epoch(3),
};

/// A device that has opened the vault.
pub(crate) struct Device {
    pub(crate) keys: DeviceKeys,
    pub(crate) member: MemberKey,
    name: &'static str,
}

impl Device {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            keys: DeviceKeys::generate(&mut OsRng),
            member: MemberKey::derive(&VAULT_KEY),
            name,
        }
    }

    pub(crate) fn config(&self) -> JoinConfig<'_> {
        JoinConfig {
            keys: &self.keys,
            member: &self.member,
            vault: VAULT,
            name: DeviceName::parse(self.name).unwrap(),
            method: Method::HybridQr,
        }
    }

    pub(crate) fn granter(&self) -> Granter<'_> {
        Granter {
            config: self.config(),
            group: GROUP,
            session: SESSION,
            removed: &[],
        }
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.keys.device_id()
    }
}

/// The tag of a message by a member of the vault, by the standards' primitives alone.
pub(crate) fn member_tag(message: &[u8]) -> Vec<u8> {
    let mut key = [0; 32];
    let hkdf = Hkdf::<Sha256>::new(Some(&[]), &VAULT_KEY);
    hkdf.expand(b"tg-member/v1", &mut key).unwrap();
    let mac = <Hmac<Sha256> as Mac>::new_from_slice(&key).unwrap();
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

pub(crate) fn group_key(algorithm: Algorithm, presented: Option<u64>) -> GroupKey {
    GroupKey {
        tuple: KeyTuple {
            rp_id_hash: [1; 32],
            credential_id: CredentialId::from_bytes(&[2; 20]).unwrap(),
            user_handle: UserHandle::from_bytes(&[3; 8]).unwrap(),
        },
        key: SigningKey::generate(algorithm, &mut OsRng),
        created_at: 100,
        first_presented_at: presented,
        retired: false,
    }
}

/// Reads a map.
pub(crate) fn map(cbor: &[u8]) -> Map {
    cbor::decode(cbor).unwrap().into_map().unwrap()
}

/// The bytes of a map's member.
pub(crate) fn bytes(map: &Map, key: i64) -> Vec<u8> {
    map.int(key).unwrap().as_bytes().unwrap().to_vec()
}

/// A map without one of its members.
pub(crate) fn without(map: &Map, key: i64) -> Map {
    map.iter()
        .filter(|(name, _)| name.as_i64() != Some(key))
        .fold(Map::new(), |map, (key, value)| {
            map.with(key.clone(), value.clone())
        })
}

/// The same with one bit flipped, another in each byte in turn.
pub(crate) fn altered(good: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..good.len()).map(|byte| {
        let mut bad = good.to_vec();
        bad[byte] ^= 1 << (byte % 8);
        (byte, bad)
    })
}
