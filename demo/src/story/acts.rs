//! The acts themselves.

use std::time::Duration;

use serde_json::{Value, json};

use super::people::{ANA, AT_HOME, Cast, FAR_AWAY, PASSPHRASE, missing, text};
use super::thief;
use super::{Claim, StoryError, Teller};
use crate::copier::{Copier, copy_folder};
use crate::stage::{PATIENCE, Program};

type Play = fn(&mut Cast, &mut Claims<'_>) -> Result<Value, StoryError>;

pub(super) const ALL: [(u8, &str, Play); 4] = [
    (
        1,
        "The phone makes a passkey for a site, asked by a computer beside it",
        first,
    ),
    (
        2,
        "The computer gets the passkey from afar: the site wants to know more",
        second,
    ),
    (
        3,
        "Computer and phone join hands: the site knows the pair",
        third,
    ),
    (
        4,
        "The phisher has everything that travels, and is stopped",
        fourth,
    ),
];

/// The claims of one act, told as they are settled.
pub(super) struct Claims<'t> {
    teller: &'t mut Teller,
    claims: Vec<Claim>,
}

impl<'t> Claims<'t> {
    pub(super) fn new(teller: &'t mut Teller) -> Self {
        Self {
            teller,
            claims: Vec::new(),
        }
    }

    pub(super) fn into_vec(self) -> Vec<Claim> {
        self.claims
    }

    /// Somebody does something.
    pub(super) fn tell(&mut self, who: &str, what: &str) {
        self.teller.tell(who, what);
    }

    /// The site decides.
    pub(super) fn decided(&mut self, decision: &Value) {
        self.teller.decided(decision);
    }

    /// Something must be true here.
    pub(super) fn claim(&mut self, text: impl Into<String>, holds: bool) {
        let claim = Claim {
            text: text.into(),
            holds,
        };
        self.teller.claim(&claim);
        self.claims.push(claim);
    }
}

