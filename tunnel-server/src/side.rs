//! One side of a tunnel: its stream, what was read of it, and what could not yet be written to it.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::frame::{Kind, MAX_CONTROL, Written};
use crate::reader::{BEFORE, HELD, Reader, Rules, Taken};

/// Bytes that a TLS stream may keep of what was written and that the peer does not take. While these
/// go out, nothing tells that they do: so it must not take a slow peer long.
pub const TLS_BUFFER: usize = 4 * 1024;

/// Bytes that are read at once.
const READ: usize = 16 * 1024;

thread_local! {
    /// What is read lies here until it is written, which is before anything else is read. So a
    /// connection at rest needs none of it.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BEFORE + HELD + READ]);
}

/// A byte stream to a peer.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// What a read gave.
#[derive(Debug)]
pub enum Read {
    /// Bytes, and what was in them. What is to be passed on was given away already.
    Taken(Taken),
    /// The peer is gone, and has not said so.
    Gone,
}

/// One side of a tunnel.
#[derive(Debug)]
pub struct Side<S> {
    stream: S,
    reader: Reader,
    /// Whether the reader has bytes that it was not yet asked for.
    is_fresh: bool,
    /// Whole frames, of which the first may be cut, that the peer did not take yet.
    unwritten: Vec<u8>,
    /// The newest pong that found no place.
    pong: Option<Vec<u8>>,
    /// Whether the stream may still keep something of what was written.
    is_unflushed: bool,
    /// Whether it could not be made to go out when that was tried last.
    is_stalled: bool,
    /// Whether a close frame was written, after which there is nothing to say.
    is_closed: bool,
    /// Whether the peer sent something, or took what it had not taken, since this was last asked.
    lives: bool,
}

impl<S> Side<S> {
    /// Bytes that may wait at most to be taken by the peer, after what it was begun with: what one
    /// read brought for it, a close frame and a pong.
    pub const MOST_UNWRITTEN: usize = BEFORE + HELD + READ + 2 * (MAX_CONTROL + 2);
}

impl<S: AsyncRead + AsyncWrite + Unpin> Side<S> {
    /// A side that has sent these bytes after its request.
    pub fn new(stream: S, early: Vec<u8>) -> Self {
        Self {
            stream,
            is_fresh: !early.is_empty(),
            reader: Reader::with(early),
            unwritten: Vec::new(),
            pong: None,
            is_unflushed: false,
            is_stalled: false,
            is_closed: false,
            lives: true,
        }
    }

    /// The stream.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Messages that this side began so far.
    pub fn messages(&self) -> u32 {
        self.reader.messages()
    }

    /// Bytes of messages that this side began so far.
    pub fn bytes(&self) -> u64 {
        self.reader.bytes()
    }

    /// Whether the peer has not taken all that was written, as far as was looked.
    pub fn is_full(&self) -> bool {
        !self.unwritten.is_empty() || self.is_unflushed
    }

    /// Whether the peer gave a sign of life since this was last asked.
    pub fn lived(&mut self) -> bool {
        std::mem::take(&mut self.lives)
    }

    /// Puts whole frames first among what is to be written.
    pub fn begin_with(&mut self, frames: Vec<u8>) {
        self.unwritten = frames;
    }

