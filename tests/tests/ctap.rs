//! The engine by itself, as tools for tests see it: CTAP2 on a Unix socket, and the judgement of an
//! outside library.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use handfast_demo::stage::{Home, Process, Program, Stage};
use handfast_tests::{PASSPHRASE, PIN, phone, run, stage, told, words};

/// A phone that serves CTAP2 to tools, and its socket.
fn serve(stage: &Stage, home: &Home) -> (Process, PathBuf) {
    serve_with(stage, home, &[])
}

fn serve_with(stage: &Stage, home: &Home, options: &[&str]) -> (Process, PathBuf) {
    let path = stage.folder().join("ctap");
    let socket = format!("unix:{}", path.display());
    let arguments = [&["serve-ctap", &socket], options].concat();
    let mut phone = stage.spawn(Program::Phone, home, &arguments).unwrap();
    assert_eq!(phone.address().unwrap(), socket);
    (phone, path)
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// Sends a request under a length that may be wrong, and returns the reply.
fn ask_with(stream: &mut UnixStream, length: u32, request: &[u8]) -> Vec<u8> {
    let frame = [&length.to_be_bytes(), request].concat();
    stream.write_all(&frame).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut reply = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut reply).unwrap();
    reply
}

fn ask(stream: &mut UnixStream, request: &[u8]) -> Vec<u8> {
    ask_with(stream, request.len().try_into().unwrap(), request)
}

#[test]
fn an_outside_library_agrees_with_all_that_the_engine_says() {
    let python = std::env::var_os("HANDFAST_PYTHON").unwrap_or_else(|| "python3".into());
    let mut import = Command::new(&python);
    import.args(["-c", "import fido2.ctap2"]);
    import.stderr(Stdio::null()).stdout(Stdio::null());
    if !import.status().is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("HANDFAST_PYTHON").is_none(),
            "HANDFAST_PYTHON is set, but has no fido2"
        );
        eprintln!("SKIPPED: no python3 with python-fido2 on this machine (pip install fido2)");
        return;
    }
    let stage = stage();
    let names = "devicePubKey,supplementalPubKeys,relationshipPublicKey";
    let options = ["--compat-extensions", names];
    let (_phone, path) = serve_with(&stage, &phone(&stage, "phone"), &options);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ctap/outside.py");
    let judged = Command::new(&python).arg(script).arg(&path).output();
    let judged = judged.unwrap();
    let said = String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success(), "{said}");
    assert_eq!(judged.stdout, b"verified\n");
}

#[test]
fn frames_that_make_no_sense_get_a_status_or_the_door_and_others_go_on() {
    let stage = stage();
    let (mut phone, path) = serve(&stage, &phone(&stage, "phone"));
    let mut other = connect(&path);
    let info = ask(&mut other, &[0x04]);
    assert_eq!(info[0], 0, "{info:x?}");
    let mut stream = connect(&path);
    for (request, status) in [
        (&[][..], 0x03),
        (&[0x04, 0xA0], 0x03),
        (&[0x01], 0x12),
        (&[0x01, 0xA0], 0x14),
        (&[0x06, 0xA0], 0x14),
        (&[0x09, 0xA0], 0x01),
        (&[0xFF], 0x01),
    ] {
        assert_eq!(ask(&mut stream, request), [status], "{request:x?}");
    }
    let large = vec![1; 70_000];
    assert_eq!(ask(&mut stream, &large), [0x39]);
    assert_eq!(ask(&mut stream, &[0x04]), info, "the connection goes on");
    // So large that it is not even read.
    assert_eq!(ask_with(&mut stream, u32::MAX, &[1; 100]), [0x39]);
    let mut rest = Vec::new();
    // Closing what was not read may reset the connection.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
    // Who leaves in the middle of a request takes nobody along.
    let mut cut = connect(&path);
    cut.write_all(&[0, 0, 1, 0, 4]).unwrap();
    drop(cut);
    assert_eq!(ask(&mut other, &[0x04]), info);
    assert!(phone.is_running());
}

#[test]
fn only_a_vault_for_tests_is_served_and_only_its_owner_gets_in() {
    let stage = stage();
    let home = stage.home("real", PASSPHRASE, PIN).unwrap();
    let made = run(&stage, Program::Phone, &home, &words(&["init"]), "");
    assert_eq!(made.code, 0, "{}", made.err);
    let path = stage.folder().join("ctap");
    let socket = format!("unix:{}", path.display());
    let refused = run(
        &stage,
        Program::Phone,
        &home,
        &words(&["serve-ctap", &socket]),
        "",
    );
    told(&refused, 2, "made for tests");
    assert!(!path.exists());

    let home = phone(&stage, "phone");
    let (mut first, path) = serve(&stage, &home);
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let second = run(
        &stage,
        Program::Phone,
        &home,
        &words(&["serve-ctap", &socket]),
        "",
    );
    told(&second, 1, "cannot be used");
    assert_eq!(ask(&mut connect(&path), &[0x04])[0], 0, "the first goes on");
    // A socket that a killed program left behind is replaced; what is no socket is not.
    first.kill();
    drop(first);
    let (_third, path) = serve(&stage, &home);
    assert_eq!(ask(&mut connect(&path), &[0x04])[0], 0);
    let file = stage.folder().join("file");
    std::fs::write(&file, "precious").unwrap();
    let onto = words(&["serve-ctap", &format!("unix:{}", file.display())]);
    told(
        &run(&stage, Program::Phone, &home, &onto, ""),
        1,
        "cannot be used",
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let taken = stage.folder().join("taken");
    let _listener = UnixListener::bind(&taken).unwrap();
    let onto = words(&["serve-ctap", &format!("unix:{}", taken.display())]);
    told(
        &run(&stage, Program::Phone, &home, &onto, ""),
        1,
        "cannot be used",
    );
    assert!(taken.exists());
    for bad in [
        &["/tmp/x"][..],
        &[&socket, "--compat-extensions", "devicePubKey,uvm"],
    ] {
        let bad = words(&[&["serve-ctap"], bad].concat());
        assert_eq!(run(&stage, Program::Phone, &home, &bad, "").code, 2);
    }
}