fn flag(decision: &Value, name: &str) -> bool {
    decision.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn outcome_is(decision: &Value, outcome: &str) -> bool {
    decision.get("outcome").and_then(Value::as_str) == Some(outcome)
}

fn first(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell(
        "computer",
        "asks for a new passkey at the site and shows a QR code",
    );
    let site = cast.stage.site_url().to_owned();
    let mut desktop = cast.desktop(
        &cast.computer,
        AT_HOME,
        &["register", &site, "--user", ANA, "--via", "qr", "--qr-url"],
    )?;
    let url = text(Program::Desktop, &desktop.event("qr")?, "url")?;
    claims.tell(
        "Ana",
        "points her phone at the code; the phone answers with an advert",
    );
    cast.phone.scan(&url)?;
    let prompt = cast.phone.prompt()?;
    let rp_id = text(Program::Phone, &prompt, "rp_id")?;
    claims.tell(
        "phone",
        &format!("asks: a new passkey for {rp_id}, for a computer nearby?"),
    );
    claims.claim(
        "the phone shows the site's RP ID before anything is made",
        rp_id == "localhost",
    );
    claims.tell("Ana", "approves with the phone's PIN");
    cast.phone.approve()?;
    let result = desktop.finish(PATIENCE)?.json()?;
    cast.phone.done()?;
    let decision = result["decision"].clone();
    claims.decided(&decision);
    let key = text(Program::Site, &decision, "key")?;
    claims.claim(
        "the site accepts the passkey and signs Ana in",
        flag(&decision, "signed_in"),
    );
    claims.claim(
        format!("the site stores the trust-group key K1 ({key})"),
        flag(&decision, "trusted"),
    );
    cast.first_key = Some(key.clone());
    Ok(json!({"decision": decision, "K1": key}))
}

fn second(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell(
        "file sync",
        "takes its time, and carries the encrypted vault to the computer",
    );
    // Trust groups count in whole seconds: which key a site saw first is told only from then on.
    std::thread::sleep(Duration::from_secs(1));
    cast.sync = Some(Copier::start(
        cast.phone_home.vault(),
        cast.computer.vault(),
    ));
    cast.settle()?;
    claims.tell(
        "computer",
        "joins the vault with the pass phrase alone, from anywhere",
    );
    let joined = cast.stage.run(
        Program::Desktop,
        &cast.computer,
        &["vault", "join", "--name", "Ana's computer"],
    )?;
    claims.claim("the pass phrase opens the vault", joined.code == 0);
    if joined.code != 0 {
        return Err(missing(Program::Desktop, "a joined vault", joined.err));
    }
    cast.settle()?;
    claims.tell("computer", "signs in with its copy of the passkey");
    let mut desktop = cast.local_sign_in(&cast.computer, AT_HOME)?;
    desktop.event("step-up")?;
    let code = cast.step_up_code()?;
    claims.tell(
        "Ana",
        "reads the one-time code that the site sent her, and types it",
    );
    desktop.say(&code)?;
    let result = desktop.finish(PATIENCE)?.json()?;
    let decision = result["decision"].clone();
    claims.decided(&decision);
    let key = text(Program::Site, &decision, "key")?;
    claims.claim(
        format!("the site sees a key it does not know, K2 ({key}), and asks for a step-up"),
        outcome_is(&decision, "new-group")
            && flag(&decision, "step_up_required")
            && !flag(&decision, "signed_in")
            && Some(&key) != cast.first_key.as_ref(),
    );
    let after = result["step_up"].clone();
    claims.decided(&after);
    claims.claim(
        "after the step-up Ana is signed in, and K2 is trusted",
        flag(&after, "signed_in") && flag(&after, "trusted"),
    );
    cast.second_key = Some(key.clone());
    let sync = cast.settle()?;
    Ok(json!({"decision": decision, "step_up": after, "K2": key, "late_files": sync.copied}))
}

fn third(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    let conflict = conflict_copy(cast, claims)?;
    claims.tell(
        "computer",
        "handfast link: shows a QR code to the phone beside it",
    );
    let mut desktop = cast.desktop(&cast.computer, AT_HOME, &["link", "--qr-url"])?;
    let url = text(Program::Desktop, &desktop.event("qr")?, "url")?;
    claims.tell(
        "Ana",
        "scans it; QR, advert and Noise prove that the two are in one room",
    );
    cast.phone.scan(&url)?;
    let shown = desktop.event("confirm-code")?;
    claims.tell("Ana", "reads six digits on the computer, and goes on");
    desktop.say("y")?;
    let prompt = cast.phone.prompt()?;
    let (here, there) = (
        text(Program::Desktop, &shown, "code")?,
        text(Program::Phone, &prompt, "code")?,
    );
    claims.claim(
        format!("both show the same six digits ({here})"),
        here == there && here.len() == 6,
    );
    claims.tell(
        "Ana",
        "finds the same digits on the phone, says yes, and gives its PIN",
    );
    cast.phone.confirm_and_approve()?;
    let linked = desktop.finish(PATIENCE)?;
    claims.claim(
        "the computer is in the phone's trust group",
        linked.code == 0,
    );
    cast.phone.done()?;
    if linked.code != 0 {
        return Err(missing(Program::Desktop, "a trust group", linked.err));
    }
    cast.settle()?;
    claims.tell("computer", "signs in again with its copy of the passkey");
    let mut desktop = cast.local_sign_in(&cast.computer, AT_HOME)?;
    desktop.close_input();
    let signed_in = desktop.finish(PATIENCE)?;
    let decision = signed_in.json()?["decision"].clone();
    claims.decided(&decision);
    let key = text(Program::Site, &decision, "key")?;
    claims.claim(
        format!("the computer presents K1 itself ({key})"),
        Some(&key) == cast.first_key.as_ref() && Some(&key) != cast.second_key.as_ref(),
    );
    claims.claim(
        "the site knows the group and asks for nothing more",
        signed_in.code == 0
            && outcome_is(&decision, "known")
            && flag(&decision, "trusted")
            && flag(&decision, "signed_in")
            && !flag(&decision, "step_up_required"),
    );
    let status = cast
        .stage
        .run(
            Program::Desktop,
            &cast.computer,
            &["group", "status", "--json"],
        )?
        .json()?;
    let simulated = status["members"].as_array().is_some_and(|members| {
        members.len() == 2 && members.iter().any(|member| member["method"] == "simulated")
    });
    claims.claim("the group says that this radio was simulated", simulated);
    Ok(json!({"decision": decision, "code": here, "group": status, "conflict_copies": conflict}))
}

/// The sync meets a file that both sides have in two versions, as happens to any of them.
fn conflict_copy(cast: &Cast, claims: &mut Claims<'_>) -> Result<usize, StoryError> {
    let made = thief::duplicate_passkey_files(&cast.computer.vault())?;
    cast.settle()?;
    claims.tell(
        "file sync",
        "leaves conflict copies in the vault; nobody has to care",
    );
    Ok(made)
}

fn fourth(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell(
        "phisher",
        "has the pass phrase and a copy of the whole vault folder",
    );
    copy_folder(&cast.phone_home.vault(), &cast.phisher.vault())?;
    let joined = cast.stage.run(
        Program::Desktop,
        &cast.phisher,
        &["vault", "join", "--name", "Nobody's computer"],
    )?;
    claims.claim(
        "the stolen pass phrase does open the stolen vault",
        joined.code == 0,
    );
    let presented = phisher_signs_in(cast, claims)?;

    claims.tell(
        "phisher",
        "tries everything it has on every trust-group key in the folder",
    );
    let tried = thief::unwrap_all(&cast.phisher, PASSPHRASE)?;
    claims.claim(
        format!(
            "{} key files of the owner's group in the folder, {} opened: the group secret never travelled",
            tried.foreign, tried.opened
        ),
        tried.foreign > 0 && tried.opened == 0 && tried.all_failed_at_the_seal,
    );

    let relayed = relayed_qr(cast, claims)?;
    Ok(json!({"sign_in": presented, "unwrap": tried.json(), "relayed_qr": relayed}))
}

fn phisher_signs_in(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell("phisher", "signs in with the stolen passkey, far away");
    let mut desktop = cast.local_sign_in(&cast.phisher, FAR_AWAY)?;
    desktop.event("step-up")?;
    claims.tell(
        "phisher",
        "does not get the one-time code: that went to Ana",
    );
    desktop.close_input();
    let finished = desktop.finish(PATIENCE)?;
    let decision = finished.json()?["decision"].clone();
    claims.decided(&decision);
    let key = text(Program::Site, &decision, "key")?;
    claims.claim(
        format!("its passkey is good, but its key K3 ({key}) is new: step-up, and no way past it"),
        finished.code == 7
            && outcome_is(&decision, "new-group")
            && flag(&decision, "step_up_required")
            && !flag(&decision, "signed_in")
            && Some(&key) != cast.first_key.as_ref()
            && Some(&key) != cast.second_key.as_ref(),
    );
    Ok(json!({"decision": decision, "exit_code": finished.code, "K3": key}))
}

/// The phisher shows Ana the QR of its own computer, and Ana falls for it.
fn relayed_qr(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell(
        "phisher",
        "runs handfast link and shows Ana its QR code on a website",
    );
    let mut desktop = cast.desktop(
        &cast.phisher,
        FAR_AWAY,
        &["link", "--qr-url", "--timeout", "2"],
    )?;
    let url = text(Program::Desktop, &desktop.event("qr")?, "url")?;
    claims.tell(
        "Ana",
        "is fooled and scans it: her phone adverts, into her own room",
    );
    cast.phone.scan(&url)?;
    let finished = desktop.finish(PATIENCE)?;
    claims.claim(
        "the phisher's computer never hears the advert, so it cannot even begin (exit code 4)",
        finished.code == 4,
    );
    let owner = cast
        .stage
        .run(
            Program::Desktop,
            &cast.computer,
            &["group", "status", "--json"],
        )?
        .json()?;
    let members = owner["members"].as_array().map_or(0, Vec::len);
    claims.claim("the owner's group still has two members", members == 2);
    Ok(json!({"exit_code": finished.code, "members": members}))
}
