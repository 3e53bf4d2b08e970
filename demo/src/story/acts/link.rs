//! `handfast link`, with the phone beside the computer.

use crate::stage::{PATIENCE, Program};
use crate::story::StoryError;
use crate::story::cast::{AT_HOME, Cast, Computer, missing, text};
use crate::story::claims::Claims;

/// Lets a computer of the owner's into the phone's trust group. Returns the six digits.
pub(super) fn link(
    cast: &mut Cast,
    claims: &mut Claims<'_>,
    computer: &Computer,
) -> Result<String, StoryError> {
    claims.tell(
        computer.who,
        "handfast link: shows a QR code to the phone beside it.",
    );
    // The phone can let in only who it finds in its own folder.
    cast.settle()?;
    let mut desktop = cast.desktop(computer, AT_HOME, &["link", "--qr-url"])?;
    let url = text(Program::Desktop, &desktop.event("qr")?, "url")?;
    cast.phone.scan(&url)?;
    let shown = desktop.event("confirm-code")?;
    let code = text(Program::Desktop, &shown, "code")?;
    claims.tell(
        "Ana",
        &format!("scans it, reads {code} on the computer, and goes on."),
    );
    desktop.say("y")?;
    let prompt = cast.phone.prompt()?;
    let (device, there) = (
        text(Program::Phone, &prompt, "device")?,
        text(Program::Phone, &prompt, "code")?,
    );
    claims.tell(
        "phone",
        &format!("asks: let “{device}” into your trust group? The number is {there}."),
    );
    claims.claim(
        "Both show the same six digits, and the phone names the computer.",
        code == there && code.len() == 6 && device == computer.name,
    );
    claims.tell("Ana", "says yes, and gives the phone's PIN.");
    cast.phone.confirm_and_approve()?;
    let linked = desktop.finish(PATIENCE)?;
    claims.claim(
        format!("The {} is in the phone's trust group.", computer.who),
        linked.code == 0,
    );
    if linked.code != 0 {
        return Err(missing(Program::Desktop, "a trust group", linked.err));
    }
    cast.phone.event("done")?;
    cast.settle()?;
    Ok(code)
}
