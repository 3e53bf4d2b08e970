//! The ways on which devices talk, as they are named on command lines and told to programs.

use handfast_proto::hybrid::{DataChannel, DataChannels};

/// Reads `relay`, `ble` or `any`.
///
/// # Errors
///
/// Words for who typed something else.
pub fn channels(text: &str) -> Result<DataChannels, String> {
    match text {
        "relay" => Ok(DataChannels::WebSocket),
        "ble" => Ok(DataChannels::Ble),
        "any" => Ok(DataChannels::Both),
        _ => Err("give relay, ble or any".to_owned()),
    }
}

/// Returns the name of one of them.
pub fn channel_name(channel: DataChannel) -> &'static str {
    match channel {
        DataChannel::WebSocket => "relay",
        DataChannel::Ble => "ble",
    }
}
