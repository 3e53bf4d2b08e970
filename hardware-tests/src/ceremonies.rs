//! Ceremonies that go well, whatever else is on the air.

use std::time::{Duration, Instant};

use handfast_demo::stage::{Home, PATIENCE, Process, Program};
use handfast_proto::hybrid::DataChannel;
use handfast_proto::hybrid::advert::Advertisement;
use handfast_transport::radio::Heard;
use rand_core::{OsRng, RngCore};

use crate::rig::{Fault, Rig, claim, ends_with};

/// What a computer with `-vv` says of an advert that is not for it.
const IGNORED: &str = "an advert was ignored";
/// A phone counts as found at once within this time.
const AT_ONCE: Duration = Duration::from_secs(2);

pub(crate) fn register_and_sign_in(rig: &Rig) -> Result<(), Fault> {
    let (phone, computer) = (rig.phone("p-basic")?, rig.computer("c-basic")?);
    let registered = both(rig, &phone, rig.register(&computer, "basic")?)?;
    claim(registered.contains("new-group"), || registered.clone())?;
    let signed_in = both(rig, &phone, rig.sign_in(&computer, "basic")?)?;
    claim(signed_in.contains("known"), || signed_in.clone())
}

/// Lets the phone answer a code, and returns what the computer printed in the end.
pub(crate) fn both(
    rig: &Rig,
    phone: &Home,
    (desktop, url): (Process, String),
) -> Result<String, Fault> {
    let phone = rig.scan(phone, &url, &[])?;
    let finished = ends_with(desktop, 0)?;
    ends_with(phone, 0)?;
    Ok(finished.out)
}

pub(crate) fn link(rig: &Rig) -> Result<(), Fault> {
    let (phone, computer) = (rig.phone("p-link")?, rig.computer("c-link")?);
    copy(&phone, &computer)?;
    let joined = rig
        .stage
        .run(Program::Desktop, &computer, &["vault", "join"])?;
    claim(joined.code == 0, || joined.err.clone())?;
    let (mut desktop, url) = rig.desktop(&computer, &["link"])?;
    let phone_process = rig.scan(&phone, &url, &[])?;
    desktop.event("confirm-code")?;
    desktop.say("y")?;
    let linked = ends_with(desktop, 0)?.out;
    claim(linked.contains("hybrid-qr"), || linked.clone())?;
    ends_with(phone_process, 0)?;
    let status = rig
        .stage
        .run(Program::Desktop, &computer, &["--json", "group", "status"])?;
    claim(!status.out.contains("simulated"), || status.out.clone())?;
    simulated_is_refused(rig, &phone)
}

fn copy(phone: &Home, computer: &Home) -> Result<(), Fault> {
    Ok(handfast_demo::copier::copy_folder(
        &phone.vault(),
        &computer.vault(),
    )?)
}

