//! What the program says without serving.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_handfast-relay"));
    program.args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn names_and_numbers_of_relays_are_told_both_ways() {
    for (asked, told) in [
        ("266", "  266 cable.wufkweyy3uaxb.com\n"),
        ("cable.wufkweyy3uaxb.com", "  266 cable.wufkweyy3uaxb.com\n"),
        ("WufkWeyy3Uaxb.com.", "  266 cable.wufkweyy3uaxb.com\n"),
        ("65535", "65535 cable.lw6vahpb5pldb.net\n"),
        ("cable.ua5v.com", "    0 cable.ua5v.com\n"),
    ] {
        let output = run(&["domain", asked]);
        assert_eq!(text(&output.stdout), told, "{asked}");
        assert_eq!(output.status.code(), Some(0), "{asked}");
    }
}

#[test]
fn names_are_found_by_pattern() {
    let output = run(&["domain", "--search", "wufk*"]);
    assert_eq!(text(&output.stdout), "  266 cable.wufkweyy3uaxb.com\n");
    let count = |pattern| {
        let output = run(&["domain", "--search", pattern]);
        text(&output.stdout).lines().count()
    };
    assert_eq!(count("*"), 65_280);
    let ends = ["*.com", "*.org", "*.net", "cable.*.info"].map(count);
    assert_eq!(ends.iter().sum::<usize>(), 65_280);
}

#[test]
fn what_is_no_relays_name_gets_a_sentence() {
    for (arguments, code, sentence) in [
        (
            &["domain", "example.com"][..],
            1,
            "example.com is no relay's name",
        ),
        (&["domain", "255"], 1, "No relay's name is known for 255."),
        (
            &["domain", "70000"],
            1,
            "No relay's name is known for 70000.",
        ),
        (&["domain", "--search", "0*"], 1, "No name matches 0*."),
        (&["domain", "--search", "fox"], 1, "'*fox*'"),
        (&["serve", "--listen", "443"], 2, "as in 127.0.0.1:8080"),
        (
            &["serve", "--listen", "127.0.0.1:0", "--tunnels", "0"],
            2,
            "one or more",
        ),
        (
            &["serve", "--listen", "192.0.2.1:0", "--trusted-proxy", "::1"],
            1,
            "of --listen cannot be used",
        ),
        (
            &["serve", "--listen", "127.0.0.1:0", "--watch", "192.0.2.1:0"],
            1,
            "of --watch cannot be used",
        ),
        (&["domain"], 2, "required"),
        (&["haproxy-config"], 2, "required"),
        (&["haproxy-config", "0a0b0c=a b:1"], 2, "a host and a port"),
        (
            &["haproxy-config", "0a0b0c=a:1", "0A0B0C=b:1"],
            2,
            "Two nodes have the routing ID 0a0b0c.",
        ),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        let said = text(&output.stderr);
        assert!(said.contains(sentence), "{said}");
    }
    // What is known of several is told all the same.
    let output = run(&["domain", "266", "255"]);
    assert_eq!(text(&output.stdout), "  266 cable.wufkweyy3uaxb.com\n");
    assert_eq!(output.status.code(), Some(1));
}