    /// Waits until the peer has taken all that was written.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unwritten.is_empty() || self.pong.is_some() {
            if self.unwritten.is_empty() {
                self.unwritten = self.pong.take().unwrap_or_default();
            }
            let mut written = 0;
            while let Some(rest) = self.unwritten.get(written..)
                && !rest.is_empty()
            {
                match Pin::new(&mut self.stream).poll_write(context, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(more)) => {
                        written += more;
                        (self.is_unflushed, self.lives) = (true, true);
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        self.unwritten.drain(..written);
                        return Poll::Pending;
                    }
                }
            }
            // Its memory goes too: a side at rest keeps none.
            self.unwritten = Vec::new();
        }
        if self.is_unflushed {
            if Pin::new(&mut self.stream).poll_flush(context)?.is_pending() {
                self.is_stalled = true;
                return Poll::Pending;
            }
            self.is_unflushed = false;
            // That something went out at once says nothing of the peer.
            self.lives |= std::mem::take(&mut self.is_stalled);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes whole frames; what the peer does not take is kept for [`Self::poll_flush`], so nothing
    /// more should be written before that is ready.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn write(&mut self, frames: &[u8], context: &mut Context<'_>) -> io::Result<()> {
        let mut rest = frames;
        while self.unwritten.is_empty() && !rest.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.is_unflushed = true;
                    rest = rest.get(written..).unwrap_or_default();
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        self.unwritten.extend_from_slice(rest);
        Ok(())
    }

    /// Writes an empty ping, if the peer takes what is written to it.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn ping(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.unwritten.is_empty() {
            let ping = Written::new(true, Kind::Ping, 0);
            self.write(ping.as_bytes(), context)?;
        }
        Ok(())
    }

    /// Adds a close frame to what is to be written.
    pub fn close(&mut self, code: Option<u16>) {
        let payload = code.map(u16::to_be_bytes);
        let payload = payload.as_ref().map_or(&[][..], |code| code);
        let head = Written::new(true, Kind::Close, payload.len());
        self.unwritten.extend_from_slice(head.as_bytes());
        self.unwritten.extend_from_slice(payload);
        (self.pong, self.is_closed) = (None, true);
    }

    /// Reads once, answers a ping, and gives what is to be passed on to `pass`.
    pub fn poll_read(
        &mut self,
        rules: &Rules,
        context: &mut Context<'_>,
        pass: impl FnOnce(&[u8], &mut Context<'_>),
    ) -> Poll<Read> {
        BUFFER.with_borrow_mut(|buffer| {
            let place = self.reader.place();
            let read = if std::mem::take(&mut self.is_fresh) {
                0
            } else {
                let space = buffer.get_mut(place..).unwrap_or_default();
                let space = space.get_mut(..READ).unwrap_or_default();
                let mut read = ReadBuf::new(space);
                match ready!(Pin::new(&mut self.stream).poll_read(context, &mut read)) {
                    Ok(()) if !read.filled().is_empty() => read.filled().len(),
                    _ => return Poll::Ready(Read::Gone),
                }
            };
            self.lives = true;
            let mut taken = self.reader.take(buffer, read, rules);
            if let Some(pong) = taken.pong.take() {
                self.answer(pong, context);
            }
            if !taken.pass.is_empty() {
                pass(buffer.get(taken.pass.clone()).unwrap_or_default(), context);
            }
            Poll::Ready(Read::Taken(taken))
        })
    }

    /// Answers a ping. A stream that fails here fails when it is read, too.
    fn answer(&mut self, pong: Vec<u8>, context: &mut Context<'_>) {
        if self.is_closed {
            return;
        }
        if self.unwritten.is_empty() {
            let _ = self.write(&pong, context);
        } else {
            self.pong = Some(pong);
        }
    }

    /// Reads on, and throws away, until the peer's last frame.
    pub fn poll_last(&mut self, rules: &Rules, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(self.poll_read(rules, context, |_, _| {})) {
                Read::Taken(taken) if taken.last.is_none() => {}
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Reads on, whatever it is, until the peer has ended its side of the stream.
    pub fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        BUFFER.with_borrow_mut(|buffer| {
            loop {
                let mut read = ReadBuf::new(buffer);
                match ready!(Pin::new(&mut self.stream).poll_read(context, &mut read)) {
                    Ok(()) if !read.filled().is_empty() => {}
                    _ => return Poll::Ready(()),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const RULES: Rules = Rules {
        message_bytes: 1000,
        messages: 1000,
        bytes: 1000,
    };

    async fn read<S: AsyncRead + AsyncWrite + Unpin>(side: &mut Side<S>) {
        let read = poll_fn(|context| side.poll_read(&RULES, context, |_, _| {}));
        assert!(matches!(read.await, Read::Taken(_)));
    }

    #[tokio::test]
    async fn pongs_that_find_no_place_do_not_pile_up_and_none_follows_a_close_frame() {
        let (mut peer, stream) = duplex(64);
        let mut side = Side::new(stream, Vec::new());
        poll_fn(|context| Poll::Ready(side.write(&[b'x'; 100], context)))
            .await
            .unwrap();
        assert!(side.is_full());
        for number in 0..100 {
            peer.write_all(&[0x89, 0x81, 0, 0, 0, 0, number])
                .await
                .unwrap();
            read(&mut side).await;
            assert_eq!(side.unwritten.len(), 36);
        }
        let mut heard = [0; 103];
        let reading = peer.read_exact(&mut heard);
        let flushing = poll_fn(|context| side.poll_flush(context));
        let (read_all, flushed) = tokio::join!(reading, flushing);
        read_all.unwrap();
        flushed.unwrap();
        assert_eq!(heard[100..], [0x8A, 1, 99]);
        side.close(Some(1000));
        peer.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.unwrap();
        read(&mut side).await;
        poll_fn(|context| side.poll_flush(context)).await.unwrap();
        drop(side);
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [0x88, 2, 3, 0xE8]);
    }
}
