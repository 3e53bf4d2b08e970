//! The least that a relay could do: pass bytes from one TCP connection to another.

use std::io::Write as _;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;

/// The argument that makes this program the forwarder.
pub(crate) const FLOOR_ARGUMENT: &str = "--floor-forwarder";

/// Forwards between each two connections that come one after the other, until standard input ends.
pub(crate) fn forward() -> Outcome<()> {
    // The relay's runtime, so that only what is done in it differs.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on tcp://{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        let mut input = tokio::io::stdin();
        tokio::select! {
            served = serve(listener) => served,
            _ = input.read_u8() => Ok(()),
        }
    });
    // A thread may still read standard input, and a runtime that is dropped would wait for it.
    runtime.shutdown_background();
    served
}

async fn serve(listener: TcpListener) -> Outcome<()> {
    loop {
        let (mut first, _) = listener.accept().await?;
        let (mut second, _) = listener.accept().await?;
        tokio::spawn(async move { pair(&mut first, &mut second).await });
    }
}

async fn pair(first: &mut TcpStream, second: &mut TcpStream) -> std::io::Result<()> {
    first.set_nodelay(true)?;
    second.set_nodelay(true)?;
    let (mut from_first, mut to_first) = first.split();
    let (mut from_second, mut to_second) = second.split();
    tokio::try_join!(
        copy(&mut from_first, &mut to_second),
        copy(&mut from_second, &mut to_first),
    )?;
    Ok(())
}

async fn copy(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>) -> std::io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut bytes).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..length]).await?;
    }
}
