//! Requests that are not as the standard wants them: members that are missing or of another type, and
//! lengths.

use handfast_authenticator::engine::Computer;
use handfast_proto::cbor::{Map, Value};
use handfast_proto::ctap2::{Status, get_assertion, split_reply};

use crate::phone::{Phone, approving, changed, create, get, members};

const MISSING: Status = Status::MISSING_PARAMETER;
const TYPE: Status = Status::CBOR_UNEXPECTED_TYPE;

/// What stands in the place of a member, and how the request is answered.
type Case = (i64, Value, Status);

/// Each of these is refused, before anybody is asked.
fn all_refused(request: &[u8], cases: Vec<Case>) {
    let mut phone = Phone::new(true);
    phone.create(&create(b"ana"));
    for (key, value, status) in cases {
        let mut person = approving();
        let changed = changed(request, key, value.clone());
        let answered = phone.status(&changed, &mut person);
        assert_eq!(answered, status, "0x{key:02x} as {value:?}");
        assert!(person.asked.is_empty(), "0x{key:02x} as {value:?}");
    }
    assert_eq!(phone.authenticator.vault.passkeys().count(), 1);
    assert!(split_reply(&phone.ask(request, &mut approving())).is_ok());
}

fn without(request: &[u8], key: i64) -> Vec<u8> {
    let all = members(request);
    let kept = all.iter().filter(|(known, _)| **known != key.into());
    let map = kept.fold(Map::new(), |map, (key, value)| {
        map.with(key.clone(), value.clone())
    });
    assert_eq!(map.len() + 1, all.len());
    [&request[..1], map.encode().as_slice()].concat()
}

/// What a list of descriptors may not look like.
fn descriptors(key: i64) -> Vec<Case> {
    let good = || Map::new().with("id", [9; 32]).with("type", "public-key");
    let list = |item: Map| Value::from(vec![Value::from(good()), item.into()]);
    vec![
        (key, Map::new().into(), TYPE),
        (key, vec![Value::from("id")].into(), TYPE),
        (key, list(Map::new().with("id", [9; 32])), MISSING),
        (key, list(Map::new().with("type", "public-key")), MISSING),
        (key, list(Map::new().with("type", "other")), MISSING),
        (key, list(good().with("id", "text")), TYPE),
        (key, list(good().with("type", true)), TYPE),
    ]
}

/// What a map of options may not look like.
fn options(key: i64, names: &[&str]) -> Vec<Case> {
    let mut cases = vec![(key, Value::from(true), TYPE)];
    cases.extend(names.iter().flat_map(|&name| {
        let wrong = [Value::from(1), "true".into(), Value::Null];
        wrong.map(|value| (key, Map::new().with(name, value).into(), TYPE))
    }));
    cases
}

#[test]
fn what_must_be_there_is_missed() {
    let mut phone = Phone::new(true);
    for (request, keys) in [
        (create(b"ana").encode(), &[1, 2, 3, 4][..]),
        (get(&[]).encode(), &[1, 2]),
    ] {
        for &key in keys {
            let mut person = approving();
            let status = phone.status(&without(&request, key), &mut person);
            assert_eq!(status, MISSING, "0x{key:02x}");
            assert!(person.asked.is_empty());
        }
    }
}

#[test]
fn members_of_a_request_for_a_passkey_have_their_types() {
    let good = create(b"ana").encode();
    all_refused(
        &good,
        vec![
            (0x01, "text".into(), TYPE),
            (0x01, [7; 31].into(), Status::INVALID_LENGTH),
            (0x01, [7; 33].into(), Status::INVALID_LENGTH),
            (0x02, "example.org".into(), TYPE),
            (0x03, [1; 3].into(), TYPE),
            (0x04, Map::new().into(), TYPE),
            (0x06, vec![Value::from("cmtgKey")].into(), TYPE),
            (0x06, true.into(), TYPE),
            (0x08, "text".into(), TYPE),
            (0x09, "2".into(), TYPE),
            (0x09, (-2).into(), TYPE),
            (0x0a, true.into(), TYPE),
            (0x0a, "1".into(), TYPE),
            (0x0a, (-1).into(), TYPE),
            (0x0b, "packed".into(), TYPE),
            (0x0b, vec![Value::from("packed"), 1.into()].into(), TYPE),
        ],
    );
    all_refused(&good, descriptors(0x05));
    all_refused(&good, options(0x07, &["rk", "up", "uv"]));
}

