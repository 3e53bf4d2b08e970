//! What the end-to-end tests share: the project's binaries, built once, and people to use them.
//!
//! `cargo test` builds no other package's binaries, so [`programs`] does.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use handfast_demo::stage::Programs;

/// Builds the binaries, with the profile and in the target folder of the running test, and tells
/// where they are.
///
/// # Panics
///
/// If they cannot be built: then no test can say anything.
#[expect(
    clippy::expect_used,
    clippy::panic,
    reason = "this crate is tests only"
)]
pub fn programs() -> Programs {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        // …/target/PROFILE/deps/TEST
        let test = std::env::current_exe().expect("a test has an executable");
        let folder = test
            .ancestors()
            .nth(2)
            .expect("a test is in target/PROFILE/deps");
        let target = folder
            .parent()
            .expect("a profile's folder is in the target folder");
        let mut build = Command::new(option_env!("CARGO").unwrap_or("cargo"));
        build
            .args(["build", "--quiet", "--workspace", "--bins", "--target-dir"])
            .arg(target);
        if folder
            .file_name()
            .is_some_and(|profile| profile == "release")
        {
            build.arg("--release");
        }
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let built = build.status().expect("cargo runs");
        if !built.success() {
            panic!("the binaries could not be built");
        }
        folder.to_owned()
    });
    Programs::Folder(folder.clone())
}
