//! A WebSocket client that is light, so that it takes little of the CPU from the relay.

use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::Outcome;

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The key of every frame. Only a browser has to fear who could foresee it.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A byte stream to the relay.
pub(crate) enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS over it.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    async fn read(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(bytes).await,
            Self::Tls(stream) => stream.read_buf(bytes).await,
        }
    }

    /// Writes all of it.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn end(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
        }
    }
}

/// One side of a tunnel.
pub(crate) struct Socket {
    stream: Stream,
    /// What was read; all before `begin` is used.
    buffer: Vec<u8>,
    begin: usize,
    /// The frames of an unfinished message.
    fragments: Vec<u8>,
}

struct Frame {
    last: bool,
    opcode: u8,
    /// Where in the buffer.
    payload: Range<usize>,
}

impl Socket {
    /// Takes a stream on which frames pass already.
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: Vec::with_capacity(1024),
            begin: 0,
            fragments: Vec::new(),
        }
    }

    /// Asks for a WebSocket and returns the answer's head with it.
    pub(crate) async fn upgrade(stream: Stream, path: &str) -> Outcome<(Self, String)> {
        let mut socket = Self::new(stream);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: relay.example\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: fido.cable\r\n\r\n"
        );
        socket.stream.write(request.as_bytes()).await?;
        let length = loop {
            let end = socket.buffer.windows(4).position(|at| at == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            socket.fill().await?;
        };
        socket.begin = length;
        let head = String::from_utf8_lossy(&socket.buffer[..length]).into_owned();
        if !head.starts_with("HTTP/1.1 101 ") {
            let status = head.lines().next().unwrap_or_default();
            return Err(format!("the relay answered {status:?}").into());
        }
        Ok((socket, head))
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        Ok(self.stream.write(bytes).await?)
    }

    /// Sends a close frame.
    pub(crate) async fn send_close(&mut self) -> Outcome<()> {
        self.send(&frame(CLOSE, &1000_u16.to_be_bytes())).await
    }

    /// Waits for a message. Pings are answered meanwhile.
    pub(crate) async fn receive(&mut self) -> Outcome<&[u8]> {
        self.fragments.clear();
        loop {
            let frame = self.frame().await?;
            match frame.opcode {
                BINARY if frame.last => return Ok(&self.buffer[frame.payload]),
                BINARY | CONTINUATION => {
                    self.fragments
                        .extend_from_slice(&self.buffer[frame.payload]);
                    if frame.last {
                        return Ok(&self.fragments);
                    }
                }
                CLOSE => return Err(format!("it was closed with {:?}", self.code(&frame)).into()),
                _ => self.heed(frame).await?,
            }
        }
    }

    /// Waits for a close frame.
    pub(crate) async fn receive_close(&mut self) -> Outcome<()> {
        loop {
            let frame = self.frame().await?;
            match frame.opcode {
                CLOSE if self.code(&frame).is_none_or(|code| code == 1000) => return Ok(()),
                CLOSE => return Err(format!("it was closed with {:?}", self.code(&frame)).into()),
                _ => self.heed(frame).await?,
            }
        }
    }

    /// Waits until the relay has ended the connection, as it is the first to do, and ends it too.
    pub(crate) async fn finish(mut self) {
        while self.fill().await.is_ok() {
            self.buffer.clear();
        }
        // It may be gone already.
        let _ = self.stream.end().await;
    }

    /// Ends the connection first.
    pub(crate) async fn leave(mut self) {
        let _ = self.stream.end().await;
        self.finish().await;
    }

    async fn heed(&mut self, received: Frame) -> Outcome<()> {
        match received.opcode {
            PING => {
                let pong = frame(PONG, &self.buffer[received.payload]);
                self.send(&pong).await
            }
            PONG => Ok(()),
            opcode => Err(format!("a frame of the unexpected kind {opcode} came").into()),
        }
    }

    fn code(&self, frame: &Frame) -> Option<u16> {
        let code = self.buffer[frame.payload.clone()].first_chunk();
        code.map(|code| u16::from_be_bytes(*code))
    }

    async fn frame(&mut self) -> Outcome<Frame> {
        loop {
            if let Some(frame) = self.parse()? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// Takes a frame out of the buffer, unmasked: the floor passes on what the other side masked.
    fn parse(&mut self) -> Outcome<Option<Frame>> {
        let read = &self.buffer[self.begin..];
        let (length, mut head) = match read {
            [_, short, ..] if short & 0x7f < 126 => (usize::from(short & 0x7f), 2),
            [_, medium, high, low, ..] if medium & 0x7f == 126 => {
                (usize::from(u16::from_be_bytes([*high, *low])), 4)
            }
            [_, long, ..] if long & 0x7f == 127 => return Err("a huge frame came".into()),
            _ => return Ok(None),
        };
        let masked = read[1] & 0x80 != 0;
        if masked {
            head += 4;
        }
        if read.len() < head + length {
            return Ok(None);
        }
        let payload = self.begin + head..self.begin + head + length;
        if masked {
            let (heads, payloads) = self.buffer.split_at_mut(payload.start);
            let key = heads.last_chunk::<4>().copied().unwrap_or_default();
            mask(&mut payloads[..length], key);
        }
        let first = self.buffer[self.begin];
        self.begin = payload.end;
        Ok(Some(Frame {
            last: first & 0x80 != 0,
            opcode: first & 0x0f,
            payload,
        }))
    }

    async fn fill(&mut self) -> Outcome<()> {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        match self.stream.read(&mut self.buffer).await {
            Ok(0) => Err("the connection was ended".into()),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the connection broke: {error}").into()),
        }
    }
}

/// Makes a whole message of one masked frame.
pub(crate) fn message(payload: &[u8]) -> Vec<u8> {
    frame(BINARY, payload)
}

/// Makes a masked ping.
pub(crate) fn ping(payload: &[u8]) -> Vec<u8> {
    frame(PING, payload)
}

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => frame.push(0x80 | short),
        _ => {
            let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    let begin = frame.len();
    frame.extend_from_slice(payload);
    mask(&mut frame[begin..], MASK);
    frame
}

fn mask(bytes: &mut [u8], key: [u8; 4]) {
    for (byte, key) in bytes.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}
