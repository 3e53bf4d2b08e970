//! The acts themselves.

mod conflict;
mod first;
mod fourth;
mod link;
mod relayed;
mod second;
mod third;

use serde_json::Value;

use super::StoryError;
use super::cast::Cast;
use super::claims::Claims;

type Play = fn(&mut Cast, &mut Claims<'_>) -> Result<Value, StoryError>;

pub(super) const ALL: [(u8, &str, Play); 4] = [
    (
        1,
        "The phone makes a passkey for a site, asked by the laptop beside it",
        first::play,
    ),
    (
        2,
        "The laptop has only the pass phrase: the site wants to know more",
        second::play,
    ),
    (
        3,
        "The computers join hands with the phone: the site knows them",
        third::play,
    ),
    (
        4,
        "The phisher has everything that travels, and is stopped",
        fourth::play,
    ),
];
