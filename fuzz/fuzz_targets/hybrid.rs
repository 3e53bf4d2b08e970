//! Codes, messages and digits: refused, or what they say when they are written again.
#![no_main]

use handfast_proto::hybrid::message::Message;
use handfast_proto::hybrid::qr::{ScannedInvitation, decode_digits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Message::parse(bytes);
    let _ = ScannedInvitation::parse_cbor(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = ScannedInvitation::parse(text);
    if let Ok(decoded) = decode_digits(text) {
        assert!(
            decoded.len() < text.len().max(1),
            "three digits are a byte at least"
        );
    }
});
