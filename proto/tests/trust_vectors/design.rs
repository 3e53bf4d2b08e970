//! Joining and wrapping, as the design has them.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use handfast_proto::cbor::{self, Map};
use handfast_proto::trust::join::{Granter, JoinConfig, Joiner, OfferedGroup};
use handfast_proto::trust::wrap::{WrapError, key_file_header, open_key, seal_key};
use handfast_proto::trust::{
    DeviceId, DeviceKeys, DeviceName, Epoch, GroupId, GroupSecret, MemberKey, Method, VaultId,
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use hpke::aead::{Aead as _, AesGcm256};
use hpke::kdf::{HkdfSha256, Kdf as _};
use hpke::kem::{DhP256HkdfSha256, Kem};
use hpke::{Deserializable as _, OpModeR, single_shot_open};
use sha2::{Digest, Sha256};

use crate::common::Known;
use crate::common::vectors::Node;
use crate::messages::assert_key;

struct Device {
    keys: DeviceKeys,
    member: MemberKey,
    vault: VaultId,
}

impl Device {
    fn new(design: &Node<'_>, name: &str) -> Self {
        let device = design.at(name);
        let dsk = assert_key(&device.at("signingKey"));
        let pkcs8 = dsk.to_pkcs8_der().unwrap();
        let keys = DeviceKeys::from_parts(&pkcs8, &device.bytes("memberPrivateScalar")).unwrap();
        assert_eq!(keys.device_id(), DeviceId(device.array("deviceId")));
        assert_eq!(keys.mk_public().to_vec(), device.bytes("memberPublicKey"));
        Self {
            keys,
            member: MemberKey::derive(&design.array("vaultKey")),
            vault: VaultId(design.array("vaultId")),
        }
    }

    fn config(&self, name: &str) -> JoinConfig<'_> {
        JoinConfig {
            keys: &self.keys,
            member: &self.member,
            vault: self.vault,
            name: DeviceName::parse(name).unwrap(),
            method: Method::HybridQr,
        }
    }
}

fn group(design: &Node<'_>) -> OfferedGroup {
    let wrap = design.at("wrap");
    OfferedGroup {
        id: GroupId(wrap.array("groupId")),
        epoch: Epoch::from_number(wrap.number("epoch")).unwrap(),
    }
}

fn member_of(message: &[u8], key: i64) -> cbor::Value {
    let map = cbor::decode(message).unwrap().into_map().unwrap();
    map.int(key).unwrap().clone()
}

/// The envelope of a signed message.
fn signed(design: &Node<'_>, name: &str) -> Map {
    Map::new()
        .with(1, 1)
        .with(2, design.bytes(name))
        .with(3, design.bytes(&format!("{name}Signature")))
        .with(4, design.bytes(&format!("{name}MemberTag")))
}

/// The envelope of a sealed message.
fn sealed(from: &Node<'_>, step: u8) -> Vec<u8> {
    Map::new()
        .with(1, step)
        .with(2, from.bytes("ciphertext"))
        .with(4, from.bytes("enc"))
        .encode()
}

/// Plays both sides with the vectors' nonces and compares every message; of the sealed ones, which
/// are random, the vectors' own are opened.
pub(crate) fn a_join_is_reproduced_to_the_byte(all: &Node<'_>) {
    let design = all.at("ourDesign");
    let (phone, laptop) = (
        Device::new(&design, "deviceA"),
        Device::new(&design, "deviceB"),
    );
    let (join, grant) = (design.bytes("join"), design.bytes("grant"));
    let session: [u8; 32] = design.array("handshakeHash");
    let name = |message: &[u8], key| member_of(message, key).into_text().unwrap();
    let nonce = |message: &[u8], key| Known(member_of(message, key).into_bytes().unwrap());
    let envelope = |message: &[u8]| cbor::decode(&message[1..]).unwrap().into_map().unwrap();

    let laptop_config = laptop.config(&name(&join, 8));
    let (joiner, request) = Joiner::start(&laptop_config, session, &mut nonce(&join, 6));
    assert_eq!(envelope(&request), signed(&design, "join"));
    let granter = Granter {
        config: phone.config(&name(&grant, 10)),
        group: group(&design),
        session,
        removed: &[],
    };
    let (pending, offer) = granter
        .handle_join(&request[1..], &mut nonce(&grant, 7))
        .unwrap();
    assert_eq!(envelope(&offer), signed(&design, "grant"));
    assert_eq!(pending.code().to_string(), design.text("confirmationCode"));
    let offered = joiner.handle_offer(&offer, &laptop_config).unwrap();
    assert_eq!(offered.code(), pending.code());
    assert_eq!(offered.granter().device, phone.keys.device_id());

    let (awaiting, confirm) = offered.confirm();
    let confirmed = pending.handle_confirm(&confirm[1..]).unwrap();
    let granted = awaiting
        .handle_sealed(&[vec![0], sealed(&design, 2)].concat(), &laptop.keys)
        .unwrap();
    let secret: [u8; 32] = design.at("wrap").array("groupSecret");
    assert_eq!(granted.secret.expose(), &secret);
    assert_eq!(granted.keys.len(), 1);
    // The vectors' MERGE is opened after a SEALED of our own.
    let secret = GroupSecret::from_bytes(secret);
    let (merging, _) = confirmed
        .seal(&secret, &[], &mut Known(vec![5; 64]))
        .unwrap();
    let merge = sealed(&design.at("merge"), 3);
    let (keys, ack) = merging.handle_merge(&merge, &phone.keys).unwrap();
    assert_eq!(keys.len(), 1);
    granted.handle_ack(&ack).unwrap();
}

