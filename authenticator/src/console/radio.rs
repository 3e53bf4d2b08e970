//! The radio, as a person may have to switch it on.

use handfast_transport::radio::{Radio, RadioError, Role};

use super::Failure;

/// What a person is asked whose Bluetooth is off.
pub const POWER_ON: &str = "Bluetooth is off. Switch it on? [Y/n] ";
/// What is said where nobody can be asked.
pub const POWERING_ON: &str = "Bluetooth is off; it is switched on now.";

/// Makes sure that the radio can be used. If it is off, `may_power_on` asks a person or says that it is
/// switched on, and returns whether it may be.
///
/// # Errors
///
/// [`Failure`] if it cannot be used, or is to stay off.
pub async fn radio_ready(
    radio: &Radio,
    role: Role,
    may_power_on: impl FnOnce() -> bool,
) -> Result<(), Failure> {
    match radio.check(role).await {
        Err(RadioError::PoweredOff) if may_power_on() => {
            radio.power_on().await?;
            Ok(radio.check(role).await?)
        }
        checked => Ok(checked?),
    }
}
