use handfast_proto::hybrid::{CeremonyError, Unanswerable};
use handfast_transport::radio::{LinkError, RadioError};
use handfast_transport::relay::OpenError;
use thiserror::Error;

/// Why a ceremony did not end well.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ServeError {
    /// The protocol.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// Nobody came, and the owner wants something else.
    #[error("no computer came until this was ended")]
    Ended,
    /// The Bluetooth connection.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The relay.
    #[error(transparent)]
    Relay(#[from] OpenError),
    /// The radio.
    #[error(transparent)]
    Radio(#[from] RadioError),
    /// The code cannot be answered.
    #[error(transparent)]
    Unanswerable(#[from] Unanswerable),
    /// The engine's thread ended in the middle.
    #[error("the authenticator stopped in the middle of an answer")]
    Stopped,
}
