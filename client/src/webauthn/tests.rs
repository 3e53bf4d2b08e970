mod created;
mod options;
mod signed;

use handfast_proto::auth_data::{AttestedCredential, Flags};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ctap2::get_info;
use handfast_proto::ids::{Aaguid, CredentialId, RpId};
use rand_core::OsRng;
use serde_json::{Value as Json, json};

use super::*;

const MODEL: Aaguid = Aaguid([7; 16]);
const NO_MODEL: Aaguid = Aaguid([0; 16]);

fn origin() -> Origin {
    Origin::parse("https://login.example.org").unwrap()
}

/// Creation options with all that must be there and nothing else.
fn creation() -> Json {
    json!({
        "challenge": "AAECAwQFBgcICQoLDA0ODw",
        "rp": {"id": "example.org", "name": "Example"},
        "user": {"id": "dXNlcg", "name": "ana", "displayName": "Ana"},
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
    })
}

/// Request options with all that must be there, and the RP ID.
fn request() -> Json {
    json!({"challenge": "AAECAwQFBgcICQoLDA0ODw", "rpId": "example.org"})
}

/// Sets a member, by its path with dots.
fn with(mut options: Json, path: &str, value: impl Into<Json>) -> Json {
    let (parent, name) = parent(&mut options, path);
    parent[name] = value.into();
    options
}

fn without(mut options: Json, path: &str) -> Json {
    let (parent, name) = parent(&mut options, path);
    parent.as_object_mut().unwrap().remove(name);
    options
}

fn parent<'j, 'p>(options: &'j mut Json, path: &'p str) -> (&'j mut Json, &'p str) {
    match path.rsplit_once('.') {
        Some((parents, name)) => {
            let parent = parents
                .split('.')
                .fold(options, |value, name| &mut value[name]);
            (parent, name)
        }
        None => (options, path),
    }
}

fn create(options: &Json) -> Result<Create, OptionsError> {
    Create::parse(&options.to_string(), &origin())
}

fn get(options: &Json) -> Result<Get, OptionsError> {
    Get::parse(&options.to_string(), &origin())
}

fn info() -> get_info::Response {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    get_info::Response {
        versions: texts(&["FIDO_2_1"]),
        extensions: texts(&["cmtgKey"]),
        aaguid: MODEL,
        options: vec![("rk".to_owned(), true), ("uv".to_owned(), true)],
        transports: texts(&["internal", "hybrid", "internal"]),
        pin_uv_protocols: Vec::new(),
        max_cred_blob_length: None,
        max_msg_size: None,
        attestation_formats: Vec::new(),
    }
}

fn id(byte: u8) -> CredentialId {
    CredentialId::from_bytes(&[byte; 16]).unwrap()
}

fn rp_hash() -> [u8; 32] {
    RpId::parse("example.org").unwrap().hash()
}

fn cose_key() -> Vec<u8> {
    let key = SigningKey::generate(Algorithm::Es256, &mut OsRng);
    key.public_key().as_bytes().to_vec()
}

fn flags() -> Flags {
    Flags::UP | Flags::UV | Flags::BE
}

fn attested(aaguid: Aaguid, public_key: Vec<u8>) -> AttestedCredential {
    AttestedCredential {
        aaguid,
        credential_id: id(1),
        public_key,
    }
}

fn bytes(json: &Json) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(json.as_str().unwrap()).unwrap()
}

fn names(json: &Json) -> Vec<&str> {
    json.as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn client_data_have_their_members_in_order_and_no_others() {
    let data = create(&creation()).unwrap().client_data;
    assert_eq!(
        String::from_utf8(data.as_bytes().to_vec()).unwrap(),
        r#"{"type":"webauthn.create","challenge":"AAECAwQFBgcICQoLDA0ODw","origin":"https://login.example.org","crossOrigin":false}"#
    );
    let data = get(&request()).unwrap().client_data;
    assert!(data.as_bytes().starts_with(br#"{"type":"webauthn.get","#));
    let hash: [u8; 32] = Sha256::digest(data.as_bytes()).into();
    assert_eq!(data.hash().0, hash);
}

#[test]
fn client_data_strings_escape_quotes_backslashes_and_controls_and_nothing_else() {
    for (text, expected) in [
        ("plain /:-_", r#""plain /:-_""#),
        ("a\"b", r#""a\"b""#),
        (r"a\b", r#""a\\b""#),
        ("\0\u{1}\u{1f}", r#""\u0000\u0001\u001f""#),
        (
            "tab\tline\nreturn\r",
            r#""tab\u0009line\u000areturn\u000d""#,
        ),
        // JSON writers escape more than this; here it stands as it is.
        ("</script>&'", r#""</script>&'""#),
        ("\u{7f}\u{80}\u{2028}", "\"\u{7f}\u{80}\u{2028}\""),
        ("bücher 本 🗝", r#""bücher 本 🗝""#),
        ("", r#""""#),
    ] {
        assert_eq!(quoted(text), expected, "{text:?}");
        assert_eq!(serde_json::from_str::<String>(expected).unwrap(), text);
    }
}
