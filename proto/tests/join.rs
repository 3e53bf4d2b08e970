//! A trust-group join between two devices, and what each side refuses (`trust-group.md` §4.3).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![cfg(feature = "trust")]

use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ids::{CredentialId, UserHandle};
use handfast_proto::trust::identity::Epoch;
use handfast_proto::trust::join::{
    AwaitingMerge, AwaitingSealed, Granted, Granter, JoinConfig, JoinError, Joiner, OfferedGroup,
    PendingGrant,
};
use handfast_proto::trust::{
    DeviceId, DeviceKeys, DeviceName, GroupId, GroupKey, GroupSecret, KeyTuple, MemberKey, Method,
    VaultId,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const SESSION: [u8; 32] = [5; 32];

struct Device {
    keys: DeviceKeys,
    member: MemberKey,
    vault: VaultId,
    method: Method,
    session: [u8; 32],
    removed: Vec<DeviceId>,
    rng: ChaCha20Rng,
}

impl Device {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        Self {
            keys: DeviceKeys::generate(&mut rng),
            member: MemberKey::derive(&[7; 32]),
            vault: VaultId([1; 16]),
            method: Method::HybridQr,
            session: SESSION,
            removed: Vec::new(),
            rng,
        }
    }

    fn config(&self) -> JoinConfig<'_> {
        JoinConfig {
            keys: &self.keys,
            member: &self.member,
            vault: self.vault,
            name: DeviceName::parse("device").unwrap(),
            method: self.method,
        }
    }

    fn ask(&mut self) -> (Joiner, Vec<u8>) {
        let mut rng = self.rng.clone();
        let asked = Joiner::start(&self.config(), self.session, &mut rng);
        self.rng = rng;
        asked
    }

    fn offer(&mut self, request: &[u8]) -> Result<(PendingGrant, Vec<u8>), JoinError> {
        let mut rng = self.rng.clone();
        let granter = Granter {
            config: self.config(),
            group: OfferedGroup {
                id: GroupId([3; 16]),
                epoch: Epoch(1),
            },
            session: self.session,
            removed: &self.removed,
        };
        let offered = granter.handle_join(request.get(1..).unwrap(), &mut rng);
        self.rng = rng;
        offered
    }
}

fn group_key() -> GroupKey {
    GroupKey {
        tuple: KeyTuple {
            rp_id_hash: [2; 32],
            credential_id: CredentialId::from_bytes(&[4; 32]).unwrap(),
            user_handle: UserHandle::from_bytes(b"u").unwrap(),
        },
        key: SigningKey::generate(Algorithm::Es256, &mut ChaCha20Rng::seed_from_u64(9)),
        created_at: 10,
        first_presented_at: None,
        retired: false,
    }
}

fn pair() -> (Device, Device) {
    (Device::new(1), Device::new(2))
}

/// Goes as far as SEALED.
fn sealed(computer: &mut Device, phone: &mut Device) -> (AwaitingSealed, AwaitingMerge, Vec<u8>) {
    let (joiner, request) = computer.ask();
    let (pending, offer) = phone.offer(&request).unwrap();
    let offered = joiner.handle_offer(&offer, &computer.config()).unwrap();
    assert_eq!(offered.code().to_string(), pending.code().to_string());
    let (awaiting, confirm) = offered.confirm();
    let confirmed = pending.handle_confirm(&confirm[1..]).unwrap();
    let secret = GroupSecret::from_bytes([6; 32]);
    let (merging, reply) = confirmed
        .seal(&secret, &[&group_key()], &mut phone.rng)
        .unwrap();
    (awaiting, merging, reply)
}

fn granted(computer: &mut Device, phone: &mut Device) -> (Granted, AwaitingMerge) {
    let (awaiting, merging, reply) = sealed(computer, phone);
    (
        awaiting.handle_sealed(&reply, &computer.keys).unwrap(),
        merging,
    )
}

#[test]
fn secret_and_keys_arrive_on_both_sides() {
    let (mut computer, mut phone) = pair();
    let (granted, merging) = granted(&mut computer, &mut phone);
    assert_eq!(granted.secret.expose(), &[6; 32]);
    assert_eq!(granted.keys[0].key_id(), group_key().key_id());
    let own = group_key();
    let request = granted.merge(&[&own], &mut computer.rng).unwrap();
    let (keys, ack) = merging.handle_merge(&request[1..], &phone.keys).unwrap();
    assert_eq!(keys[0].key_id(), own.key_id());
    granted.handle_ack(&ack).unwrap();
}

