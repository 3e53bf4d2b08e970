//! Who asks a phone.

use handfast_authenticator::engine::{Computer, Context};
use handfast_proto::trust::Method;
use libfuzzer_sys::arbitrary::{self, Arbitrary, Result, Unstructured};

use crate::value::below;

/// Who asks, and how he came near.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contact {
    asks: Asks,
    radio: Option<Radio>,
    handshake: Option<u8>,
}

impl<'a> Arbitrary<'a> for Contact {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (asks, radio, handshake) = u.arbitrary()?;
        let known = below(8, u)?;
        Ok(Self {
            asks,
            radio: (known < 6).then_some(radio),
            handshake: (known % 6 != 5).then_some(handshake),
        })
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Asks {
    Unknown,
    TestTool,
    ThisDevice,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Radio {
    HybridQr,
    SecurityKey,
    Simulated,
    UsbNfc,
}

impl Contact {
    /// Returns who asks.
    pub(crate) fn computer(self) -> Computer {
        match self.asks {
            Asks::Unknown => Computer::Unknown,
            Asks::TestTool => Computer::TestTool,
            Asks::ThisDevice => Computer::ThisDevice,
        }
    }

    /// Returns whether the phone knows that he is near.
    pub(crate) fn is_near(self) -> bool {
        self.radio.is_some() && self.handshake.is_some()
    }

    /// Returns the radio, one of them if there is none.
    pub(crate) fn method(self) -> Method {
        match self.radio {
            Some(Radio::SecurityKey) => Method::SecurityKey,
            Some(Radio::Simulated) => Method::Simulated,
            Some(Radio::UsbNfc) => Method::UsbNfc,
            Some(Radio::HybridQr) | None => Method::HybridQr,
        }
    }

    /// Returns whether the phone knows the handshake hash.
    pub(crate) fn has_session(self) -> bool {
        self.handshake.is_some()
    }

    /// Returns the handshake hash, as he has it.
    pub(crate) fn handshake_hash(self) -> [u8; 32] {
        [self.handshake.unwrap_or_default(); 32]
    }

    /// Returns what the phone knows.
    pub(crate) fn context(self) -> Context {
        Context {
            computer: self.computer(),
            method: self.radio.map(|_| self.method()),
            handshake_hash: self.handshake.map(|_| self.handshake_hash()),
        }
    }
}
