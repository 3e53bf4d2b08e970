//! Ceremonies that go by Bluetooth itself, or would.

use std::time::Duration;

use handfast_demo::stage::{DOMAIN, PATIENCE};
use handfast_proto::Now;
use handfast_proto::ctap2::get_info;
use handfast_proto::hybrid::advert::Advertisement;
use handfast_proto::hybrid::qr::ScannedInvitation;
use handfast_proto::hybrid::tunnel::TunnelDomain;
use handfast_proto::hybrid::{
    DataChannel, DataChannels, PhoneAction, PhoneCeremony, PhoneConfig, PhoneLimits, Psm,
};
use handfast_proto::ids::Aaguid;
use handfast_transport::channel::Channel;
use handfast_transport::radio::Listener;
use handfast_transport::relay::{RelayUrl, open_new};
use handfast_transport::tls::TlsTrust;
use rand_core::OsRng;

use crate::rig::{Fault, Rig, claim, ends_with};

const NOW: Now = Now {
    monotonic: Duration::ZERO,
    unix: 0,
};

pub(crate) fn alone(rig: &Rig) -> Result<(), Fault> {
    let (phone, computer) = (rig.phone("p-alone")?, rig.computer("c-alone")?);
    let site = rig.stage.site_url().to_owned();
    for command in ["register", "sign-in"] {
        let arguments = [command, &site, "--user", "alone", "--channel", "ble"];
        let (mut desktop, url) = rig.desktop_without_relay(&computer, &arguments)?;
        let phone = rig.scan_without_relay(&phone, &url)?;
        let channel = desktop.event("connected")?["channel"].to_string();
        claim(channel == "\"ble\"", || channel.clone())?;
        ends_with(desktop, 0)?;
        ends_with(phone, 0)?;
    }
    Ok(())
}

pub(crate) fn power(rig: &Rig) -> Result<(), Fault> {
    let (phone, computer) = (rig.phone("p-cut")?, rig.computer("c-cut")?);
    let site = rig.stage.site_url().to_owned();
    for (user, adapter) in [("cut-c", &rig.client), ("cut-p", &rig.phone)] {
        let arguments = ["register", &site, "--user", user, "--channel", "ble"];
        let (mut desktop, url) = rig.desktop_without_relay(&computer, &arguments)?;
        let phone = rig.scan_and_ask(&phone, &url)?;
        desktop.event("waiting-for-approval")?;
        rig.power(adapter, false)?;
        for process in [desktop, phone] {
            let ended = process.finish(PATIENCE)?;
            claim([1, 5].contains(&ended.code), || format!("{ended:?}"))?;
        }
        rig.power(adapter, true)?;
    }
    Ok(())
}

/// Where the computer's attempt to connect leads.
enum Trap {
    /// Nobody takes connections there.
    Nowhere,
    /// They are taken, and closed at once.
    ToTheEnd,
}

pub(crate) fn fallback(rig: &Rig) -> Result<(), Fault> {
    let computer = rig.computer("c-fallback")?;
    let site = rig.stage.site_url().to_owned();
    for (user, trap) in [("nowhere", Trap::Nowhere), ("end", Trap::ToTheEnd)] {
        let arguments = ["register", &site, "--user", user, "--channel", "any"];
        let (mut desktop, url) = rig.desktop(&computer, &arguments)?;
        rig.runtime.block_on(pretend(rig, &url, trap))?;
        desktop.event("relay-instead")?;
        let channel = desktop.event("connected")?["channel"].to_string();
        claim(channel == "\"relay\"", || channel.clone())?;
    }
    Ok(())
}

/// Is a phone whose Bluetooth leads nowhere, until the computer has come through the relay.
async fn pretend(rig: &Rig, url: &str, trap: Trap) -> Result<(), Fault> {
    let not = |error: &dyn std::fmt::Display| Fault::Not(error.to_string());
    let invitation = ScannedInvitation::parse(url).map_err(|error| not(&error))?;
    let tunnel = invitation.secret().tunnel_id();
    let config = PhoneConfig {
        domain: TunnelDomain(DOMAIN),
        channels: DataChannels::Both,
        get_info: information(),
        limits: PhoneLimits::default(),
    };
    let mut phone = PhoneCeremony::start(config, invitation, NOW).map_err(|error| not(&error))?;
    let authority = rig.stage.certificates().authority().to_owned();
    let trust = TlsTrust::new(Some(&authority)).map_err(|error| not(&error))?;
    let relay = RelayUrl::parse(rig.stage.relay_url()).map_err(|error| not(&error))?;
    let opened = open_new(&relay, &tunnel, &trust).await;
    let (mut channel, routing) = opened.map_err(|error| not(&error))?;
    let listener = rig
        .phone_radio()
        .listen()
        .await
        .map_err(|error| not(&error))?;
    let psm = match trap {
        Trap::ToTheEnd => Some(listener.psm()),
        Trap::Nowhere => Psm::new(0xfe),
    };
    phone.handle_tunnel_opened(routing, &mut OsRng, NOW);
    if let Some(psm) = psm {
        phone.handle_ble_listening(psm, &mut OsRng, NOW);
    }
    let advert = advert(&mut phone)?;
    let _advertising = rig.phone_radio().advertise(&advert).await?;
    let first = async {
        tokio::select! {
            frame = channel.recv() => frame,
            never = refuse(&listener) => match never {},
        }
    };
    let first = tokio::time::timeout(PATIENCE, first).await;
    let frame = first
        .map_err(|_| Fault::Not("no computer came through the relay".to_owned()))?
        .map_err(|error| not(&error))?;
    phone.handle_frame(DataChannel::WebSocket, &frame, &mut OsRng, NOW);
    answer(&mut phone, &mut channel).await
}

/// Takes every connection, and closes it.
async fn refuse(listener: &Listener) -> std::convert::Infallible {
    loop {
        if listener.accept().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn advert(phone: &mut PhoneCeremony) -> Result<Advertisement, Fault> {
    while let Some(action) = phone.poll_action() {
        if let PhoneAction::Advertise(advert) = action {
            return Ok(advert);
        }
    }
    Err(Fault::Not("the phone does not advertise".to_owned()))
}

/// Sends what the phone has to say; a computer is connected then.
async fn answer(phone: &mut PhoneCeremony, channel: &mut Channel) -> Result<(), Fault> {
    while let Some(action) = phone.poll_action() {
        if let PhoneAction::Send(_, frame) = action {
            let sent = channel.send(frame).await;
            sent.map_err(|error| Fault::Not(error.to_string()))?;
        }
    }
    Ok(())
}

fn information() -> Vec<u8> {
    get_info::Response {
        versions: vec!["FIDO_2_1".to_owned()],
        extensions: Vec::new(),
        aaguid: Aaguid([0; 16]),
        options: vec![("uv".to_owned(), true)],
        transports: vec!["hybrid".to_owned()],
        pin_uv_protocols: Vec::new(),
        max_cred_blob_length: None,
        max_msg_size: None,
        attestation_formats: Vec::new(),
    }
    .encode()
}
