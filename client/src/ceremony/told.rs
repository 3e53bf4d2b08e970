//! What a session needs to know beforehand, and what it tells.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use handfast_proto::ctap2::get_info;
use handfast_proto::hybrid::handshake::HandshakeHash;
use handfast_proto::hybrid::{ApiMisuse, CeremonyError, DataChannel, DataChannels};
use handfast_transport::radio::{LinkError, Radio, RadioError};
use handfast_transport::relay::{OpenError, RelayUrl};
use handfast_transport::tls::{TlsError, file_anchors};
use thiserror::Error;

/// Why a session fails.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The protocol.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// The Bluetooth connection.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The session was used in the wrong order.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
    /// The radio.
    #[error(transparent)]
    Radio(#[from] RadioError),
    /// The relay.
    #[error(transparent)]
    Relay(#[from] OpenError),
    /// The trust anchors.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// How sessions find phones and relays.
#[derive(Clone, Debug)]
pub struct Means {
    /// The radio.
    pub radio: Radio,
    /// The ways that are offered to a phone.
    pub channels: DataChannels,
    /// Relays by their number, for those without a name that the number gives.
    pub relays: HashMap<u16, RelayUrl>,
    /// An additional trust anchor for relays.
    pub ca_file: Option<PathBuf>,
    /// How long to wait for a phone, and again for its owner, if not the usual time.
    pub patience: Option<Duration>,
}

impl Means {
    /// Checks that the additional trust anchor can be used. The system's own are left for later: nobody
    /// should wait for a hundred certificates before there is a code to scan.
    ///
    /// # Errors
    ///
    /// [`SessionError::Tls`].
    pub fn check(&self) -> Result<(), SessionError> {
        if let Some(path) = &self.ca_file {
            file_anchors(path)?;
        }
        Ok(())
    }
}

/// What a person should see of a session.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// The channel is open.
    Connected(DataChannel),
    /// A phone's advert was heard.
    PhoneFound,
    /// The radio hears again.
    RadioBack,
    /// The radio hears nothing for now, and why.
    RadioLost(String),
    /// The phone cannot be reached by Bluetooth, and why; the relay is tried.
    RelayInstead(String),
    /// The phone asks its owner.
    WaitingForApproval,
    /// The QR code should be shown.
    WaitingForPhone,
}

/// Who is told of progress.
pub type Tell<'a> = &'a mut dyn FnMut(Progress);

/// A phone that can be asked.
#[derive(Clone, Debug)]
pub struct Ready {
    /// What the phone can do.
    pub info: get_info::Response,
    /// The name of this very connection.
    pub handshake_hash: HandshakeHash,
}
