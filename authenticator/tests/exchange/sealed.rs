//! Documents under a pass phrase, and for the holders of keys.

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use handfast_authenticator::exchange::sealed::{
    Identities, OpenError, Recipient, SealError, Sealed, Work, seal_for, seal_under,
};
use handfast_authenticator::passphrase::Passphrase;

const PLAIN: &[u8] = b"{\"accounts\":[]}";

fn phrase() -> Passphrase {
    Passphrase::new("correct horse battery")
}

fn under_phrase(armored: bool) -> Vec<u8> {
    seal_under(PLAIN, &phrase(), Work::LEAST, armored).unwrap()
}

fn sealed(bytes: &[u8]) -> Sealed<'_> {
    Sealed::parse(bytes).unwrap().unwrap()
}

#[test]
fn a_wrong_pass_phrase_opens_nothing_and_the_right_one_does() {
    for armored in [false, true] {
        let bytes = under_phrase(armored);
        assert_eq!(bytes.is_ascii(), armored);
        let sealed = sealed(&bytes);
        assert!(sealed.needs_passphrase());
        let wrong = sealed.open_with(&Passphrase::new("wrong"));
        assert_eq!(wrong.unwrap_err(), OpenError::WrongPassphrase);
        assert_eq!(sealed.open_with(&phrase()).unwrap().as_slice(), PLAIN);
    }
}

#[test]
fn every_altered_bit_and_every_cut_is_noticed() {
    let bytes = under_phrase(false);
    let opened = |bytes: &[u8]| match Sealed::parse(bytes) {
        Ok(Some(sealed)) if sealed.needs_passphrase() => sealed.open_with(&phrase()).is_ok(),
        _ => false,
    };
    assert!(opened(&bytes));
    for bit in (0..bytes.len() * 8).step_by(7) {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!opened(&bad), "bit {bit}");
    }
    for length in (0..bytes.len()).step_by(5) {
        assert!(!opened(&bytes[..length]), "{length} bytes");
    }
    assert!(!opened(&[&bytes[..], b"x"].concat()));
    let armored = under_phrase(true);
    assert!(
        opened(&[b"\n ", &armored[..]].concat()),
        "space before it is forgiven"
    );
    assert!(!opened(&armored[..armored.len() - 30]));
}

#[test]
fn the_holder_of_a_key_opens_what_is_for_him_and_nobody_else_does() {
    let (ana, bob, eve) = (
        Identity::generate(),
        Identity::generate(),
        Identity::generate(),
    );
    let recipient = |identity: &Identity| {
        identity
            .to_public()
            .to_string()
            .parse::<Recipient>()
            .unwrap()
    };
    let bytes = seal_for(PLAIN, &[recipient(&ana), recipient(&bob)], true).unwrap();
    let sealed = sealed(&bytes);
    assert!(!sealed.needs_passphrase());
    let file =
        |identity: &Identity| format!("# a comment\n\n{}\n", identity.to_string().expose_secret());
    let open = |identity| sealed.open_by(&Identities::parse(&file(identity)).unwrap());
    assert_eq!(open(&ana).unwrap().as_slice(), PLAIN);
    assert_eq!(open(&bob).unwrap().as_slice(), PLAIN);
    assert_eq!(open(&eve).unwrap_err(), OpenError::NoMatchingKey);
    assert_eq!(
        sealed.open_with(&phrase()).unwrap_err(),
        OpenError::NoMatchingKey
    );
    assert!(matches!(
        seal_for(PLAIN, &[], false),
        Err(SealError::NoRecipient)
    ));
}

#[test]
fn what_is_no_key_is_none() {
    assert!("age1abc".parse::<Recipient>().is_err());
    assert!("ssh-ed25519 AAAA".parse::<Recipient>().is_err());
    assert!(Identities::parse("").is_none());
    assert!(Identities::parse("# only a comment\n").is_none());
    assert!(Identities::parse("AGE-SECRET-KEY-1AAAA").is_none());
}

#[test]
fn what_is_not_sealed_is_told_from_what_is_damaged() {
    for plain in [&b""[..], b"{}", b"age-encryption.org/v2\n", b"PK\x03\x04"] {
        assert!(Sealed::parse(plain).unwrap().is_none());
    }
    let damaged = Sealed::parse(b"age-encryption.org/v1\n-> what");
    assert_eq!(damaged.unwrap_err(), OpenError::Damaged);
}

#[test]
fn a_document_cannot_make_its_reader_stretch_for_hours() {
    let bytes = under_phrase(false);
    let line = bytes
        .windows(4)
        .position(|bytes| bytes == b" 10\n")
        .unwrap();
    for work in [&b" 21\n"[..], b" 63\n"] {
        let mut heavy = bytes.clone();
        heavy.splice(line..line + 4, work.iter().copied());
        let opened = sealed(&heavy).open_with(&phrase());
        assert_eq!(opened.unwrap_err(), OpenError::ExcessiveWork);
    }
}

#[test]
fn secrets_print_nothing() {
    let identity = Identity::generate();
    let file = identity.to_string();
    let identities = Identities::parse(file.expose_secret()).unwrap();
    assert_eq!(format!("{identities:?}"), "Identities");
}
