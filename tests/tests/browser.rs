//! The demo site in a real browser: Debian's chromium, headless, driven over DevTools, with a
//! virtual authenticator that has trust-group keys.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod devtools;

use std::path::PathBuf;
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
    let credential = page.credentials(old).await.remove(0);
    page.call(
        "WebAuthn.removeVirtualAuthenticator",
        json!({"authenticatorId": old}),
    )
    .await;
    let new = page.add_authenticator("internal").await;
    page.presence(&new, false).await;
    page.add_credential(&new, credential).await;
    new
}

/// Runs a test on a page of a browser, with a site to open.
fn in_a_browser(test: impl AsyncFnOnce(&mut Page, &mut Process, &str)) {
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
    runtime.block_on(async {
        let browser = Browser::start(&chromium, &folder.path().join("profile")).await;
        let mut page = browser.page().await;
        page.call("WebAuthn.enable", json!({})).await;
        test(&mut page, &mut site, &url).await;
        tokio::time::timeout(Duration::from_secs(10), browser.stop())
            .await
            .unwrap();
    });
}

async fn register(page: &mut Page, user: &str) {
    page.type_into("#username", user).await;
    page.click("#register").await;
    page.shows("account").await;
}

/// Signs out, with nobody there to pick what is offered then.
async fn sign_out(page: &mut Page, authenticator: &str) {
    page.presence(authenticator, false).await;
    page.click("#sign-out").await;
    page.shows("welcome").await;
}

#[test]
fn register_sign_in_step_up_and_a_second_trust_group() {
    in_a_browser(story);
}

async fn story(page: &mut Page, site: &mut Process, url: &str) {
    let first = page.add_authenticator("internal").await;
    page.open(url).await;
    register(page, "bea").await;
    let decision = page.decision().await;
    assert_eq!(decision["outcome"], "new-group", "{decision}");
    assert_eq!(decision["signed_in"], true, "{decision}");
    let first_key = decision["key"].as_str().unwrap().to_owned();

    // The virtual authenticator's person picks the passkey that the page offers by itself.
    page.click("#sign-out").await;
    page.wait_for("JSON.parse(document.body.dataset.decision).outcome === 'known'")
        .await;
    page.shows("account").await;

    sign_out(page, &first).await;
    page.type_into("#username", "bea").await;
    page.click("#sign-in").await;
    page.presence(&first, true).await;
    page.shows("account").await;
    let decision = page.decision().await;
    assert_eq!(decision["outcome"], "known", "{decision}");
    assert_eq!(decision["key"], first_key.as_str());
    assert_eq!(decision["step_up_required"], false);

    sign_out(page, &first).await;
    let second = move_passkey_to_a_new_device(page, &first).await;
    page.type_into("#username", "bea").await;
    page.click("#sign-in").await;
    page.presence(&second, true).await;
    page.shows("step-up").await;
    let decision = page.decision().await;
    assert_eq!(decision["outcome"], "new-group", "{decision}");
    assert_eq!(decision["signed_in"], false, "{decision}");
    let second_key = decision["key"].as_str().unwrap().to_owned();
    assert_ne!(second_key, first_key);
    let told = page.eval("document.querySelector('#step-up-why').textContent");
    assert_eq!(told.await, decision["why"], "the reason of this step-up");
    let focused = page.eval("document.activeElement.id");
    assert_eq!(focused.await, "code");

    page.type_into("#code", "000000x").await;
    page.click("#confirm-code").await;
    page.wait_for("document.querySelector('#message').textContent === 'The code is wrong.'")
        .await;
    assert_eq!(page.view().await, "step-up", "a wrong code signs nobody in");

    let code = step_up_code(site, "bea");
    page.type_into("#code", &code).await;
    page.click("#confirm-code").await;
    page.shows("account").await;
    page.wait_for("document.querySelectorAll('[data-group]').length === 2")
        .await;
    let trusted = page.eval("document.querySelectorAll('[data-group][data-trust=trusted]').length");
    assert_eq!(trusted.await, json!(2));

    page.click(&format!("[data-group='{first_key}'] button"))
        .await;
    page.wait_for("document.querySelectorAll('[data-group]').length === 1")
        .await;
}

