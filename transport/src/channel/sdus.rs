//! A connection that keeps service data units (SDUs) apart, as an L2CAP channel of Bluetooth does.

use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::time::timeout;

use super::{ChannelEnd, SENDING};

/// The most bytes of an SDU, which no L2CAP channel can exceed.
const LARGEST: usize = 65_535;

/// What a call of an [`SduSocket`] returns.
pub(crate) type Io<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// A socket of SDUs.
pub(crate) trait SduSocket: Send {
    /// Returns the most bytes of an SDU that the other side takes.
    fn mtu(&self) -> usize;
    /// Sends one SDU.
    fn send<'a>(&'a mut self, sdu: &'a [u8]) -> Io<'a, ()>;
    /// Waits for the next SDU, and returns its length; zero is the end. May be dropped while it waits.
    fn recv<'a>(&'a mut self, buffer: &'a mut [u8]) -> Io<'a, usize>;
    /// Closes the connection, and what was made for it.
    fn close(self: Box<Self>) -> Io<'static, ()>;
}

/// Sends a message, in one SDU if it fits.
pub(super) async fn send(socket: &mut dyn SduSocket, message: &[u8]) -> Result<(), ChannelEnd> {
    let sending = async {
        for sdu in message.chunks(socket.mtu().max(1)) {
            socket.send(sdu).await?;
        }
        io::Result::Ok(())
    };
    match timeout(SENDING, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(end(error)),
        Err(_) => Err(ChannelEnd::LinkBroken(io::ErrorKind::TimedOut.into())),
    }
}

pub(super) async fn recv(socket: &mut dyn SduSocket) -> Result<Vec<u8>, ChannelEnd> {
    let mut buffer = vec![0; LARGEST];
    match socket.recv(&mut buffer).await {
        Ok(0) => Err(ChannelEnd::Closed(None)),
        Ok(length) => {
            buffer.truncate(length);
            Ok(buffer)
        }
        Err(error) => Err(end(error)),
    }
}

/// A peer that closed its end may be met as one that reset it.
fn end(error: io::Error) -> ChannelEnd {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    match error.kind() {
        BrokenPipe | ConnectionReset | NotConnected => ChannelEnd::Closed(None),
        _ => ChannelEnd::LinkBroken(error),
    }
}
