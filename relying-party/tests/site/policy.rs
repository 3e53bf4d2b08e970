//! The table of `trust-group.md` §1.6, row by row, and the cap.

use handfast_proto::cose::{Algorithm, CoseKey, SigningKey};
use handfast_proto::ids::UserHandle;
use handfast_relying_party::cmtg::Outcome;
use handfast_relying_party::compat::KeyRecords;
use handfast_relying_party::policy::{Verdict, decide};
use handfast_relying_party::record::{CredentialRecord, MAX_CMTG_RECORDS, Trust};
use handfast_relying_party::site::Notice;
use handfast_relying_party::store::{SqliteStore, Store, User};
use rand_core::OsRng;
use serde_json::{Value, json};

use crate::device::Device;
use crate::world::{Visitor, World};

fn new_key() -> CoseKey {
    SigningKey::generate(Algorithm::Es256, &mut OsRng).public_key()
}

/// A passkey's record with these trust-group keys, each seen a second after the one before it.
fn record(keys: &[(&CoseKey, Trust)]) -> CredentialRecord {
    let device = Device::new();
    let mut record = CredentialRecord {
        id: device.id(),
        user_handle: UserHandle::from_bytes(b"ada").unwrap(),
        public_key: new_key(),
        sign_count: 0,
        backup_eligible: true,
        backed_up: true,
        uv_initialized: true,
        transports: Vec::new(),
        created_at: 0,
        last_used: 0,
        cmtg: Vec::new(),
        compat: KeyRecords::default(),
    };
    for (now, (key, trust)) in (1..).zip(keys) {
        record.see_cmtg_key(key, *trust, "", now);
    }
    record
}

/// A registered device of `ada`, at a site.
fn registered() -> (World, Visitor, Device) {
    let (mut world, mut visitor, mut device) = (World::new(), Visitor::default(), Device::new());
    let decision = world.register(&mut visitor, &mut device, "ada");
    assert_eq!(decision["trusted"], true, "{decision}");
    (world, visitor, device)
}

fn why(answer: &Value) -> &str {
    answer["why"].as_str().unwrap()
}

#[test]
fn a_known_and_trusted_group_signs_in() {
    let (mut world, mut visitor, device) = registered();
    let decision = world.sign_in(&mut visitor, &device);
    assert_eq!(decision["signed_in"], true);
    assert_eq!(decision["trusted"], true);
    assert_eq!(decision["outcome"], "known");
    let account = world.account(&mut visitor).unwrap();
    assert_eq!(account["passkeys"][0]["groups"][0]["here"], true);
}

