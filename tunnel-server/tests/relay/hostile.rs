//! What those who attack a relay need, and what the system says of the relay meanwhile.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use crate::canary::Canary;
use crate::harness::{PATIENCE, Relay};
use crate::program::{port, start_with};

/// A relay that is a program, with a canary.
pub(crate) struct Victim {
    pub(crate) child: Child,
    pub(crate) relay: Relay,
    canary: Canary,
    memory: u64,
}

impl Victim {
    /// Starts it with these further arguments.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let usual = ["serve", "--listen", "127.0.0.1:0"];
        let (child, said) = start_with(":", &[&usual, arguments].concat(), 1).await;
        let port = port(&said[0]);
        Self {
            relay: Relay::of_program(port),
            canary: Canary::of(port).await,
            memory: peak_memory(child.id().unwrap()),
            child,
        }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// KiB by which the relay's memory grew at most since the canary was there.
    pub(crate) fn growth(&self) -> u64 {
        // What the system says is off by some pages.
        peak_memory(self.process()).saturating_sub(self.memory)
    }

    /// Ends the canary, which must not have noticed anything.
    pub(crate) async fn end(self, beside: &str) -> Child {
        println!("beside {beside}: {} KiB more at the peak", self.growth());
        self.canary.end(beside).await;
        self.child
    }
}

/// The most memory that this process ever had, in KiB.
pub(crate) fn peak_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// The descriptors that this process has.
pub(crate) fn descriptors(process: u32) -> usize {
    let folder = std::fs::read_dir(format!("/proc/{process}/fd"));
    folder.unwrap().count()
}

/// Waits until this is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = timeout(2 * PATIENCE, async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// A name for a tunnel.
pub(crate) fn name(number: usize) -> String {
    format!("/cable/new/{number:032X}")
}

/// The head of a request that a relay would grant.
pub(crate) fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: relay.example\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: fido.cable\r\n\r\n"
    )
}

pub(crate) async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// Sends a head and nothing after it, and returns the status, if there is an answer.
pub(crate) async fn ask(port: u16, head: &[u8]) -> Option<u16> {
    let mut stream = connect(port).await;
    // The relay may have heard enough before the end.
    let _ = stream.write_all(head).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer));
    let _ = read.await.expect("the relay answers or hangs up in time");
    let status = answer.strip_prefix(b"HTTP/1.1 ")?.first_chunk::<3>()?;
    std::str::from_utf8(status).ok()?.parse().ok()
}

/// A frame with a mask of zeros, so that the payload follows as it is.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ ..126) => frame.push(0x80 | u8::try_from(short).unwrap()),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend(u64::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}
