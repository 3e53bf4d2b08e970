//! The pass phrase of a vault, and how it is stretched.

use core::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand_core::CryptoRngCore;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// Text that only the vault's owner knows.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the text; ends of line after it are not part of it.
    pub fn new(text: impl Into<String>) -> Self {
        let text = Zeroizing::new(text.into());
        Self(Zeroizing::new(
            text.trim_end_matches(['\r', '\n']).to_owned(),
        ))
    }

    /// Returns whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    #[cfg(feature = "exchange")]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

/// Why stretching is not possible.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum StretchError {
    /// The parameters are weaker or heavier than anybody should use.
    #[error("its Argon2id parameters are out of bounds")]
    OutOfBounds,
    /// There is not enough memory.
    #[error("there is not enough memory to stretch the pass phrase")]
    OutOfMemory,
}

/// Argon2id parameters that were found to be within bounds (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretching {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Stretching {
    /// 64 MiB, three passes, one lane.
    pub const DEFAULT: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 1,
    };

    /// The least that is accepted: 19 MiB, one pass. For tests.
    pub const LEAST: Self = Self {
        memory_kib: 19 * 1024,
        passes: 1,
        lanes: 1,
    };

    /// Takes parameters: 19 MiB to 1 GiB, 1 to 64 passes, 1 to 16 lanes.
    ///
    /// # Errors
    ///
    /// [`StretchError::OutOfBounds`].
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, StretchError> {
        let bounded = (Self::LEAST.memory_kib..=1024 * 1024).contains(&memory_kib)
            && (1..=64).contains(&passes)
            && (1..=16).contains(&lanes);
        if bounded {
            Ok(Self {
                memory_kib,
                passes,
                lanes,
            })
        } else {
            Err(StretchError::OutOfBounds)
        }
    }

    /// Returns memory in KiB, passes and lanes.
    pub fn parts(&self) -> [u32; 3] {
        [self.memory_kib, self.passes, self.lanes]
    }

    /// Stretches a secret into 32 bytes.
    ///
    /// # Errors
    ///
    /// [`StretchError`].
    pub fn stretch(
        &self,
        secret: &[u8],
        salt: &[u8; 16],
    ) -> Result<Zeroizing<[u8; 32]>, StretchError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(|_| StretchError::OutOfBounds)?;
        let mut key = Zeroizing::new([0; 32]);
        // Its last blocks are as good as the key.
        let mut memory = Vec::new();
        let blocks = params.block_count();
        memory
            .try_reserve_exact(blocks)
            .map_err(|_| StretchError::OutOfMemory)?;
        memory.resize(blocks, Block::new());
        let stretched = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(secret, salt, key.as_mut(), &mut memory);
        memory.iter_mut().for_each(Block::zeroize);
        stretched.map_err(|_| StretchError::OutOfMemory)?;
        Ok(key)
    }
}

/// Proposes a pass phrase: six common English words, 64 random bits together.
pub fn propose(rng: &mut dyn CryptoRngCore) -> Zeroizing<String> {
    let mut bits = Zeroizing::new([0_u8; 8]);
    rng.fill_bytes(bits.as_mut());
    let words = Zeroizing::new(mnemonic::to_string(*bits));
    let mut phrase = Zeroizing::new(String::with_capacity(words.len()));
    for word in words.split('-').filter(|word| !word.is_empty()) {
        if !phrase.is_empty() {
            phrase.push(' ');
        }
        phrase.push_str(word);
    }
    phrase
}

#[cfg(test)]
mod tests {
    use rand_core::OsRng;

    use super::*;

    #[test]
    fn a_proposal_is_six_words_and_never_the_same() {
        let (one, two) = (propose(&mut OsRng), propose(&mut OsRng));
        for phrase in [&one, &two] {
            let words: Vec<_> = phrase.split(' ').collect();
            assert_eq!(words.len(), 6, "{phrase:?}");
            let plain =
                |word: &&str| word.len() > 2 && word.bytes().all(|b| b.is_ascii_lowercase());
            assert!(words.iter().all(plain), "{phrase:?}");
        }
        assert_ne!(one, two);
    }
}
