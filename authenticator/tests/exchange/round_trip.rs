//! What is written is read again, here and by others.

use credential_exchange_format as cxf;
use handfast_authenticator::exchange::Place;
use handfast_proto::extension::cred_blob::CredBlob;
use handfast_proto::extension::large_blob::LargeBlob;
use proptest::prelude::*;

use super::*;

/// The members of both passkeys, and of their items what belongs to them.
fn members(document: &Value) -> Vec<Value> {
    let items = document["accounts"][0]["items"].as_array().unwrap();
    let mut members: Vec<_> = items
        .iter()
        .map(|item| {
            json!([
                item["credentials"],
                item["creationAt"],
                item["modifiedAt"],
                item["title"]
            ])
        })
        .collect();
    members.sort_by_key(Value::to_string);
    members
}

#[test]
fn the_sample_is_written_with_the_same_members() {
    let read = parse(&sample());
    assert_eq!(read.exporter.as_deref(), Some("Vectors"));
    let passkeys: Vec<_> = read.passkeys().collect();
    assert_eq!(passkeys[0].algorithm, Algorithm::Es256);
    assert_eq!(passkeys[1].algorithm, Algorithm::EdDsa);
    assert_eq!(members(&written(&passkeys)), members(&sample()));
}

#[test]
fn a_document_has_the_header_of_the_standard_and_no_empty_extensions() {
    let mut without = passkey(1, b"ana");
    without.prf = None;
    let document = written(&[&without]);
    assert_eq!(document["version"], json!({"major": 1, "minor": 0}));
    assert_eq!(document["timestamp"], NOW);
    assert_eq!(document["accounts"][0]["username"], "");
    assert_eq!(document["accounts"][0]["collections"], json!([]));
    let credential = &document["accounts"][0]["items"][0]["credentials"][0];
    assert!(credential.get("fido2Extensions").is_none());
    assert_eq!(credential["username"], "");
    assert_eq!(written(&[])["accounts"][0]["items"], json!([]));
}

#[test]
fn an_item_has_the_same_name_each_time_and_no_other_has_it() {
    let (one, two) = (passkey(1, b"ana"), passkey(2, b"bob"));
    let id = |document: &Value, index: usize| document["accounts"][0]["items"][index]["id"].clone();
    let both = written(&[&one, &two]);
    assert_eq!(id(&both, 0), id(&written(&[&one]), 0));
    assert_ne!(id(&both, 0), id(&both, 1));
}

#[test]
fn an_outside_library_reads_what_is_written() {
    let passkeys = [passkey(1, b"ana"), passkey(2, b"bob")];
    let bytes = write(VaultId([3; 16]), &passkeys.iter().collect::<Vec<_>>(), NOW).unwrap();
    let header: cxf::Header = serde_json::from_slice(&bytes).unwrap();
    let items = &header.accounts[0].items;
    assert_eq!(items.len(), 2);
    for (item, passkey) in items.iter().zip(&passkeys) {
        let [cxf::Credential::Passkey(read)] = item.credentials.as_slice() else {
            panic!("no passkey: {item:?}");
        };
        assert_eq!(
            read.credential_id.as_ref(),
            passkey.credential_id.as_bytes()
        );
        assert_eq!(read.user_handle.as_ref(), passkey.user_handle.as_bytes());
        let key = SigningKey::from_pkcs8_der(read.key.as_ref()).unwrap();
        assert_eq!(key.public_key(), passkey.key().unwrap().public_key());
        let extensions = read.fido2_extensions.as_ref().unwrap();
        let hmac = extensions.hmac_credentials.as_ref().unwrap();
        assert!(matches!(
            hmac.algorithm,
            cxf::Fido2HmacCredentialAlgorithm::HmacSha256
        ));
        let halves = [hmac.cred_with_uv.as_ref(), hmac.cred_without_uv.as_ref()].concat();
        assert_eq!(halves, passkey.prf.as_ref().unwrap().as_bytes());
    }
}

