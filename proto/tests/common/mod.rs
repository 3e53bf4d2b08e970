//! What several tests share.
#![allow(dead_code, reason = "each test file uses a part of it")]

#[cfg(feature = "hybrid")]
pub(crate) mod pair;
#[cfg(feature = "trust")]
pub(crate) mod trust;
pub(crate) mod vectors;

use rand_core::{CryptoRng, Error, RngCore};

/// Randomness that is known beforehand.
pub(crate) struct Known(pub(crate) Vec<u8>);

impl RngCore for Known {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        let rest = self.0.split_off(dest.len());
        dest.copy_from_slice(&self.0);
        self.0 = rest;
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Known {}
