//! The advert: 20 bytes by which a phone tells whoever knows the QR code where to meet it
//! (`hybrid-transport.md` §3).

use subtle::ConstantTimeEq;
use thiserror::Error;

use super::data_channel::Psm;
use super::keys::EidKey;
use super::tunnel::{RoutingId, TunnelDomain};
use crate::cbor::{self, Map, Value};

/// The 16-bit service UUID under which adverts are sent (FIDO).
pub const SERVICE_UUID: u16 = 0xfff9;

/// The older service UUID that is accepted too (Google).
pub const OLD_SERVICE_UUID: u16 = 0xfde2;

/// The bytes of an advert; a CTAP 2.3 suffix may follow them.
pub const ADVERT_LENGTH: usize = 20;

/// Why an advert is not for this ceremony. It is ignored, and scanning goes on.
#[derive(Clone, Copy, Debug, Error, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AdvertError {
    /// The flags are of a version that the QR code did not ask for.
    #[error("the advert is of an unknown version")]
    Flags,
    /// Fewer than 20 bytes.
    #[error("the advert is too short")]
    Length,
    /// Made with another key: somebody else's ceremony, or altered.
    #[error("the advert belongs to another ceremony")]
    Tag,
    /// An assigned tunnel domain that is not known here.
    #[error("the advert names an unknown relay")]
    UnknownDomain,
}

/// What an advert says: one AES block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EidPlaintext {
    /// 10 random bytes, new for each connection.
    pub nonce: [u8; 10],
    /// The routing ID that the relay gave.
    pub routing: RoutingId,
    /// The relay.
    pub domain: TunnelDomain,
}

impl EidPlaintext {
    /// Returns the block: flags 0, nonce, routing ID, domain (little-endian).
    pub fn to_bytes(&self) -> [u8; 16] {
        let mut block = [0; 16];
        let parts = self.nonce.iter().chain(&self.routing.0);
        let domain = self.domain.0.to_le_bytes();
        for (byte, part) in block.iter_mut().skip(1).zip(parts.chain(&domain)) {
            *byte = *part;
        }
        block
    }
}

/// What a phone broadcasts: 20 bytes, and behind them where it takes Bluetooth connections, if it does
/// (`hybrid-transport.md` §3.4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Advertisement {
    /// The encrypted 20 bytes.
    pub eid: [u8; ADVERT_LENGTH],
    /// The PSM of the phone's L2CAP server. With one, the advert has to be connectable.
    pub psm: Option<Psm>,
}

impl Advertisement {
    /// Returns the bytes to broadcast under [`SERVICE_UUID`].
    pub fn service_data(&self) -> Vec<u8> {
        let mut data = self.eid.to_vec();
        if let Some(psm) = self.psm {
            data.extend(Map::new().with(1, psm.get()).encode());
        }
        data
    }
}

/// Reads where a phone takes Bluetooth connections from what follows the 20 bytes of its advert. Nobody
/// vouches for that, and what cannot be read is as if absent.
pub fn psm(service_data: &[u8]) -> Option<Psm> {
    let suffix = service_data.get(ADVERT_LENGTH..)?;
    let value = cbor::decode(suffix).ok()?;
    let number = value.as_map()?.int(1).and_then(Value::as_u64)?;
    Psm::new(u16::try_from(number).ok()?)
}

/// Encrypts an advert.
pub fn seal(key: &EidKey, plaintext: &EidPlaintext) -> [u8; ADVERT_LENGTH] {
    let mut block = plaintext.to_bytes();
    key.encrypt(&mut block);
    let tag = key.tag(&block);
    let mut advert = [0; ADVERT_LENGTH];
    for (byte, part) in advert.iter_mut().zip(block.iter().chain(&tag)) {
        *byte = *part;
    }
    advert
}

/// Decrypts an advert, if it is for this key. What follows its 20 bytes is for [`psm`].
///
/// # Errors
///
/// [`AdvertError`] tells why it is to be ignored.
pub fn open(key: &EidKey, service_data: &[u8]) -> Result<EidPlaintext, AdvertError> {
    let (block, rest) = service_data
        .split_first_chunk::<16>()
        .ok_or(AdvertError::Length)?;
    let (tag, _) = rest.split_first_chunk::<4>().ok_or(AdvertError::Length)?;
    if !bool::from(key.tag(block).ct_eq(tag)) {
        return Err(AdvertError::Tag);
    }
    let mut block = *block;
    key.decrypt(&mut block);
    let [flags, nonce @ .., r0, r1, r2, d0, d1] = block;
    if flags != 0 {
        return Err(AdvertError::Flags);
    }
    let domain = TunnelDomain(u16::from_le_bytes([d0, d1]));
    if !domain.is_known() {
        return Err(AdvertError::UnknownDomain);
    }
    Ok(EidPlaintext {
        nonce,
        routing: RoutingId([r0, r1, r2]),
        domain,
    })
}
