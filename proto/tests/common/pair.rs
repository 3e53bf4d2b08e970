//! A client and a phone of the testkit, and what a good ceremony of theirs gives.

use handfast_proto::ctap2::get_info;
use handfast_proto::hybrid::{DataChannel, DataChannels};
use handfast_proto::ids::Aaguid;
use handfast_testkit::{Damage, Faults, FrameFault, Outcome, Pair, Script, Side};

pub(crate) const ASK: &[u8] = b"\x02request";
pub(crate) const ANSWER: &[u8] = b"\x00answer";

pub(crate) fn info() -> Vec<u8> {
    get_info::Response {
        versions: vec!["FIDO_2_1".to_owned()],
        extensions: Vec::new(),
        aaguid: Aaguid([0; 16]),
        options: vec![("uv".to_owned(), true)],
        transports: vec!["hybrid".to_owned()],
        pin_uv_protocols: Vec::new(),
        max_cred_blob_length: None,
        max_msg_size: None,
        attestation_formats: Vec::new(),
    }
    .encode()
}

pub(crate) fn script() -> Script {
    Script {
        get_info: info(),
        introduce: None,
        requests: vec![ASK.to_vec()],
        answer: Box::new(|_| Some(ANSWER.to_vec())),
        client_channels: DataChannels::WebSocket,
        phone_channels: DataChannels::Both,
        rival: None,
    }
}

/// The same with several requests.
pub(crate) fn talk(requests: usize) -> Script {
    Script {
        requests: vec![ASK.to_vec(); requests],
        ..script()
    }
}

pub(crate) fn play_pair(seed: u64, script: Script, faults: Faults) -> Pair {
    let mut pair = Pair::new(seed, script, faults).unwrap();
    assert!(
        pair.drive(),
        "it must come to rest: {:#?}",
        pair.transcript()
    );
    pair
}

pub(crate) fn play(faults: Faults) -> Outcome {
    play_pair(1, script(), faults).outcome
}

/// Plays with one frame damaged, which must really have happened.
pub(crate) fn damaged(script: Script, from: Side, number: usize, damage: Damage) -> Outcome {
    faulty(script, vec![FrameFault::new(from, number, damage)])
}

/// Plays with these faults of frames, all of which must really have happened.
pub(crate) fn faulty(script: Script, frames: Vec<FrameFault>) -> Outcome {
    let faults = Faults {
        frames: frames.clone(),
        ..Faults::default()
    };
    let pair = play_pair(1, script, faults);
    let mut applied = pair.applied().to_vec();
    applied.sort_by_key(|fault| (fault.from, fault.number));
    assert_eq!(applied, frames, "{:#?}", pair.transcript());
    pair.outcome
}

pub(crate) fn good() -> Outcome {
    Outcome {
        client: Some(Ok(())),
        phone: Some(Ok(())),
        rival: None,
        channel: Some(DataChannel::WebSocket),
        responses: vec![ANSWER.to_vec()],
        introductions: Vec::new(),
        requests: vec![ASK.to_vec()],
    }
}
