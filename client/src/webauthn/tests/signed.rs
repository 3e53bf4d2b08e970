use handfast_proto::auth_data::{AuthDataError, AuthenticatorData};
use handfast_proto::cbor::Map;
use handfast_proto::ctap2::{UserEntity, get_assertion};
use handfast_proto::extension::cmtg_key::CmtgKeyError;
use handfast_proto::ids::UserHandle;

use super::*;

/// A phone's answer to request options.
fn assertion() -> get_assertion::Response {
    let auth_data = AuthenticatorData::build(rp_hash(), flags(), 0, None, None);
    get_assertion::Response {
        credential: Some(id(1)),
        auth_data: auth_data.as_bytes().to_vec(),
        signature: vec![9; 70],
        user: Some(UserEntity {
            id: UserHandle::from_bytes(b"user").unwrap(),
            name: Some("ana".to_owned()),
            display_name: None,
        }),
        number_of_credentials: None,
        user_selected: None,
        unsigned_extensions: Map::new(),
    }
}

fn answered(options: &Json, response: &get_assertion::Response) -> Result<Json, ResponseJsonError> {
    signed(
        &get(options).unwrap(),
        &info(),
        "platform",
        &response.encode(),
    )
}

/// Request options that list these passkeys.
fn listing(ids: &[u8]) -> Json {
    let list = ids
        .iter()
        .map(|&byte| json!({"type": "public-key", "id": base64url(id(byte).as_bytes())}));
    with(request(), "allowCredentials", list.collect::<Vec<_>>())
}

#[test]
fn a_sign_in_has_the_members_that_a_browsers_has() {
    let credential = answered(&listing(&[1]), &assertion()).unwrap();
    assert_eq!(
        names(&credential),
        [
            "authenticatorAttachment",
            "clientExtensionResults",
            "id",
            "rawId",
            "response",
            "type"
        ]
    );
    assert_eq!(bytes(&credential["id"]), id(1).as_bytes());
    assert_eq!(credential["authenticatorAttachment"], "platform");
    let response = &credential["response"];
    assert_eq!(
        names(response),
        [
            "authenticatorData",
            "clientDataJSON",
            "signature",
            "userHandle"
        ]
    );
    assert_eq!(bytes(&response["signature"]), [9; 70]);
    assert_eq!(bytes(&response["userHandle"]), b"user");
    assert_eq!(bytes(&response["authenticatorData"]), assertion().auth_data);
}

#[test]
fn a_user_may_be_left_out_only_if_the_site_listed_passkeys() {
    let anonymous = get_assertion::Response {
        user: None,
        ..assertion()
    };
    let credential = answered(&listing(&[1, 2]), &anonymous).unwrap();
    assert!(credential["response"].get("userHandle").is_none());
    assert_eq!(
        answered(&request(), &anonymous),
        Err(ResponseJsonError::NoUser)
    );
    assert!(answered(&request(), &assertion()).is_ok());
}

#[test]
fn a_passkey_may_be_left_out_only_if_the_site_listed_one() {
    let unnamed = get_assertion::Response {
        credential: None,
        ..assertion()
    };
    let credential = answered(&listing(&[2]), &unnamed).unwrap();
    assert_eq!(bytes(&credential["id"]), id(2).as_bytes());
    for options in [listing(&[1, 2]), request()] {
        assert_eq!(
            answered(&options, &unnamed),
            Err(ResponseJsonError::NoCredential)
        );
    }
}

#[test]
fn a_passkey_that_the_site_did_not_list_is_refused() {
    assert_eq!(
        answered(&listing(&[2]), &assertion()),
        Err(ResponseJsonError::NotListed)
    );
    assert_eq!(
        answered(&listing(&[2, 3]), &assertion()),
        Err(ResponseJsonError::NotListed)
    );
    assert!(answered(&listing(&[3, 1]), &assertion()).is_ok());
}

#[test]
fn an_account_is_chosen_on_the_phone_or_counted_but_not_both() {
    let counted = |number_of_credentials, user_selected| get_assertion::Response {
        number_of_credentials,
        user_selected,
        ..assertion()
    };
    for (count, selected) in [(None, Some(true)), (Some(1), None), (Some(2), Some(false))] {
        assert!(
            answered(&request(), &counted(count, selected)).is_ok(),
            "{count:?} {selected:?}"
        );
    }
    assert_eq!(
        answered(&request(), &counted(Some(2), Some(true))),
        Err(ResponseJsonError::AccountsAfterChoice)
    );
}

#[test]
fn an_answer_that_is_no_sign_in_is_refused() {
    let with_data = |rp_hash, attested| {
        let auth_data = AuthenticatorData::build(rp_hash, flags(), 0, attested, None);
        get_assertion::Response {
            auth_data: auth_data.as_bytes().to_vec(),
            ..assertion()
        }
    };
    assert_eq!(
        answered(&request(), &with_data([0; 32], None)),
        Err(ResponseJsonError::OtherSite)
    );
    let new = Some(attested(MODEL, cose_key()));
    assert_eq!(
        answered(&request(), &with_data(rp_hash(), new)),
        Err(ResponseJsonError::NewCredential)
    );
    let mut trailing = assertion();
    trailing.auth_data.push(0);
    assert_eq!(
        answered(&request(), &trailing),
        Err(AuthDataError::TrailingBytes.into())
    );
}

#[test]
fn a_sign_ins_group_key_needs_both_of_its_halves() {
    let options = with(request(), "extensions", json!({"cmtgKey": true}));
    let answered = |extensions, unsigned_extensions| {
        let auth_data = AuthenticatorData::build(rp_hash(), flags(), 0, None, extensions);
        let response = get_assertion::Response {
            auth_data: auth_data.as_bytes().to_vec(),
            unsigned_extensions,
            ..assertion()
        };
        answered(&options, &response).map(|credential| credential["clientExtensionResults"].clone())
    };
    let key = Some(Map::new().with("cmtgKey", [1, 2, 3]));
    let signature = Map::new().with("cmtgKey", [4, 5, 6]);
    assert_eq!(
        answered(key, signature.clone()).unwrap(),
        json!({"cmtgKey": {"cmtgKey": "AQID", "signature": "BAUG"}})
    );
    assert_eq!(
        answered(None, signature),
        Err(CmtgKeyError::SignatureWithoutKey.into())
    );
}