/// How often the page asked for a challenge to sign in with.
const ASKED: &str = "performance.getEntriesByType('resource')\
     .filter(entry => entry.name.endsWith('/sign-in/options')).length";

/// Keeps what the page says, and lets another tab of the same session ask for a challenge while the
/// page offers a passkey: then that one counts.
const ANOTHER_TAB: &str = "
    window.told = [];
    const message = document.querySelector('#message');
    new MutationObserver(() => told.push(message.textContent)).observe(message, {childList: true});
    const get = navigator.credentials.get.bind(navigator.credentials);
    navigator.credentials.get = async options => {
        navigator.credentials.get = get;
        const headers = {'Content-Type': 'application/json'};
        await fetch('/api/sign-in/options', {method: 'POST', headers, body: '{}'});
        return get(options);
    }";

#[test]
fn an_offered_passkey_that_is_rejected_is_told_and_offered_again() {
    in_a_browser(async |page, _, url| {
        page.add_authenticator("internal").await;
        page.open(url).await;
        register(page, "bea").await;
        page.eval(&format!("{{{ANOTHER_TAB}}}")).await;
        page.click("#sign-out").await;
        page.wait_for("JSON.parse(document.body.dataset.decision).outcome === 'known'")
            .await;
        page.shows("account").await;
        let told = page.eval("told.some(text => text.includes('the challenge is not'))");
        assert_eq!(told.await, true, "what went wrong at first");
    });
}

#[test]
fn the_challenge_of_an_offered_passkey_is_renewed_before_it_ends() {
    in_a_browser(async |page, _, url| {
        let device = page.add_authenticator("internal").await;
        let soon = "const later = setTimeout; \
             window.setTimeout = (act, time) => later(act, time === 300000 ? 250 : time)";
        page.call(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({"source": soon}),
        )
        .await;
        page.open(url).await;
        register(page, "bea").await;
        sign_out(page, &device).await;
        page.wait_for(&format!("{ASKED} > 3")).await;
        assert_eq!(page.view().await, "welcome");
        let told = page.eval("document.querySelector('#message').textContent");
        assert_eq!(told.await, "", "nothing has gone wrong");
        page.presence(&device, true).await;
        page.shows("account").await;
        assert_eq!(page.decision().await["outcome"], "known");
    });
}

#[test]
fn passkeys_that_the_site_does_not_have_are_taken_back() {
    in_a_browser(async |page, _, url| {
        let device = page.add_authenticator("internal").await;
        page.open(url).await;
        register(page, "bea").await;
        let old = page.credentials(&device).await.remove(0);
        page.click("#reset").await;
        page.wait_for("document.querySelector('#message').textContent.includes('all others')")
            .await;
        let new = page.credentials(&device).await.remove(0);
        assert_ne!(new["credentialId"], old["credentialId"]);

        // Sync brings the old one to a device that has not heard of the reset.
        let other = page.add_authenticator("usb").await;
        page.presence(&other, false).await;
        page.add_credential(&other, old.clone()).await;
        page.open(url).await;
        page.wait_for_credentials(&other, 0).await;
        assert_eq!(page.credentials(&device).await.len(), 1);

        sign_out(page, &device).await;
        let gone = json!({"authenticatorId": device, "credentialId": new["credentialId"]});
        page.call("WebAuthn.removeCredential", gone).await;
        page.add_credential(&device, old).await;
        page.presence(&device, true).await;
        page.click("#sign-in").await;
        page.wait_for("document.querySelector('#message').textContent.includes('not known here')")
            .await;
        page.wait_for_credentials(&device, 0).await;
    });
}
