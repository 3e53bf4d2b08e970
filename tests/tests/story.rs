//! The four acts, played by the binaries themselves.

use handfast_demo::story::{Teller, play};
use handfast_tests::programs;

#[test]
fn the_four_acts_end_as_the_story_says() {
    let played = play(programs(), &mut Teller::silent()).unwrap();
    assert!(played.passed(), "{:#}", played.json());
    let sign_ins: Vec<_> = played
        .sign_ins()
        .map(|it| (it.who, it.outcome(), it.key_name.as_str(), it.step_up()))
        .collect();
    let expected = [
        ("phone, asked by the laptop", "new-group", "K1", false),
        ("laptop, by pass phrase alone", "new-group", "K2", true),
        ("laptop, linked with the phone", "known", "K1", false),
        ("workstation, linked beforehand", "known", "K1", false),
        ("phisher, with all that travels", "new-group", "K3", true),
        ("laptop, after all of that", "known", "K1", false),
    ];
    assert_eq!(sign_ins, expected);
}
