//! A site without a network, its visitors, and what it tells who runs it.

use std::sync::{Arc, Mutex};

use handfast_proto::ids::RpId;
use handfast_relying_party::site::{Notice, Site, SiteConfig};
use handfast_relying_party::store::{SqliteStore, Store};
use serde_json::{Value, json};

use crate::device::{Device, ORIGIN, RP_ID};

pub(crate) struct World {
    site: Site,
    told: Arc<Mutex<Vec<Notice>>>,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

/// One browser.
#[derive(Clone, Default)]
pub(crate) struct Visitor {
    pub(crate) token: Option<String>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Box::new(SqliteStore::in_memory().unwrap()))
    }

    pub(crate) fn with(store: Box<dyn Store>) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let config = SiteConfig {
            rp_id: RpId::parse(RP_ID).unwrap(),
            origins: vec![ORIGIN.to_owned()],
        };
        let tell = Arc::clone(&told);
        let tell = move |notice: &Notice| tell.lock().unwrap().push(notice.clone());
        Self {
            site: Site::new(config, store, Box::new(tell)),
            told,
            now: 1_800_000_000,
        }
    }

    pub(crate) fn post(&mut self, by: &mut Visitor, endpoint: &str, body: Value) -> (u16, Value) {
        self.now += 1;
        let answer = self
            .site
            .handle(endpoint, by.token.as_deref(), &body, self.now);
        by.token = Some(answer.token);
        (answer.status, answer.body)
    }

    pub(crate) fn ask(&mut self, by: &mut Visitor, endpoint: &str, body: Value) -> Value {
        let (status, body) = self.post(by, endpoint, body);
        assert_eq!(status, 200, "{endpoint}: {body}");
        body
    }

    pub(crate) fn register(&mut self, by: &mut Visitor, device: &mut Device, name: &str) -> Value {
        let options = self.ask(by, "register/options", json!({"username": name}));
        let answer = device.create(&options).finish();
        self.ask(by, "register/verify", answer)
    }

    pub(crate) fn sign_in(&mut self, by: &mut Visitor, device: &Device) -> Value {
        let options = self.ask(by, "sign-in/options", json!({}));
        let answer = device.get(&options).finish();
        self.ask(by, "sign-in/verify", answer)
    }

    /// Signs in, and goes through the step-up that the site must ask for. Returns the answers before
    /// and after the code.
    pub(crate) fn step_up(&mut self, by: &mut Visitor, device: &Device) -> (Value, Value) {
        let before = self.sign_in(by, device);
        assert_eq!(before["step_up_required"], true, "{before}");
        assert_eq!(self.account(by), None, "nobody is in before the code");
        let code = self.code();
        let after = self.ask(by, "step-up", json!({"code": code}));
        assert_eq!(after["signed_in"], true, "{after}");
        (before, after)
    }

    /// The last one-time code that was sent.
    pub(crate) fn code(&self) -> String {
        let mut codes = self.told().into_iter().filter_map(|notice| match notice {
            Notice::Code { code, .. } => Some(code),
            _ => None,
        });
        codes.next_back().unwrap()
    }

    pub(crate) fn told(&self) -> Vec<Notice> {
        self.told.lock().unwrap().clone()
    }

    /// The account that a visitor sees, if one is signed in.
    pub(crate) fn account(&mut self, by: &mut Visitor) -> Option<Value> {
        let (status, body) = self.post(by, "account", json!({}));
        (status == 200).then_some(body)
    }

    /// The names of the trust groups of an account's first passkey.
    pub(crate) fn groups(&mut self, by: &mut Visitor) -> Vec<String> {
        let account = self.account(by).unwrap();
        let groups = account["passkeys"][0]["groups"].as_array().unwrap();
        let names = groups.iter().map(|group| group["key"].as_str().unwrap());
        names.map(str::to_owned).collect()
    }
}
