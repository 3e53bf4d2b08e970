//! The handshake: `Noise_KNpsk0_P256_AESGCM_SHA256` over `snow` (`hybrid-transport.md` §6).

use core::fmt;

use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use rand_core::CryptoRngCore;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::channel::{SecureChannel, TrafficKey};
use super::keys::Psk;

/// The bytes of each of the two handshake messages: a point and a tag.
pub const MESSAGE_LENGTH: usize = 81;

const NAME: &str = "Noise_KNpsk0_P256_AESGCM_SHA256";
/// The prologue of a ceremony that began with a QR code.
const PROLOGUE: [u8; 1] = [1];

/// Why a handshake fails. There is no second try on the same channel.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The message is not of [`MESSAGE_LENGTH`].
    #[error("the handshake message has the wrong length")]
    Length,
    /// `snow` refused what it was given on this side.
    #[error("the handshake could not be prepared")]
    Local,
    /// The message is altered, or its sender did not hear the advert or does not know the QR code.
    #[error("the handshake message is not of this ceremony")]
    Rejected,
}

/// The final handshake hash: it names this very connection.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct HandshakeHash(pub [u8; 32]);

impl fmt::Debug for HandshakeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandshakeHash")
    }
}

/// What a handshake gives: the channel, and its name.
#[derive(Debug)]
pub struct Established {
    /// The channel.
    pub channel: SecureChannel,
    /// The handshake hash.
    pub hash: HandshakeHash,
}

/// The client's side, between the two messages.
pub struct Initiator(HandshakeState);

impl Initiator {
    /// Makes message 1.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Local`].
    pub fn start(
        key: &p256::SecretKey,
        psk: &Psk,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let scalar = Zeroizing::new(<[u8; 32]>::from(key.to_bytes()));
        let mut state = builder(psk, rng)?
            .local_private_key(scalar.as_ref())
            .and_then(Builder::build_initiator)
            .map_err(|_| HandshakeError::Local)?;
        let message = write(&mut state)?;
        Ok((Self(state), message))
    }

    /// Reads message 2.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Length`] and [`HandshakeError::Rejected`].
    pub fn finish(mut self, message: &[u8]) -> Result<Established, HandshakeError> {
        read(&mut self.0, message)?;
        let (to_phone, to_client) = split(&mut self.0);
        established(&self.0, to_phone, to_client)
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Initiator")
    }
}

/// The phone's side: reads message 1 and makes message 2.
///
/// # Errors
///
/// [`HandshakeError`].
pub fn respond(
    client: &p256::PublicKey,
    psk: &Psk,
    message: &[u8],
    rng: &mut dyn CryptoRngCore,
) -> Result<(Vec<u8>, Established), HandshakeError> {
    // The builder takes a compressed point without a word and makes a wrong handshake of it.
    let point = client.to_encoded_point(false);
    let mut state = builder(psk, rng)?
        .remote_public_key(point.as_bytes())
        .and_then(Builder::build_responder)
        .map_err(|_| HandshakeError::Local)?;
    read(&mut state, message)?;
    let reply = write(&mut state)?;
    let (to_phone, to_client) = split(&mut state);
    Ok((reply, established(&state, to_client, to_phone)?))
}

fn builder<'a>(
    psk: &'a Psk,
    mut rng: &mut dyn CryptoRngCore,
) -> Result<Builder<'a>, HandshakeError> {
    // A scalar that is zero or too large would make `snow` panic, so it gets a valid one.
    let scalar = p256::SecretKey::random(&mut rng).to_bytes();
    let resolver = Resolver(Zeroizing::new(scalar.into()));
    let params = NAME.parse().map_err(|_| HandshakeError::Local)?;
    Builder::with_resolver(params, Box::new(resolver))
        .prologue(&PROLOGUE)
        .and_then(|builder| builder.psk(0, psk.expose()))
        .map_err(|_| HandshakeError::Local)
}

fn write(state: &mut HandshakeState) -> Result<Vec<u8>, HandshakeError> {
    let mut message = vec![0; MESSAGE_LENGTH];
    match state.write_message(&[], &mut message) {
        Ok(MESSAGE_LENGTH) => Ok(message),
        _ => Err(HandshakeError::Local),
    }
}

fn read(state: &mut HandshakeState, message: &[u8]) -> Result<(), HandshakeError> {
    if message.len() != MESSAGE_LENGTH {
        return Err(HandshakeError::Length);
    }
    match state.read_message(message, &mut [0; MESSAGE_LENGTH]) {
        Ok(0) => Ok(()),
        _ => Err(HandshakeError::Rejected),
    }
}

fn split(state: &mut HandshakeState) -> (TrafficKey, TrafficKey) {
    let (mut to_phone, mut to_client) = state.dangerously_get_raw_split();
    let keys = (TrafficKey::new(&to_phone), TrafficKey::new(&to_client));
    to_phone.zeroize();
    to_client.zeroize();
    keys
}

fn established(
    state: &HandshakeState,
    send: TrafficKey,
    receive: TrafficKey,
) -> Result<Established, HandshakeError> {
    let hash = state
        .get_handshake_hash()
        .try_into()
        .map_err(|_| HandshakeError::Local)?;
    Ok(Established {
        channel: SecureChannel::new(send, receive),
        hash: HandshakeHash(hash),
    })
}

/// `snow`'s own primitives, with the ephemeral key's scalar in place of the system's randomness.
struct Resolver(Zeroizing<[u8; 32]>);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Ephemeral(Some(self.0.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// Gives its scalar once: a second ephemeral key in one handshake would be a mistake.
struct Ephemeral(Option<Zeroizing<[u8; 32]>>);

impl Random for Ephemeral {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        match self.0.take() {
            Some(scalar) if dest.len() == scalar.len() => {
                dest.copy_from_slice(scalar.as_ref());
                Ok(())
            }
            _ => Err(snow::Error::Rng),
        }
    }
}
