//! `serve-ctap`: the engine for test tools, without any person.

use std::io::{self, Read, Write, stderr, stdout};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use handfast_proto::ctap2::Status;
use handfast_proto::ctap2::command::MAX_TRUST_GROUP_REQUEST;
use rand_core::OsRng;
use rustix::fs::Mode;
use rustix::process::umask;

use super::compat::Compat;
use crate::console::{self, Failure, Secrets};
use crate::engine::{Answer, Authenticator, Computer, Context, Person, PinPad, Prompt};
use crate::home::Home;

/// Connections at the same time; one more is closed at once.
const CONNECTIONS: usize = 64;

/// Where a socket is, written `unix:PATH`.
pub(super) fn parse_socket(text: &str) -> Result<PathBuf, &'static str> {
    match text.strip_prefix("unix:") {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => Err("a socket is written as unix:/path"),
    }
}

/// Serves until it is killed.
pub(super) fn serve_ctap(
    home: &Home,
    path: &Path,
    compat: &Compat,
    secrets: &mut dyn Secrets,
) -> Result<(), Failure> {
    let mut authenticator = console::open(home, secrets)?;
    compat.set(&mut authenticator);
    if !authenticator.vault.is_for_tests() {
        return Err(
            Failure::usage("serve-ctap works only with a vault made for tests").with_hint(
                "It grants everything without asking. Make such a vault with: \
                 HANDFAST_HOME=/tmp/x handfast-authenticator init --for-tests",
            ),
        );
    }
    let listener = listen(path)?;
    let shown = path.display();
    let _ = writeln!(
        stderr(),
        "EVERYTHING IS GRANTED WITHOUT ASKING to whoever can open {shown}: presence, verification, \
         and the deletion of all passkeys. This is a vault for tests."
    );
    let _ = writeln!(stdout(), "listening on unix:{shown}").and_then(|()| stdout().flush());
    let authenticator = Arc::new(Mutex::new(authenticator));
    for stream in listener.incoming() {
        let stream = stream.map_err(|error| cannot_listen(path, &error))?;
        // The list has one, and each connection another.
        if Arc::strong_count(&authenticator) > CONNECTIONS {
            continue;
        }
        let authenticator = Arc::clone(&authenticator);
        // Who cannot be served is told by the end of the connection.
        let _ = std::thread::Builder::new().spawn(move || converse(stream, &authenticator));
    }
    Ok(())
}

/// Makes the socket, for its owner alone. One that nobody listens to any more is replaced.
fn listen(path: &Path) -> Result<UnixListener, Failure> {
    let usual = umask(Mode::RWXG | Mode::RWXO);
    let bound = UnixListener::bind(path).or_else(|error| {
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
        if error.kind() != io::ErrorKind::AddrInUse || !is_socket {
            return Err(error);
        }
        match UnixStream::connect(path) {
            Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
                UnixListener::bind(path)
            }
            _ => Err(error),
        }
    });
    umask(usual);
    bound.map_err(|error| cannot_listen(path, &error))
}

fn cannot_listen(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!(
        "the socket {} cannot be used: {error}",
        path.display()
    ))
    .with_hint("Name another path, in a folder that you can write to.")
}

/// Answers one connection's requests, as long as it makes sense.
fn converse(mut stream: UnixStream, authenticator: &Mutex<Authenticator>) {
    let lock = || authenticator.lock().unwrap_or_else(PoisonError::into_inner);
    let mut session = lock().session(Context {
        computer: Computer::TestTool,
        method: None,
        handshake_hash: None,
    });
    while let Ok(Some(request)) = read(&mut stream) {
        let reply = match &request {
            Frame::Whole(request) => {
                let now = console::unix_time();
                lock()
                    .handle(&mut session, request, &mut Granting, &mut OsRng, now)
                    .bytes
            }
            Frame::TooLarge => vec![Status::REQUEST_TOO_LARGE.0],
        };
        if write(&mut stream, &reply).is_err() || request == Frame::TooLarge {
            return;
        }
    }
}

/// What came: a length of four bytes, the most significant first, and so many bytes.
#[derive(Debug, PartialEq)]
enum Frame {
    Whole(Vec<u8>),
    /// It was not read, so nothing after it can be.
    TooLarge,
}

/// Reads a request; nothing at the end.
fn read(stream: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_TRUST_GROUP_REQUEST {
        return Ok(Some(Frame::TooLarge));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(Some(Frame::Whole(bytes)))
}

fn write(stream: &mut impl Write, reply: &[u8]) -> io::Result<()> {
    let length = u32::try_from(reply.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), reply].concat())
}

/// Grants everything.
struct Granting;

impl Person for Granting {
    fn ask(&mut self, _: &Prompt<'_>, _: &Computer, _: &mut dyn PinPad) -> Answer {
        Answer::Approved {
            account: 0,
            verified: true,
        }
    }
}