fn simulated_is_refused(rig: &Rig, phone: &Home) -> Result<(), Fault> {
    let other = rig.computer("c-simulated")?;
    copy(phone, &other)?;
    rig.stage
        .run(Program::Desktop, &other, &["vault", "join"])?;
    let mut arguments = vec!["link", "--qr-url", "--json"];
    let options = rig.stage.desktop_options("link");
    arguments.extend(options.iter().map(String::as_str));
    let mut desktop = rig.stage.spawn(Program::Desktop, &other, &arguments)?;
    let url = desktop.event("qr")?["url"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let mut arguments = vec!["scan", &url, "--approve", "always", "--json"];
    let options = rig.stage.phone_options("link");
    arguments.extend(options.iter().map(String::as_str));
    let phone = rig.stage.spawn(Program::Phone, phone, &arguments)?;
    let refused = desktop.finish(PATIENCE)?;
    claim(refused.code != 0, || {
        format!("a simulated link was taken: {}", refused.out)
    })?;
    drop(phone);
    Ok(())
}

/// Returns a service data that no phone sent.
fn random_advert() -> Advertisement {
    let mut eid = [0; 20];
    OsRng.fill_bytes(&mut eid);
    Advertisement { eid, psm: None }
}

pub(crate) fn foreign_adverts(rig: &Rig) -> Result<(), Fault> {
    let (phone, computer) = (rig.phone("p-foreign")?, rig.computer("c-foreign")?);
    let radio = rig.phone_radio();
    let foreign = rig.runtime.block_on(async {
        let mut foreign = Vec::new();
        for _ in 0..2 {
            foreign.push(radio.advertise(&random_advert()).await?);
        }
        Ok::<_, Fault>(foreign)
    })?;
    let site = rig.stage.site_url().to_owned();
    let register = ["register", &site, "--user", "foreign", "-v"];
    let (mut desktop, url) = rig.desktop(&computer, &register)?;
    moment(&mut desktop, IGNORED)?;
    let phone = rig.scan(&phone, &url, &[])?;
    ends_with(desktop, 0)?;
    ends_with(phone, 0)?;
    drop(foreign);
    Ok(())
}

pub(crate) fn replayed_advert(rig: &Rig) -> Result<(), Fault> {
    let (phone, computer) = (rig.phone("p-replay")?, rig.computer("c-replay")?);
    let (desktop, url) = rig.register(&computer, "replay")?;
    let recording = rig.runtime.block_on(rig.client_radio().scan())?;
    let phone_process = rig.scan(&phone, &url, &[])?;
    ends_with(desktop, 0)?;
    ends_with(phone_process, 0)?;
    let recorded = record(rig, recording)?;
    claim(!recorded.is_empty(), || "no advert was recorded".to_owned())?;
    let radio = rig.phone_radio();
    // The last one heard is this ceremony's.
    let replays = rig.runtime.block_on(async {
        let mut replays = Vec::new();
        if let Some(advert) = recorded.last() {
            replays.push(radio.advertise(advert).await?);
        }
        Ok::<_, Fault>(replays)
    })?;
    let site = rig.stage.site_url().to_owned();
    let sign_in = ["sign-in", &site, "--user", "replay", "-v"];
    let (mut desktop, url) = rig.desktop(&computer, &sign_in)?;
    moment(&mut desktop, IGNORED)?;
    let phone_process = rig.scan(&phone, &url, &[])?;
    ends_with(desktop, 0)?;
    ends_with(phone_process, 0)?;
    drop(replays);
    Ok(())
}

/// Takes all that was heard until now.
fn record(
    rig: &Rig,
    mut recording: handfast_transport::radio::Scan,
) -> Result<Vec<Advertisement>, Fault> {
    rig.runtime.block_on(async {
        let mut recorded = Vec::new();
        while let Ok(heard) =
            tokio::time::timeout(Duration::from_millis(500), recording.next()).await
        {
            if let Heard::Advert { service_data, .. } = heard?
                && let Ok(eid) = service_data.try_into()
            {
                recorded.push(Advertisement { eid, psm: None });
            }
        }
        Ok(recorded)
    })
}

pub(crate) fn two_at_once(rig: &Rig) -> Result<(), Fault> {
    let phones = [rig.phone("p-two-a")?, rig.phone("p-two-b")?];
    let computers = [rig.computer("c-two-a")?, rig.computer("c-two-b")?];
    let a = rig.register(&computers[0], "two-a")?;
    let b = rig.register(&computers[1], "two-b")?;
    let phone_a = rig.scan(&phones[0], &a.1, &[])?;
    let phone_b = rig.scan(&phones[1], &b.1, &[])?;
    for process in [a.0, b.0, phone_a, phone_b] {
        ends_with(process, 0)?;
    }
    Ok(())
}

/// Times ceremonies. Nothing is asserted: an emulated machine is slow, a real one is not.
pub(crate) fn measure(rig: &Rig, runs: usize, way: DataChannel) -> Result<String, Fault> {
    let (name, option) = match way {
        DataChannel::WebSocket => ("WebSocket", "relay"),
        DataChannel::Ble => ("L2CAP", "ble"),
    };
    let (phone, computer) = (
        rig.phone(&format!("p-time-{option}"))?,
        rig.computer(&format!("c-time-{option}"))?,
    );
    both(rig, &phone, rig.register(&computer, option)?)?;
    let site = rig.stage.site_url().to_owned();
    let sign_in = ["sign-in", &site, "--user", option, "--channel", option];
    let (mut found, mut met, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let (mut desktop, url) = rig.desktop(&computer, &sign_in)?;
        let shown = Instant::now();
        let mut phone_process = rig.scan(&phone, &url, &["-v"])?;
        let on_air = moment(&mut phone_process, r#""message":"advertising""#)?;
        let matched = moment(&mut desktop, "phone-found")?;
        found.push(matched.saturating_duration_since(on_air));
        let connected = moment(&mut desktop, r#""connected""#)?;
        met.push(connected.saturating_duration_since(matched));
        let done = moment(&mut desktop, r#""done""#)?;
        whole.push(done.saturating_duration_since(shown));
        ends_with(desktop, 0)?;
        ends_with(phone_process, 0)?;
    }
    let at_once = found.iter().filter(|found| **found <= AT_ONCE).count();
    Ok(format!(
        "times of {runs} ceremonies by {name} (least, median, most)\n\
         \x20 advert handed over to the client's match {}\n\
         \x20 match to the end of the handshake        {}\n\
         \x20 code shown to signed in                  {}\n\
         \x20 found within {} s: {at_once} of {runs}",
        spread(found),
        spread(met),
        spread(whole),
        AT_ONCE.as_secs()
    ))
}

/// Waits until a program says this, and returns when it did.
fn moment(process: &mut Process, words: &str) -> Result<Instant, Fault> {
    Ok(process.line(words, PATIENCE, |line| {
        line.text.contains(words).then_some(line.at)
    })?)
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |index: usize| times.get(index).copied().unwrap_or_default().as_secs_f32();
    let last = times.len().saturating_sub(1);
    format!("{:.2} s, {:.2} s, {:.2} s", at(0), at(last / 2), at(last))
}
