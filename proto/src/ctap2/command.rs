//! Which command a request is.

use super::{Status, client_pin, get_assertion, make_credential};

/// authenticatorMakeCredential.
pub const MAKE_CREDENTIAL: u8 = 0x01;
/// authenticatorGetAssertion.
pub const GET_ASSERTION: u8 = 0x02;
/// authenticatorGetInfo.
pub const GET_INFO: u8 = 0x04;
/// authenticatorClientPIN.
pub const CLIENT_PIN: u8 = 0x06;
/// authenticatorReset.
pub const RESET: u8 = 0x07;
/// authenticatorGetNextAssertion.
pub const GET_NEXT_ASSERTION: u8 = 0x08;
/// authenticatorSelection.
pub const SELECTION: u8 = 0x0B;
/// The vendor command that carries trust-group steps (`trust-group.md` §4.3).
pub const TRUST_GROUP: u8 = 0x50;

/// The most bytes that a request may have, command byte included.
pub const MAX_REQUEST: usize = 65_536;

/// The same for trust-group steps: a MERGE brings all keys of a group along, some 300 bytes each.
pub const MAX_TRUST_GROUP_REQUEST: usize = 1024 * 1024;

/// A request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// authenticatorClientPIN
    ClientPin(client_pin::Request),
    /// authenticatorGetAssertion
    GetAssertion(get_assertion::Request),
    /// authenticatorGetInfo
    GetInfo,
    /// authenticatorGetNextAssertion
    GetNextAssertion,
    /// authenticatorMakeCredential
    MakeCredential(Box<make_credential::Request>),
    /// authenticatorReset
    Reset,
    /// authenticatorSelection
    Selection,
    /// A trust-group step: the CBOR after the command byte.
    TrustGroup(Vec<u8>),
    /// A command that is not ours.
    Unknown(u8),
}

impl Command {
    /// Reads a request: one command byte, then CBOR.
    ///
    /// # Errors
    ///
    /// The status to answer with: [`Status::REQUEST_TOO_LARGE`], [`Status::INVALID_CBOR`],
    /// [`Status::CBOR_UNEXPECTED_TYPE`], [`Status::MISSING_PARAMETER`],
    /// [`Status::INVALID_PARAMETER`], [`Status::INVALID_SUBCOMMAND`] or
    /// [`Status::INVALID_LENGTH`].
    pub fn parse(request: &[u8]) -> Result<Self, Status> {
        let (&command, cbor) = request.split_first().ok_or(Status::INVALID_LENGTH)?;
        let most = match command {
            TRUST_GROUP => MAX_TRUST_GROUP_REQUEST,
            _ => MAX_REQUEST,
        };
        if request.len() > most {
            return Err(Status::REQUEST_TOO_LARGE);
        }
        Ok(match command {
            MAKE_CREDENTIAL => {
                Self::MakeCredential(Box::new(make_credential::Request::parse(cbor)?))
            }
            GET_ASSERTION => Self::GetAssertion(get_assertion::Request::parse(cbor)?),
            CLIENT_PIN => Self::ClientPin(client_pin::Request::parse(cbor)?),
            GET_INFO | GET_NEXT_ASSERTION | RESET | SELECTION if !cbor.is_empty() => {
                return Err(Status::INVALID_LENGTH);
            }
            GET_INFO => Self::GetInfo,
            GET_NEXT_ASSERTION => Self::GetNextAssertion,
            RESET => Self::Reset,
            SELECTION => Self::Selection,
            TRUST_GROUP => Self::TrustGroup(cbor.to_vec()),
            other => Self::Unknown(other),
        })
    }
}
