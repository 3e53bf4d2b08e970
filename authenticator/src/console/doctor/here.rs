//! What this computer itself has: its sandbox, its clock, its vault.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::Finding;
use crate::console::{Failure, code, introducer, passphrase_file, unlock_state};
use crate::device::{DeviceStore, MachineId};
use crate::home::Home;
use crate::vault::Vault;

/// A clock may be this much behind the program's file, which may have been made elsewhere.
const SLACK: Duration = Duration::from_secs(24 * 60 * 60);

/// What surrounds the program, and what to do there for Bluetooth.
fn surroundings() -> Option<(&'static str, &'static str)> {
    if Path::new("/.flatpak-info").exists() {
        return Some((
            "Flatpak",
            "Give it the bus name: flatpak override --user --system-talk-name=org.bluez APP",
        ));
    }
    if std::env::var_os("SNAP").is_some() {
        return Some(("Snap", "Connect it: snap connect APP:bluez"));
    }
    let files = ["/.dockerenv", "/run/.containerenv"];
    if files.iter().any(|file| Path::new(file).exists()) || std::env::var_os("container").is_some()
    {
        return Some((
            "container",
            "Give it the system bus: mount /run/dbus/system_bus_socket into it.",
        ));
    }
    None
}

pub(super) fn sandbox() -> Finding {
    Finding::good(
        "sandbox",
        match surroundings() {
            Some((name, _)) => format!("this is a {name}"),
            None => "none".to_owned(),
        },
    )
}

pub(super) fn sandbox_hint() -> Option<&'static str> {
    surroundings().map(|(_, hint)| hint)
}

/// Returns which BlueZ runs, as far as its own tool tells.
pub(super) fn bluez_version() -> String {
    let told = Command::new("bluetoothctl").arg("--version").output();
    let version = told.ok().filter(|told| told.status.success());
    let version = version.and_then(|told| String::from_utf8(told.stdout).ok());
    match version
        .as_deref()
        .and_then(|words| words.split_whitespace().last())
    {
        Some(version) => format!("BlueZ {version} runs"),
        None => "BlueZ runs".to_owned(),
    }
}

/// Returns whether a switch keeps Bluetooth off.
pub(super) fn is_blocked() -> bool {
    let switches = fs::read_dir("/sys/class/rfkill").into_iter().flatten();
    let mut switches = switches.flatten().map(|entry| entry.path());
    let is = |path: &Path, name: &str, wanted: &str| {
        fs::read_to_string(path.join(name)).is_ok_and(|text| text.trim() == wanted)
    };
    switches.any(|path| {
        is(&path, "type", "bluetooth") && (is(&path, "soft", "1") || is(&path, "hard", "1"))
    })
}

pub(super) fn clock() -> Finding {
    let program = std::env::current_exe().and_then(|path| path.metadata()?.modified());
    match program {
        Ok(made) if SystemTime::now() + SLACK < made => Finding::bad(
            "clock",
            Failure::new("the clock is behind the day on which this program was made")
                .with_hint("Set it: certificates are judged by it."),
        ),
        _ => Finding::good("clock", "no reason to doubt it"),
    }
}

/// Whether this computer can tell a phone which one it is.
pub(super) fn introduction(home: &Home) -> Finding {
    const CHECK: &str = "introduction";
    match introducer(home) {
        Ok(Some(_)) => Finding::good(CHECK, "phones of your vault are told which computer asks"),
        Ok(None) => Finding::unneeded(
            CHECK,
            "no phone is told which computer asks, without a vault",
        ),
        Err(failure) => Finding::bad(CHECK, failure),
    }
}

/// Looks at the vault without opening it.
pub(super) fn vault(home: &Home) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (vault, device) = (
        Vault::exists(&home.vault),
        DeviceStore::exists(&home.device),
    );
    findings.push(match (vault, device, Vault::look(&home.vault)) {
        (true, _, Err(error)) => Finding::bad("vault", error),
        (true, true, Ok(())) => Finding::good("vault", home.vault.display().to_string()),
        (true, false, Ok(())) => Finding::unneeded("vault", "this device is not set up in it"),
        (false, _, _) => Finding::unneeded("vault", "none here"),
    });
    if device {
        let looked = MachineId::of_this_machine()
            .and_then(|machine| DeviceStore::look(&home.device, &machine));
        if let Err(error) = looked {
            findings.push(Finding::bad("device store", error));
        }
    }
    if vault && device {
        findings.push(passphrase(home));
    }
    findings
}

const CHECK: &str = "pass phrase";

/// How this device is unlocked where no file holds the pass phrase, and whether that works.
fn otherwise(home: &Home) -> Finding {
    match unlock_state(home).into_broken() {
        Ok(state) if state.works() => Finding::good(CHECK, state.words()),
        Ok(state) => Finding::unneeded(CHECK, state.words()),
        Err(why) => Finding::bad(CHECK, why),
    }
}

/// Whether the pass phrase is where it is looked for, and nobody else's; or what stands in its place.
fn passphrase(home: &Home) -> Finding {
    let file = match passphrase_file() {
        Ok(Some(file)) => file,
        Ok(None) => return otherwise(home),
        Err(failure) => return Finding::bad(CHECK, failure),
    };
    let mode = fs::metadata(&file).map(|metadata| metadata.mode());
    match mode {
        Ok(mode) if mode & 0o077 != 0 => Finding::bad(
            CHECK,
            Failure::new(format!("others may read {}", file.display()))
                .with_hint(format!("Keep it to yourself: chmod 600 {}", file.display()))
                .with_code(code::FAILURE),
        ),
        _ => Finding::good(CHECK, format!("in {}", file.display())),
    }
}
