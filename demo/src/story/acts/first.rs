//! Act 1: the first passkey, and K1.

use serde_json::{Value, json};

use crate::stage::{PATIENCE, Program};
use crate::story::StoryError;
use crate::story::cast::{ANA, AT_HOME, Cast, text, unix_time};
use crate::story::claims::Claims;
use crate::story::decision::Decision;

pub(super) fn play(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell(
        "laptop",
        "has no vault. It asks for a passkey, and shows a QR code.",
    );
    let site = cast.stage.site_url().to_owned();
    let mut desktop = cast.desktop(
        &cast.laptop,
        AT_HOME,
        &["register", &site, "--user", ANA, "--via", "qr", "--qr-url"],
    )?;
    let url = text(Program::Desktop, &desktop.event("qr")?, "url")?;
    claims.tell(
        "Ana",
        "points her phone at it. The phone answers with an advert, and both meet at the relay.",
    );
    cast.phone.scan(&url)?;
    let prompt = cast.phone.prompt()?;
    let rp_id = text(Program::Phone, &prompt, "rp_id")?;
    let account = text(Program::Phone, &prompt, "account")?;
    claims.tell(
        "phone",
        &format!("asks: make a passkey for {rp_id}, for {account}?"),
    );
    claims.claim(
        "The phone names site and account before anything is made.",
        prompt["kind"] == "create" && rp_id == "localhost" && account.contains(ANA),
    );
    claims.tell("Ana", "approves with the phone's PIN.");
    cast.phone.approve()?;
    let result = desktop.finish(PATIENCE)?.json()?;
    cast.phone.event("done")?;
    let decision = Decision::read(&result, "decision", &mut cast.keys)?;
    cast.first_presented = unix_time();
    claims.sign_in(
        "phone, asked by the laptop",
        &decision,
        format!(
            "The site takes the passkey, and the trust-group key {} ({}) with it.",
            decision.key_name, decision.key
        ),
        decision.signed_in() && decision.trusted(),
    );
    Ok(json!({"prompt": prompt, "K1": decision.key}))
}