#[test]
fn what_does_not_fit_the_phone_is_refused_by_its_name() {
    type Change = fn(&mut Device, &mut Device);
    let cases: [(Change, JoinError); 5] = [
        (|c, _| c.session = [8; 32], JoinError::OtherSession),
        (|c, _| c.vault = VaultId([2; 16]), JoinError::OtherVault),
        (
            |c, _| c.member = MemberKey::derive(&[8; 32]),
            JoinError::NotInVault,
        ),
        (|c, _| c.method = Method::Simulated, JoinError::Method),
        (
            |c, p| p.removed.push(c.keys.device_id()),
            JoinError::Removed,
        ),
    ];
    for (change, error) in cases {
        let (mut computer, mut phone) = pair();
        change(&mut computer, &mut phone);
        let (_, request) = computer.ask();
        assert_eq!(phone.offer(&request).err(), Some(error));
    }
}

#[test]
fn any_flipped_bit_of_join_or_offer_is_refused() {
    let (mut computer, mut phone) = pair();
    let (_, request) = computer.ask();
    let (_, offer) = phone.offer(&request).unwrap();
    for bit in (8..request.len() * 8).step_by(3) {
        let mut bad = request.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(phone.offer(&bad).is_err(), "bit {bit} of JOIN");
    }
    for bit in (8..offer.len() * 8).step_by(7) {
        let mut bad = offer.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let (joiner, _) = Device::new(1).ask();
        let refused = joiner.handle_offer(&bad, &computer.config());
        assert!(refused.is_err(), "bit {bit} of OFFER");
    }
}

#[test]
fn an_offer_for_another_join_is_refused() {
    let (mut computer, mut phone) = pair();
    let (_, first) = computer.ask();
    let (second, _) = computer.ask();
    let (_, offer) = phone.offer(&first).unwrap();
    let refused = second.handle_offer(&offer, &computer.config());
    assert_eq!(refused.err(), Some(JoinError::OtherJoin));
}

#[test]
fn altered_or_foreign_ciphertext_is_refused() {
    for at in [20, 60, 90] {
        let (mut computer, mut phone) = pair();
        let (awaiting, _, mut reply) = sealed(&mut computer, &mut phone);
        reply[at] ^= 1;
        let opened = awaiting.handle_sealed(&reply, &computer.keys);
        assert_eq!(opened.err(), Some(JoinError::Sealed), "byte {at} of SEALED");
        let (granted, merging) = granted(&mut computer, &mut phone);
        let mut request = granted.merge(&[&group_key()], &mut computer.rng).unwrap();
        request[at] ^= 1;
        let opened = merging.handle_merge(&request[1..], &phone.keys);
        assert_eq!(opened.err(), Some(JoinError::Sealed), "byte {at} of MERGE");
    }
    // SEALED of another exchange between the same two devices.
    let (mut computer, mut phone) = pair();
    let (_, _, other) = sealed(&mut computer, &mut phone);
    let (awaiting, ..) = sealed(&mut computer, &mut phone);
    let opened = awaiting.handle_sealed(&other, &computer.keys);
    assert_eq!(opened.err(), Some(JoinError::Sealed));
}

#[test]
fn steps_in_another_order_are_refused() {
    let (mut computer, mut phone) = pair();
    let (granted, _) = granted(&mut computer, &mut phone);
    let merge = granted.merge(&[], &mut computer.rng).unwrap();
    let (_, join) = computer.ask();
    assert_eq!(phone.offer(&merge).err(), Some(JoinError::Step));
    let (pending, _) = phone.offer(&join).unwrap();
    let refused = pending.handle_confirm(&merge[1..]);
    assert_eq!(refused.err(), Some(JoinError::Step));
    let (_, merging, _) = sealed(&mut computer, &mut phone);
    let refused = merging.handle_merge(&join[1..], &phone.keys);
    assert_eq!(refused.err(), Some(JoinError::Step));
}
