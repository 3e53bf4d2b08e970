//! What breaks in the middle of a ceremony.

use std::time::Duration;

use crate::rig::{Fault, Rig, claim, ends_with};

pub(crate) fn client_power(rig: &Rig) -> Result<(), Fault> {
    let (phone, computer) = (rig.phone("p-off-c")?, rig.computer("c-off-c")?);
    let (mut desktop, url) = rig.register(&computer, "off-c")?;
    rig.power(&rig.client, false)?;
    let lost = desktop.event("radio-lost")?;
    rig.power(&rig.client, true)?;
    let reason = lost["reason"].as_str().unwrap_or_default().to_owned();
    claim(reason.contains("off"), || reason.clone())?;
    desktop.event("radio-back")?;
    let phone = rig.scan(&phone, &url, &[])?;
    ends_with(desktop, 0)?;
    ends_with(phone, 0)?;
    Ok(())
}

pub(crate) fn phone_power(rig: &Rig) -> Result<(), Fault> {
    let (phone, computer) = (rig.phone("p-off-p")?, rig.computer("c-off-p")?);
    let (desktop, url) = rig.register(&computer, "off-p")?;
    // Where the computer does not listen yet, the phone is not found before its radio is gone.
    rig.power(&rig.client, false)?;
    let mut phone = rig.scan(&phone, &url, &[])?;
    phone.event("advertising")?;
    rig.power(&rig.phone, false)?;
    phone.event("radio-lost")?;
    rig.power(&rig.phone, true)?;
    rig.power(&rig.client, true)?;
    ends_with(desktop, 0)?;
    ends_with(phone, 0)?;
    Ok(())
}

pub(crate) fn power_stays_off(rig: &Rig) -> Result<(), Fault> {
    let (phone, computer) = (rig.phone("p-stays")?, rig.computer("c-stays")?);
    let site = rig.stage.site_url().to_owned();
    let arguments = ["register", &site, "--user", "stays", "--timeout", "15"];
    let (desktop, url) = rig.desktop(&computer, &arguments)?;
    rig.power(&rig.client, false)?;
    let mut phone = rig.scan(&phone, &url, &["--timeout", "10"])?;
    phone.event("advertising")?;
    rig.power(&rig.phone, false)?;
    let (phone, desktop) = (ends_with(phone, 5)?, ends_with(desktop, 5)?);
    claim(phone.out.contains("Bluetooth is off"), || phone.out.clone())?;
    claim(desktop.err.contains("Bluetooth is off"), || {
        desktop.err.clone()
    })
}

pub(crate) fn power_off_at_start(rig: &Rig) -> Result<(), Fault> {
    let (phone, computer) = (rig.phone("p-start")?, rig.computer("c-start")?);
    rig.power(&rig.client, false)?;
    rig.power(&rig.phone, false)?;
    let ceremony = rig.register(&computer, "start")?;
    let phone = rig.scan(&phone, &ceremony.1, &[])?;
    let desktop = ends_with(ceremony.0, 0)?;
    let phone = ends_with(phone, 0)?;
    for said in [&desktop.err, &phone.out] {
        claim(said.contains("powering-on"), || said.clone())?;
    }
    Ok(())
}

pub(crate) fn service_restarts(rig: &Rig) -> Result<(), Fault> {
    let (phone, computer) = (rig.phone("p-restart")?, rig.computer("c-restart")?);
    let (desktop, url) = rig.register(&computer, "restart")?;
    rig.restart_service()?;
    // The scan of before is forgotten; the computer notices.
    std::thread::sleep(Duration::from_secs(1));
    let phone = rig.scan(&phone, &url, &[])?;
    ends_with(desktop, 0)?;
    ends_with(phone, 0)?;
    Ok(())
}
