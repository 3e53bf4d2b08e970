//! Bluetooth connections of a simulated radio: local sockets in the folder that is the air. An SDU is sent
//! behind its length, two bytes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use handfast_proto::hybrid::Psm;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};

use crate::channel::Channel;
use crate::channel::sdus::{Io, SduSocket};

/// What usual phones and computers agree on: long messages come in several pieces here as there.
const MTU: usize = 672;
/// The numbers that a phone takes as it needs them.
const DYNAMIC: std::ops::RangeInclusive<u16> = 0x80..=0xff;
/// Nobody takes connections for longer.
const STALE: Duration = Duration::from_secs(600);

fn path(air: &Path, psm: Psm) -> PathBuf {
    air.join(format!("{:04x}.psm", psm.get()))
}

fn is_stale(path: &Path) -> bool {
    let age = fs::symlink_metadata(path)
        .and_then(|found| found.modified())
        .map(|made| SystemTime::now().duration_since(made).unwrap_or_default());
    age.is_ok_and(|age| age > STALE)
}

/// Connects to who takes connections at this number.
pub(in crate::radio) async fn connect_to(air: &Path, psm: Psm) -> io::Result<Channel> {
    let stream = UnixStream::connect(path(air, psm)).await?;
    Ok(Channel::of_sdus(Socket::new(stream)))
}

/// Who takes connections. Nobody can connect any more when this is dropped.
#[derive(Debug)]
pub(in crate::radio) struct Listener {
    socket: UnixListener,
    psm: Psm,
    path: PathBuf,
}

impl Listener {
    /// Takes the first number that is free.
    pub(in crate::radio) fn start(air: &Path) -> io::Result<Self> {
        for psm in DYNAMIC.filter_map(Psm::new) {
            let path = path(air, psm);
            if is_stale(&path) {
                // It was left behind by a process that was killed.
                let _ = fs::remove_file(&path);
            }
            match UnixListener::bind(&path) {
                Ok(socket) => return Ok(Self { socket, psm, path }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    pub(in crate::radio) fn psm(&self) -> Psm {
        self.psm
    }

    pub(in crate::radio) async fn accept(&self) -> io::Result<Channel> {
        let (stream, _) = self.socket.accept().await?;
        Ok(Channel::of_sdus(Socket::new(stream)))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.path);
    }
}

struct Socket {
    stream: UnixStream,
    /// What came and is not taken yet.
    read: Vec<u8>,
}

impl Socket {
    fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Moves the first SDU into the buffer, if it is here as a whole.
    fn take(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let (length, rest) = self.read.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let sdu = rest.get(..length)?;
        for (byte, part) in buffer.iter_mut().zip(sdu) {
            *byte = *part;
        }
        self.read.drain(..2 + length);
        Some(length)
    }

    async fn next(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(length) = self.take(buffer) {
                return Ok(length);
            }
            self.stream.readable().await?;
            let mut piece = [0; 4096];
            match self.stream.try_read(&mut piece) {
                Ok(0) => return Ok(0),
                Ok(count) => self
                    .read
                    .extend_from_slice(piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl SduSocket for Socket {
    fn mtu(&self) -> usize {
        MTU
    }

    fn send<'a>(&'a mut self, sdu: &'a [u8]) -> Io<'a, ()> {
        Box::pin(async move {
            let length = u16::try_from(sdu.len()).map_err(io::Error::other)?;
            let framed = [&length.to_be_bytes(), sdu].concat();
            self.stream.write_all(&framed).await
        })
    }

    fn recv<'a>(&'a mut self, buffer: &'a mut [u8]) -> Io<'a, usize> {
        Box::pin(self.next(buffer))
    }

    fn close(self: Box<Self>) -> Io<'static, ()> {
        Box::pin(async { Ok(()) })
    }
}
