//! A stream that lets in only so many bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream with a bound on what may be read from it, until the bound is lifted.
///
/// It lies under a WebSocket, because that one keeps an unfinished message of any size it may have,
/// and shows it only when it is whole.
#[derive(Debug)]
pub struct Rationed<S> {
    stream: S,
    /// Bytes that may still be read; `None` is without bound.
    left: Option<usize>,
}

impl<S> Rationed<S> {
    /// Bounds a stream to this many bytes. One read more fails with
    /// [`io::ErrorKind::QuotaExceeded`].
    pub fn new(stream: S, bytes: usize) -> Self {
        Self {
            stream,
            left: Some(bytes),
        }
    }

    /// Lets everything in from now on.
    pub fn lift(&mut self) {
        self.left = None;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rationed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(left) = self.left else {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        };
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(left.min(buffer.remaining())));
        let read = Pin::new(&mut self.stream).poll_read(context, &mut part);
        let length = part.filled().len();
        buffer.advance(length);
        self.left = Some(left.saturating_sub(length));
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rationed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn no_more_than_the_ration_is_read_until_it_is_lifted() {
        let (mut peer, stream) = duplex(64);
        let mut stream = Rationed::new(stream, 5);
        peer.write_all(b"hello you").await.unwrap();
        let mut read = [0; 16];
        assert_eq!(stream.read(&mut read).await.unwrap(), 5);
        let error = stream.read(&mut read).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        stream.lift();
        assert_eq!(stream.read(&mut read).await.unwrap(), 4);
        assert_eq!(&read[..4], b" you");
    }
}
