//! The four acts, played by the binaries themselves.

use handfast_demo::story::{Teller, play};
use handfast_tests::programs;

#[test]
fn the_four_acts_end_as_the_story_says() {
    let played = play(programs(), &mut Teller::silent()).unwrap();
    assert!(played.passed(), "{:#}", played.json());
}