#[test]
fn what_an_outside_library_writes_is_read() {
    let made = passkey(1, b"ana");
    let header = cxf::Header::<()> {
        version: cxf::Version { major: 1, minor: 0 },
        exporter_rp_id: "other.example".to_owned(),
        exporter_display_name: "Other".to_owned(),
        timestamp: 5,
        accounts: vec![cxf::Account {
            id: vec![1].into(),
            username: String::new(),
            email: String::new(),
            full_name: Some("Ana".to_owned()),
            collections: Vec::new(),
            items: vec![cxf::Item {
                id: vec![2].into(),
                creation_at: Some(1000),
                modified_at: None,
                title: "Shop".to_owned(),
                subtitle: None,
                favorite: Some(true),
                scope: Some(cxf::CredentialScope {
                    urls: vec!["https://example.org".to_owned()],
                    android_apps: Vec::new(),
                }),
                credentials: vec![
                    cxf::Credential::Unknown {
                        ty: "new".to_owned(),
                        content: serde_json::Map::new(),
                    },
                    cxf::Credential::Passkey(Box::new(cxf::PasskeyCredential {
                        credential_id: made.credential_id.as_bytes().into(),
                        rp_id: "example.org".to_owned(),
                        username: "ana".to_owned(),
                        user_display_name: String::new(),
                        user_handle: made.user_handle.as_bytes().into(),
                        key: made
                            .key()
                            .unwrap()
                            .to_pkcs8_der()
                            .unwrap()
                            .as_slice()
                            .into(),
                        fido2_extensions: None,
                    })),
                ],
                tags: None,
                extensions: None,
            }],
            extensions: None,
        }],
    };
    let read = parse(&serde_json::to_value(&header).unwrap());
    assert_eq!((read.others, read.exporter.as_deref()), (1, Some("Other")));
    let place = Place {
        account: 1,
        item: 1,
        credential: Some(2),
    };
    assert_eq!(read.entries[0].place, place);
    let found = read.entries[0].found.as_ref().unwrap();
    assert_eq!(found.passkey.user_name.as_deref(), Some("ana"));
    assert_eq!(
        (found.passkey.created_at, found.passkey.changed_at),
        (1000, 1000)
    );
}

prop_compose! {
    fn any_passkey()(
        id in proptest::collection::vec(any::<u8>(), 1..=1023),
        user in proptest::collection::vec(any::<u8>(), 1..=64),
        site in "[a-z0-9_-]{1,20}(\\.[a-z0-9_-]{1,20}){0,3}",
        names in proptest::option::of((".{1,16}", ".{1,16}")),
        times in (0..NOW, 0..NOW),
        seeds in proptest::option::of(proptest::collection::vec(any::<u8>(), 64)),
        ed25519 in any::<bool>(),
        cred_blob in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..=32)),
        large_blob in proptest::option::of((proptest::collection::vec(any::<u8>(), 0..2000), any::<u64>())),
    ) -> Passkey {
        let algorithm = if ed25519 { Algorithm::EdDsa } else { Algorithm::Es256 };
        let key = SigningKey::generate(algorithm, &mut OsRng);
        let (id, site) = (CredentialId::from_bytes(&id).unwrap(), RpId::parse(&site).unwrap());
        let user = UserHandle::from_bytes(&user).unwrap();
        let mut passkey = Passkey::new(id, site, user, &key, times.0).unwrap();
        passkey.changed_at = times.1;
        if let Some((user_name, display_name)) = names {
            passkey.user_name = Some(user_name);
            passkey.display_name = Some(display_name);
        }
        passkey.prf = seeds.and_then(|seeds| Seeds::from_bytes(&seeds));
        passkey.cred_blob = cred_blob.and_then(|blob| CredBlob::from_bytes(&blob));
        let large_blob = large_blob.and_then(|(blob, size)| LargeBlob::new(&blob, size));
        passkey.large_blob = large_blob.map(|blob| (blob, times.1));
        passkey
    }
}

fn seeds(passkey: &Passkey) -> Option<&[u8]> {
    passkey.prf.as_ref().map(Seeds::as_bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_passkey_comes_back_as_it_was(passkey in any_passkey()) {
        let read = only(&written(&[&passkey]));
        prop_assert_eq!(&read.credential_id, &passkey.credential_id);
        prop_assert_eq!(&read.rp_id, &passkey.rp_id);
        prop_assert_eq!(&read.user_handle, &passkey.user_handle);
        prop_assert_eq!(&read.user_name, &passkey.user_name);
        prop_assert_eq!(&read.display_name, &passkey.display_name);
        prop_assert_eq!((read.created_at, read.changed_at), (passkey.created_at, passkey.changed_at));
        prop_assert_eq!(read.algorithm, passkey.algorithm);
        prop_assert_eq!(seeds(&read), seeds(&passkey));
        prop_assert_eq!(&read.cred_blob, &passkey.cred_blob);
        prop_assert_eq!(&read.large_blob, &passkey.large_blob);
        prop_assert_eq!(read.key().unwrap().public_key(), passkey.key().unwrap().public_key());
        prop_assert!(read.is_usable());
    }
}