#[test]
fn a_site_an_account_and_algorithms_have_their_types() {
    let site = || Map::new().with("id", "example.org");
    let user = || Map::new().with("id", b"ana");
    let algorithm = || Map::new().with("alg", -7).with("type", "public-key");
    // All of the list is looked at, also what stands behind one that is known.
    let list = |item: Map| Value::from(vec![Value::from(algorithm()), item.into()]);
    all_refused(
        &create(b"ana").encode(),
        vec![
            (0x02, Map::new().with("name", "Example").into(), MISSING),
            (0x02, site().with("id", b"example.org").into(), TYPE),
            (0x02, site().with("name", b"Example").into(), TYPE),
            (0x02, site().with("id", "").into(), Status::INVALID_LENGTH),
            (0x03, Map::new().with("name", "ana").into(), MISSING),
            (0x03, user().with("id", "ana").into(), TYPE),
            (0x03, user().with("name", b"ana").into(), TYPE),
            (0x03, user().with("displayName", true).into(), TYPE),
            (0x04, vec![Value::from(-7)].into(), TYPE),
            (0x04, list(Map::new().with("alg", -7)), MISSING),
            (0x04, list(Map::new().with("type", "public-key")), MISSING),
            (0x04, list(Map::new().with("type", "other")), MISSING),
            (0x04, list(algorithm().with("alg", "ES256")), TYPE),
            (0x04, list(algorithm().with("type", 1)), TYPE),
        ],
    );
}

#[test]
fn members_of_a_request_to_sign_in_have_their_types() {
    let good = get(&[]).encode();
    all_refused(
        &good,
        vec![
            (0x01, b"example.org".into(), TYPE),
            (0x01, Map::new().with("id", "example.org").into(), TYPE),
            (0x01, "".into(), Status::INVALID_LENGTH),
            (0x02, "text".into(), TYPE),
            (0x02, [7; 31].into(), Status::INVALID_LENGTH),
            (0x02, [7; 33].into(), Status::INVALID_LENGTH),
            (0x04, vec![Value::from("cmtgKey")].into(), TYPE),
            (0x04, true.into(), TYPE),
            (0x06, "text".into(), TYPE),
            (0x07, "2".into(), TYPE),
            (0x07, (-2).into(), TYPE),
        ],
    );
    all_refused(&good, descriptors(0x03));
    all_refused(&good, options(0x05, &["up", "uv"]));
}

#[test]
fn a_user_handle_has_one_byte_to_sixty_four() {
    let mut phone = Phone::new(true);
    for (length, status) in [
        (0, Status::INVALID_LENGTH),
        (1, Status::OK),
        (64, Status::OK),
        (65, Status::INVALID_LENGTH),
    ] {
        let user = Map::new().with("id", vec![b'a'; length]);
        let request = changed(&create(b"ana").encode(), 0x03, user);
        let reply = phone.ask(&request, &mut approving());
        assert_eq!(Status(reply[0]), status, "{length} bytes");
    }
}

#[test]
fn a_request_of_the_greatest_length_is_answered_and_one_more_byte_is_too_much() {
    let mut phone = Phone::new(true);
    phone.create(&create(b"ana"));
    // A member that nobody knows fills it up.
    let filled = |fill: usize| changed(&get(&[]).encode(), 0x70, vec![0; fill]);
    let fill = 65_536 - filled(40_000).len() + 40_000;
    let (most, more) = (filled(fill), filled(fill + 1));
    assert_eq!((most.len(), more.len()), (65_536, 65_537));
    let reply = phone.ask(&most, &mut approving());
    assert!(split_reply(&reply).is_ok());
    let mut person = approving();
    assert_eq!(phone.status(&more, &mut person), Status::REQUEST_TOO_LARGE);
    assert!(person.asked.is_empty());
}

#[test]
fn commands_that_take_nothing_get_nothing() {
    let mut phone = Phone::new(true);
    phone.create(&create(b"ana"));
    phone.create(&create(b"bob"));
    let mut session = phone.session(Computer::TestTool);
    let reply = phone.ask_in(&mut session, &get(&[]).encode(), &mut approving());
    let first = get_assertion::Response::parse(split_reply(&reply).unwrap()).unwrap();
    assert_eq!(first.number_of_credentials, Some(2), "there is a next one");
    for command in [0x04, 0x07, 0x08, 0x0b] {
        let mut person = approving();
        for body in [0xa0, 0x00] {
            let reply = phone.ask_in(&mut session, &[command, body], &mut person);
            assert_eq!(reply, [Status::INVALID_LENGTH.0], "0x{command:02x}");
        }
        assert!(person.asked.is_empty());
    }
    assert_eq!(phone.authenticator.vault.passkeys().count(), 2);
}
