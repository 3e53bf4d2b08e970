//! What the command lines over this library share: how they fail, how they set a device up and
//! unlock it, and how they tell what goes on inside.

mod backup;
mod channels;
mod clock;
pub mod doctor;
mod failure;
mod group;
mod log;
mod private;
mod radio;
mod renewal;
mod secrets;
mod setup;
mod silence;
mod site;
mod unlock;
mod words;

pub use backup::{AfterRestore, back_up, restore};
pub use channels::{channel_name, channels};
pub use clock::{date, day, unix_time};
pub use failure::{Failure, code};
pub use group::{group_json, group_words};
pub use log::start_log;
pub use private::keep_memory_private;
pub use radio::{POWER_ON, POWERING_ON, radio_ready};
pub use renewal::{Rekeyed, change_passphrase, rekey};
use secrets::passphrase_file;
pub use secrets::{Secrets, new_pin, pin_file};
#[cfg(feature = "phone")]
pub(crate) use secrets::{confirm_owner, document_passphrase, new_document_passphrase};
#[cfg(feature = "phone")]
pub(crate) use setup::stretching;
pub use setup::{default_air, home, init, introducer, join};
pub use silence::Silence;
pub use site::{Doubt, SiteName, steady};
pub use unlock::{UnlockState, UnlockWith, open, unlock_state, unlock_with};
pub use words::{
    Width, columns, forget_typed, left_out, print, put_question, rows, sharing_words, tell,
};

/// What is said with the pass phrase that is proposed for a new vault.
pub const PROPOSAL: &str = "\
Whoever has a copy of the vault's folder can guess at its pass phrase at \
leisure, so it must be long. Write down these six words:";

/// What is said when a device is set up without a PIN.
pub const NO_PIN: &str = "No PIN is set: sites that want you verified will be refused.";