fn hkdf_32(salt: &[u8], ikm: &[u8], info: &[u8]) -> [u8; 32] {
    let mut output = [0; 32];
    let hkdf = Hkdf::<Sha256>::new(Some(salt), ikm);
    hkdf.expand(info, &mut output).unwrap();
    output
}

fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap();
    mac.chain_update(message).finalize().into_bytes().into()
}

/// The same values once more, by the standards' primitives alone.
pub(crate) fn what_is_derived_and_sealed_is_what_the_design_says(all: &Node<'_>) {
    let design = all.at("ourDesign");
    let member = hkdf_32(&[], &design.bytes("vaultKey"), b"tg-member/v1");
    assert_eq!(member, design.array("memberKey"));
    let (join, grant) = (design.bytes("join"), design.bytes("grant"));
    assert_eq!(hmac(&member, &join), design.array("joinMemberTag"));
    assert_eq!(hmac(&member, &grant), design.array("grantMemberTag"));

    let suite = design.at("hpkeSuite");
    let kem = <DhP256HkdfSha256 as Kem>::KEM_ID;
    assert_eq!(u64::from(kem), suite.number("kem"));
    assert_eq!(u64::from(HkdfSha256::KDF_ID), suite.number("kdf"));
    assert_eq!(u64::from(AesGcm256::AEAD_ID), suite.number("aead"));
    assert_eq!(suite.number("mode"), 0, "base");

    let transcript = Sha256::digest([join.as_slice(), &grant].concat());
    let info = |label: &[u8]| [label, &transcript].concat();
    let merge = design.at("merge");
    for (sealed, to, label, aad) in [
        (&design, "deviceB", &b"tg-transfer/v1"[..], &grant),
        (&merge, "deviceA", b"tg-merge/v1", &join),
    ] {
        assert_eq!(sealed.bytes("info"), info(label));
        assert_eq!(sealed.bytes("aad"), *aad);
        let scalar = design.at(to).bytes("memberPrivateScalar");
        let plaintext = open(&scalar, sealed);
        assert_eq!(plaintext, sealed.bytes("plaintext"), "{}", sealed.path());
    }
    let inside = "HPKE's own state, which its library does not show";
    design.at("intermediate").skip(inside);
    design.at("status").skip("says whose design it is");
}

fn open(scalar: &[u8], sealed: &Node<'_>) -> Vec<u8> {
    let key = <DhP256HkdfSha256 as Kem>::PrivateKey::from_bytes(scalar).unwrap();
    let enc = <DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(&sealed.bytes("enc")).unwrap();
    single_shot_open::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
        &OpModeR::Base,
        &key,
        &enc,
        &sealed.bytes("info"),
        &sealed.bytes("ciphertext"),
        &sealed.bytes("aad"),
    )
    .unwrap()
}

pub(crate) fn a_wrapped_key_is_reproduced_to_the_byte_and_opens_only_as_it_was_sealed(
    all: &Node<'_>,
) {
    let wrap = all.at("ourDesign").at("wrap");
    let secret = GroupSecret::from_bytes(wrap.array("groupSecret"));
    let OfferedGroup { id: group, epoch } = group(&all.at("ourDesign"));
    let (aad, nonce) = (wrap.bytes("aad"), wrap.bytes("nonce"));
    let file = Map::new()
        .with(1, "tg-key-file/v1")
        .with(2, aad.as_slice())
        .with(3, nonce.as_slice())
        .with(4, wrap.bytes("ciphertext"))
        .encode();
    let header = key_file_header(&file).unwrap();
    assert_eq!((header.group, header.epoch), (group, epoch));
    let key = open_key(&secret, group, &file).unwrap();
    assert_eq!(key.key_id(), header.key_id);
    assert_eq!(
        (key.created_at, key.first_presented_at, key.retired),
        (100, Some(300), false)
    );
    let sealed = seal_key(&secret, group, epoch, &key, &mut Known(nonce.clone()));
    assert_eq!(sealed.unwrap(), file);

    let info = [b"tg-wrap/v1", &epoch.0.to_be_bytes()[..]].concat();
    let wrap_key = hkdf_32(&group.0, secret.expose(), &info);
    assert_eq!(wrap_key, wrap.array("wrapKey"));
    let payload = Payload {
        msg: &wrap.bytes("ciphertext"),
        aad: &aad,
    };
    let plaintext = Aes256Gcm::new(&wrap_key.into()).decrypt(Nonce::from_slice(&nonce), payload);
    assert_eq!(plaintext.unwrap(), wrap.bytes("plaintext"));

    let stranger = GroupSecret::from_bytes([0; 32]);
    let opened = open_key(&stranger, group, &file);
    assert_eq!(opened.err(), Some(WrapError::Sealed));
    let other = open_key(&secret, GroupId([0; 16]), &file);
    assert_eq!(other.err(), Some(WrapError::OtherGroup));
    for bit in 0..file.len() * 8 {
        let mut bad = file.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(open_key(&secret, group, &bad).is_err(), "bit {bit}");
    }
}