#[test]
fn a_known_group_that_nothing_vouches_for_is_a_step_up_and_is_told_so() {
    let mut device = Device::new();
    let mut world = World::new();
    let mut visitor = Visitor::default();
    let options = world.ask(&mut visitor, "register/options", json!({"username": "ada"}));
    let answer = device.create(&options).finish();

    // The draft appends every new key, a phisher's too: such a record may come from elsewhere.
    let user = User {
        handle: UserHandle::from_bytes(&crate::device::decoded(
            &options["publicKey"]["user"]["id"],
        ))
        .unwrap(),
        name: "ada".to_owned(),
    };
    let answer = handfast_relying_party::RegistrationResponse::from_json(&answer).unwrap();
    let object = handfast_proto::cbor::decode(&answer.attestation_object).unwrap();
    let data = object.as_map().unwrap().text("authData").unwrap();
    let data = handfast_proto::auth_data::AuthenticatorData::parse(data.as_bytes().unwrap());
    let passkey = CoseKey::parse(&data.unwrap().attested.unwrap().public_key).unwrap();
    let group = device.group.as_ref().unwrap().public_key();
    let mut stored = record(&[(&group, Trust::Unknown)]);
    stored.id = device.id();
    stored.user_handle = user.handle.clone();
    stored.public_key = passkey;
    let mut store = SqliteStore::in_memory().unwrap();
    store.add_credential(&user, &stored).unwrap();

    let mut world = World::with(Box::new(store));
    let (before, after) = world.step_up(&mut Visitor::default(), &device);
    for answer in [&before, &after] {
        assert_eq!(answer["outcome"], "known", "{answer}");
    }
    assert!(why(&before).contains("without ever being confirmed"));
    assert_eq!(
        (&before["trusted"], &after["trusted"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(world.sign_in(&mut visitor, &device)["signed_in"], true);
}

#[test]
fn a_new_group_is_a_step_up_and_is_kept_only_after_it() {
    let (mut world, mut owner, device) = registered();
    let copy = device.copy();
    let mut thief = Visitor::default();
    for _ in 0..2 {
        let decision = world.sign_in(&mut thief, &copy);
        assert_eq!(decision["outcome"], "new-group", "{decision}");
        assert!(why(&decision).contains("nothing connects its device"));
        let wrong = world.post(&mut thief, "step-up", json!({"code": "no code"}));
        assert_eq!(wrong.0, 400);
    }
    assert_eq!(world.groups(&mut owner), [device.key()]);

    let (_, after) = world.step_up(&mut thief, &copy);
    assert_eq!(
        (&after["outcome"], &after["trusted"]),
        (&json!("new-group"), &json!(true))
    );
    assert_eq!(world.groups(&mut owner), [device.key(), copy.key()]);
    assert_eq!(world.sign_in(&mut thief, &copy)["outcome"], "known");
}

#[test]
fn absent_is_ordinary_for_a_passkey_that_never_named_a_group() {
    let (mut world, mut visitor, mut device) = (World::new(), Visitor::default(), Device::new());
    device.group = None;
    let decision = world.register(&mut visitor, &mut device, "ada");
    assert_eq!(
        (&decision["outcome"], &decision["key"]),
        (&json!("absent"), &Value::Null)
    );
    let decision = world.sign_in(&mut visitor, &device);
    assert_eq!(
        (&decision["outcome"], &decision["signed_in"]),
        (&json!("absent"), &json!(true))
    );
    assert_eq!(decision["trusted"], false);
}

#[test]
fn absent_is_a_step_up_for_a_passkey_that_named_one_and_earns_no_trust() {
    let (mut world, mut visitor, mut device) = registered();
    let key = device.key();
    device.group = None;
    for _ in 0..2 {
        let (before, after) = world.step_up(&mut visitor, &device);
        for answer in [&before, &after] {
            assert_eq!(answer["outcome"], "absent", "{answer}");
            assert_eq!(answer["trusted"], false, "{answer}");
        }
        assert!(why(&before).contains("does not say to which trust group"));
    }
    assert_eq!(world.groups(&mut visitor), [key]);
}

#[test]
fn absent_stays_a_step_up_after_the_last_group_is_forgotten() {
    let (mut world, mut owner, mut device) = registered();
    world.ask(&mut owner, "forget-group", json!({"key": device.key()}));
    assert!(world.groups(&mut owner).is_empty());
    let again = world.post(&mut owner, "forget-group", json!({"key": device.key()}));
    assert_eq!(again.0, 409, "it is not there to be forgotten twice");
    device.group = None;
    let decision = world.sign_in(&mut Visitor::default(), &device);
    assert_eq!(decision["outcome"], "absent");
    assert_eq!(decision["signed_in"], false, "{decision}");
}

#[test]
fn a_forgotten_group_that_comes_back_is_a_step_up_and_then_trusted_again() {
    let (mut world, mut owner, device) = registered();
    world.ask(&mut owner, "forget-group", json!({"key": device.key()}));
    let mut visitor = Visitor::default();
    let (before, after) = world.step_up(&mut visitor, &device);
    assert!(why(&before).contains("has forgotten"), "{before}");
    assert_eq!(
        (&before["outcome"], &before["trusted"]),
        (&json!("known"), &json!(false))
    );
    assert_eq!(after["trusted"], true);
    let account = world.account(&mut visitor).unwrap();
    assert_eq!(account["passkeys"][0]["groups"][0]["evidence"], "step-up");
    let decision = world.sign_in(&mut visitor, &device);
    assert_eq!(
        (&decision["signed_in"], &decision["trusted"]),
        (&json!(true), &json!(true))
    );
}

#[test]
fn who_is_in_by_a_forgotten_group_is_out() {
    let (mut world, mut owner, device) = registered();
    let (mut thief, copy) = (Visitor::default(), device.copy());
    world.step_up(&mut thief, &copy);
    world.ask(&mut owner, "forget-group", json!({"key": copy.key()}));
    assert_eq!(world.account(&mut thief), None);
    assert_eq!(world.groups(&mut owner), [device.key()]);
}

#[test]
fn invalid_is_rejected_and_nothing_is_kept() {
    let (mut world, mut owner, device) = registered();
    let copy = device.copy();
    let options = world.ask(&mut owner, "sign-in/options", json!({}));
    let mut answer = device.get(&options).finish();
    answer["clientExtensionResults"] =
        copy.get(&options).finish()["clientExtensionResults"].clone();
    let (status, body) = world.post(&mut owner, "sign-in/verify", answer);
    assert_eq!((status, &body["rule"]), (400, &json!("TrustGroupKey")));
    assert_eq!(world.groups(&mut owner), [device.key()]);
    let told = world.told();
    assert!(
        !told
            .iter()
            .any(|notice| matches!(notice, Notice::Code { .. }))
    );
}

#[test]
fn a_site_that_did_not_ask_makes_nothing_of_what_comes() {
    let key = new_key();
    let known = record(&[(&key, Trust::Trusted)]);
    let verdict = |outcome, record| decide(&outcome, record).verdict;
    assert_eq!(verdict(Outcome::NotRequested, &known), Verdict::SignIn);
    assert_eq!(verdict(Outcome::Unsolicited, &known), Verdict::StepUp);
    assert_eq!(verdict(Outcome::Inconclusive, &known), Verdict::StepUp);
    let bare = record(&[]);
    assert_eq!(verdict(Outcome::Unsolicited, &bare), Verdict::SignIn);
    assert_eq!(verdict(Outcome::Inconclusive, &bare), Verdict::SignIn);
}

#[test]
fn known_is_not_trusted_whatever_a_caller_makes_of_it() {
    let key = new_key();
    let verdict = |record: &CredentialRecord| decide(&Outcome::Known(key.clone()), record).verdict;
    assert_eq!(verdict(&record(&[(&key, Trust::Trusted)])), Verdict::SignIn);
    assert_eq!(verdict(&record(&[(&key, Trust::Unknown)])), Verdict::StepUp);
    assert_eq!(
        verdict(&record(&[(&key, Trust::Distrusted)])),
        Verdict::StepUp
    );
    assert_eq!(
        verdict(&record(&[(&new_key(), Trust::Trusted)])),
        Verdict::StepUp
    );
}

/// As many keys as are kept, the first of which is not seen longest.
fn full(trust: impl Fn(usize) -> Trust) -> (Vec<CoseKey>, CredentialRecord) {
    let keys: Vec<CoseKey> = (0..MAX_CMTG_RECORDS).map(|_| new_key()).collect();
    let seen: Vec<(&CoseKey, Trust)> = keys.iter().zip((0..).map(trust)).collect();
    let record = record(&seen);
    assert_eq!(record.cmtg.len(), MAX_CMTG_RECORDS);
    (keys, record)
}

fn holds(record: &CredentialRecord, key: &CoseKey) -> bool {
    let mut keys = record.cmtg.iter();
    keys.any(|known| known.public_key == key.as_bytes())
}

#[test]
fn beyond_the_cap_the_untrusted_key_not_seen_longest_goes() {
    // Two are not trusted: numbers 7 and 9; and 7 is seen again.
    let (keys, mut record) = full(|number| match number {
        7 => Trust::Unknown,
        9 => Trust::Distrusted,
        _ => Trust::Trusted,
    });
    record.see_cmtg_key(&keys[7], Trust::Unknown, "", 1000);
    let (first, second) = (new_key(), new_key());
    record.see_cmtg_key(&first, Trust::Trusted, "step-up", 1001);
    assert!(!holds(&record, &keys[9]) && holds(&record, &keys[7]) && holds(&record, &first));
    record.see_cmtg_key(&second, Trust::Unknown, "", 1002);
    assert!(!holds(&record, &keys[7]) && holds(&record, &second));
    assert_eq!(record.cmtg.len(), MAX_CMTG_RECORDS);
}

#[test]
fn a_trusted_key_gives_way_only_to_one_that_was_vouched_for() {
    let (keys, mut record) = full(|_| Trust::Trusted);
    let before = record.clone();
    record.see_cmtg_key(&new_key(), Trust::Unknown, "", 1000);
    assert_eq!(
        record, before,
        "an untrusted key is not kept where all are trusted"
    );
    let vouched = new_key();
    record.see_cmtg_key(&vouched, Trust::Trusted, "step-up", 1001);
    assert!(holds(&record, &vouched) && !holds(&record, &keys[0]) && holds(&record, &keys[1]));
    assert_eq!(record.cmtg.len(), MAX_CMTG_RECORDS);
}
