//! The demo site in a real browser: Debian's chromium, headless, driven over DevTools, with a
//! virtual authenticator that has trust-group keys.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod devtools;

use std::path::{Path, PathBuf};
use std::time::Duration;

use devtools::{Browser, Page};
use handfast_demo::stage::{Process, start_site};
use handfast_tests::programs;
use serde_json::json;

fn chromium() -> Option<PathBuf> {
    let found = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ]
    .into_iter()
    .map(PathBuf::from)
    .find(|path| path.exists());
    assert!(
        found.is_some() || std::env::var_os("HANDFAST_REQUIRE_BROWSER").is_none(),
        "no chromium here, but HANDFAST_REQUIRE_BROWSER is set"
    );
    found
}

fn step_up_code(site: &mut Process, user: &str) -> String {
    let sent = site.event("step-up-code").unwrap();
    assert_eq!(sent["user"], user);
    sent["code"].as_str().unwrap().to_owned()
}

/// A device that was never beside the first one: the same passkey in a second virtual
/// authenticator, which will make a trust-group key of its own.
async fn move_passkey_to_a_new_device(page: &mut Page, old: &str) -> String {
    let credentials = page
        .call("WebAuthn.getCredentials", json!({"authenticatorId": old}))
        .await;
    let mut credential = credentials["credentials"][0].clone();
    page.call(
        "WebAuthn.removeVirtualAuthenticator",
        json!({"authenticatorId": old}),
    )
    .await;
    let new = page.add_authenticator().await;
    page.presence(&new, false).await;
    let members = credential.as_object_mut().unwrap();
    members.retain(|name, _| !name.to_lowercase().contains("cmtg"));
    let add = json!({"authenticatorId": new, "credential": credential});
    page.call("WebAuthn.addCredential", add).await;
    new
}

#[test]
fn register_sign_in_step_up_and_a_second_trust_group() {
    let Some(chromium) = chromium() else {
        eprintln!("SKIPPED: no chromium on this machine (Debian: apt-get install chromium)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (mut site, url) = start_site(&programs(), &folder.path().join("site.sqlite")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(story(&chromium, folder.path(), &mut site, &url));
}

async fn story(chromium: &Path, folder: &Path, site: &mut Process, url: &str) {
    let browser = Browser::start(chromium, &folder.join("profile")).await;
    let mut page = browser.page().await;
    page.call("WebAuthn.enable", json!({})).await;
    let first = page.add_authenticator().await;

    page.open(url).await;
    page.type_into("#username", "bea").await;
    page.click("#register").await;
    page.wait_for("document.body.dataset.view === 'account'")
        .await;
    let decision = page.decision().await;
    assert_eq!(decision["outcome"], "new-group", "{decision}");
    assert_eq!(decision["signed_in"], true, "{decision}");
    let first_key = decision["key"].as_str().unwrap().to_owned();

    // The virtual authenticator's person picks the passkey that the page offers by itself.
    page.click("#sign-out").await;
    page.wait_for("JSON.parse(document.body.dataset.decision).outcome === 'known'")
        .await;
    page.wait_for("document.body.dataset.view === 'account'")
        .await;

    page.presence(&first, false).await;
    page.click("#sign-out").await;
    page.wait_for("document.body.dataset.view === 'welcome'")
        .await;
    page.type_into("#username", "bea").await;
    page.click("#sign-in").await;
    page.presence(&first, true).await;
    page.wait_for("document.body.dataset.view === 'account'")
        .await;
    let decision = page.decision().await;
    assert_eq!(decision["outcome"], "known", "{decision}");
    assert_eq!(decision["key"], first_key.as_str());
    assert_eq!(decision["step_up_required"], false);

    page.presence(&first, false).await;
    page.click("#sign-out").await;
    page.wait_for("document.body.dataset.view === 'welcome'")
        .await;
    let second = move_passkey_to_a_new_device(&mut page, &first).await;
    page.type_into("#username", "bea").await;
    page.click("#sign-in").await;
    page.presence(&second, true).await;
    page.wait_for("document.body.dataset.view === 'step-up'")
        .await;
    let decision = page.decision().await;
    assert_eq!(decision["outcome"], "new-group", "{decision}");
    assert_eq!(decision["signed_in"], false, "{decision}");
    let second_key = decision["key"].as_str().unwrap().to_owned();
    assert_ne!(second_key, first_key);

    page.type_into("#code", "000000x").await;
    page.click("#confirm-code").await;
    page.wait_for("document.querySelector('#message').textContent === 'The code is wrong.'")
        .await;
    assert_eq!(page.view().await, "step-up", "a wrong code signs nobody in");

    let code = step_up_code(site, "bea");
    page.type_into("#code", &code).await;
    page.click("#confirm-code").await;
    page.wait_for("document.body.dataset.view === 'account'")
        .await;
    page.wait_for("document.querySelectorAll('[data-group]').length === 2")
        .await;
    let trusted = page.eval("document.querySelectorAll('[data-group][data-trust=trusted]').length");
    assert_eq!(trusted.await, json!(2));

    page.click(&format!("[data-group='{first_key}'] button"))
        .await;
    page.wait_for("document.querySelectorAll('[data-group]').length === 1")
        .await;
    tokio::time::timeout(Duration::from_secs(10), browser.stop())
        .await
        .unwrap();
}
