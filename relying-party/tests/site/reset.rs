//! Reset: one new passkey in place of all, or nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use handfast_proto::cose::CoseKey;
use handfast_proto::ids::{CredentialId, UserHandle};
use handfast_relying_party::record::CredentialRecord;
use handfast_relying_party::site::Notice;
use handfast_relying_party::store::{SqliteStore, Store, StoreError, User};
use serde_json::{Value, json};

use crate::device::Device;
use crate::world::{Visitor, World};

/// A store that fails when it is told to.
struct Failing {
    store: SqliteStore,
    fails: Arc<AtomicBool>,
}

impl Failing {
    fn or_fail(&self) -> Result<(), StoreError> {
        match self.fails.load(Ordering::Relaxed) {
            true => Err(StoreError::Damaged),
            false => Ok(()),
        }
    }
}

impl Store for Failing {
    fn user_named(&self, name: &str) -> Result<Option<User>, StoreError> {
        self.store.user_named(name)
    }

    fn user(&self, handle: &UserHandle) -> Result<Option<User>, StoreError> {
        self.store.user(handle)
    }

    fn credential(&self, id: &CredentialId) -> Result<Option<CredentialRecord>, StoreError> {
        self.store.credential(id)
    }

    fn credentials_of(&self, user: &UserHandle) -> Result<Vec<CredentialRecord>, StoreError> {
        self.store.credentials_of(user)
    }

    fn add_credential(&mut self, user: &User, record: &CredentialRecord) -> Result<(), StoreError> {
        self.or_fail()?;
        self.store.add_credential(user, record)
    }

    fn update_credential(&mut self, record: &CredentialRecord) -> Result<(), StoreError> {
        self.or_fail()?;
        self.store.update_credential(record)
    }

    fn replace_credentials(
        &mut self,
        user: &User,
        record: &CredentialRecord,
    ) -> Result<(), StoreError> {
        self.or_fail()?;
        self.store.replace_credentials(user, record)
    }

    fn credentials_with_cmtg_key(&self, key: &CoseKey) -> Result<Vec<CredentialId>, StoreError> {
        self.store.credentials_with_cmtg_key(key)
    }
}

fn reset(world: &mut World, by: &mut Visitor, device: &mut Device) -> (u16, Value) {
    let options = world.ask(by, "reset-passkeys/options", json!({}));
    let answer = device.create(&options).finish();
    world.post(by, "register/verify", answer)
}

#[test]
fn a_reset_leaves_the_new_passkey_alone_and_its_owner_in() {
    let mut world = World::new();
    let (mut here, mut elsewhere) = (Visitor::default(), Visitor::default());
    let (mut old, mut new) = (Device::new(), Device::new());
    world.register(&mut here, &mut old, "ada");
    world.register(&mut here, &mut Device::new(), "ada");
    world.sign_in(&mut elsewhere, &old);
    let (status, body) = reset(&mut world, &mut here, &mut new);
    assert_eq!((status, &body["signed_in"]), (200, &json!(true)), "{body}");
    let account = world.account(&mut here).unwrap();
    assert_eq!(
        account["passkeys"].as_array().unwrap().len(),
        1,
        "{account}"
    );
    assert_eq!(world.groups(&mut here), [new.key()]);
    assert_eq!(world.account(&mut elsewhere), None);
}

#[test]
fn a_reset_that_fails_leaves_everything_as_it_was() {
    let fails = Arc::new(AtomicBool::new(false));
    let mut world = World::with(Box::new(Failing {
        store: SqliteStore::in_memory().unwrap(),
        fails: Arc::clone(&fails),
    }));
    let (mut here, mut elsewhere) = (Visitor::default(), Visitor::default());
    let (mut old, mut new) = (Device::new(), Device::new());
    world.register(&mut here, &mut old, "ada");
    world.sign_in(&mut elsewhere, &old);
    let before = world.account(&mut here);

    fails.store(true, Ordering::Relaxed);
    let (status, body) = reset(&mut world, &mut here, &mut new);
    assert_eq!(status, 500, "{body}");
    let told = world.told().pop();
    assert!(matches!(told, Some(Notice::StoreFailed { .. })), "{told:?}");
    assert_eq!(world.account(&mut here), before);
    assert!(world.account(&mut elsewhere).is_some());

    // Neither is the new passkey there, nor is the old one gone.
    fails.store(false, Ordering::Relaxed);
    assert_eq!(world.sign_in(&mut elsewhere, &old)["outcome"], "known");
    let (status, body) = reset(&mut world, &mut here, &mut new);
    assert_eq!(status, 200, "{body}");
}
