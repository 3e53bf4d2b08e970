use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::clock::Clock;

fn limits() -> Limits {
    Limits {
        unpaired: Duration::from_secs(5),
        total: Duration::from_secs(100),
        ping_every: Duration::from_secs(1),
        closing: Duration::from_millis(100),
        ..Limits::default()
    }
}

/// Serves a tunnel to its end, and says how long that took.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    phone: S,
    seat: oneshot::Receiver<Side<S>>,
    limits: Limits,
) -> Duration {
    let clock = Clock::new(limits.tick());
    let alarm = clock.alarm();
    let figures = Arc::new(Figures::new());
    let begin = Instant::now();
    let phone = Side::new(phone, Vec::new());
    let mut tunnel = Tunnel::new(phone, seat, &alarm, &limits, &figures);
    tokio::select! {
        () = clock.run() => {}
        () = tunnel.serve(&alarm, &limits) => {}
    }
    begin.elapsed()
}

/// A place in which a client sits already.
fn taken<S>(client: S) -> oneshot::Receiver<Side<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (seat, receiver) = oneshot::channel();
    let _ = seat.send(Side::new(client, Vec::new()));
    receiver
}

/// A tunnel whose streams take so many bytes before they are full.
fn tunnel(capacity: usize) -> (DuplexStream, DuplexStream, impl Future<Output = Duration>) {
    let (phone, phone_side) = duplex(capacity);
    let (client, client_side) = duplex(capacity);
    let served = serve(phone_side, taken(client_side), limits());
    (phone, client, served)
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_takes_no_ping_has_its_time_all_the_same() {
    let (_phone, stream) = duplex(1);
    let (_seat, client) = oneshot::channel();
    let limits = Limits {
        unpaired: Duration::from_millis(2500),
        ..limits()
    };
    assert!(serve(stream, client, limits).await < Duration::from_secs(4));
}

/// A frame of a client, with a mask of zeros.
fn frame(length: u16) -> Vec<u8> {
    let mut frame = vec![0x82, 0x80 | 126];
    frame.extend(length.to_be_bytes());
    frame.resize(frame.len() + 4 + usize::from(length), 0);
    frame
}

#[tokio::test(start_paused = true)]
async fn two_that_only_send_are_both_found_out() {
    let (mut phone, mut client, served) = tunnel(512);
    let served = tokio::spawn(served);
    let flood = frame(10_000).repeat(10);
    let sent = join(phone.write_all(&flood), client.write_all(&flood)).await;
    assert!(sent.0.is_err() && sent.1.is_err());
    assert!(served.await.unwrap() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_slow_reader_is_not_held_for_gone() {
    let (mut phone, mut client, served) = tunnel(512);
    let served = tokio::spawn(served);
    let sent = Arc::new(frame(30_000));
    let sending = tokio::spawn(async move {
        phone.write_all(&sent).await.unwrap();
        phone
    });
    let mut read = 0;
    let mut buffer = [0; 1000];
    while read < 30_000 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        read += client.read(&mut buffer).await.unwrap();
    }
    assert!(!served.is_finished());
    drop((sending.await.unwrap(), client));
    served.await.unwrap();
}

/// A stream of any kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Wire = Box<dyn Stream>;

/// A stream on which a peer said something, and to which nothing can be written.
struct Broken(Vec<u8>);

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buffer.put_slice(&std::mem::take(&mut self.get_mut().0));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Both ends of a connection with TLS.
async fn with_tls(near: DuplexStream, far: DuplexStream) -> (Wire, Wire) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    let connecting = TlsConnector::from(Arc::new(client)).connect(name, near);
    let accepting = TlsAcceptor::from(Arc::new(server)).accept(far);
    let (near, far) = join(connecting, accepting).await;
    let mut far = far.unwrap();
    far.get_mut()
        .1
        .set_buffer_limit(Some(crate::side::TLS_BUFFER));
    (Box::new(near.unwrap()), Box::new(far))
}

/// Serves a tunnel between these, in a task.
fn serving(phone: Wire, client: Wire) -> tokio::task::JoinHandle<Duration> {
    tokio::spawn(serve(phone, taken(client), limits()))
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_slow_reader_with_tls_is_not_held_for_gone() {
    // There is place for the pings, which this phone does not read.
    let (near, far) = duplex(4096);
    let (mut phone, phone_side) = with_tls(near, far).await;
    // Between the client and the relay there is a wire that carries two kilobytes a second.
    let ((near, mut begin), (mut end, far)) = (duplex(4096), duplex(512));
    let carried = tokio::spawn(async move {
        let (mut there, mut back) = ([0; 512], [0; 4096]);
        loop {
            tokio::select! {
                read = begin.read(&mut back) => {
                    let Ok(length @ 1..) = read else { return };
                    end.write_all(&back[..length]).await.unwrap();
                }
                read = end.read(&mut there) => {
                    let Ok(length @ 1..) = read else { return };
                    begin.write_all(&there[..length]).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
            }
        }
    });
    let (mut client, client_side) = with_tls(near, far).await;
    let served = serving(phone_side, client_side);
    let sending = tokio::spawn(async move {
        phone.write_all(&frame(60_000)).await.unwrap();
        phone.flush().await.unwrap();
        phone
    });
    let (mut read, mut buffer) = (0, vec![0; 1000]);
    while read < 60_000 {
        read += client.read(&mut buffer).await.unwrap();
    }
    assert!(!served.is_finished());
    drop((sending.await.unwrap(), client));
    served.await.unwrap();
    carried.abort();
}

#[tokio::test(start_paused = true)]
async fn who_sends_to_a_client_with_tls_that_reads_nothing_is_not_held_for_gone() {
    let (near, far) = duplex(64 * 1024);
    let (mut phone, phone_side) = with_tls(near, far).await;
    let (near, far) = duplex(2048);
    let (mut client, client_side) = with_tls(near, far).await;
    let served = serving(phone_side, client_side);
    // A message at a time, so that the stream at the relay takes the one that the wire does not.
    let sending = tokio::spawn(async move {
        while phone.write_all(&frame(1000)).await.is_ok() && phone.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let begin = Instant::now();
    let pong = [0x8A, 0x80, 0, 0, 0, 0];
    while begin.elapsed() < Duration::from_secs(20) {
        client.write_all(&pong).await.unwrap();
        client.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!served.is_finished(), "after {:?}", begin.elapsed());
    }
    sending.abort();
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_last_word_counts_though_nothing_can_be_written_back() {
    let (mut phone, phone_side) = duplex(4096);
    let last = [
        &[0x82, 0x84, 0, 0, 0, 0][..],
        b"last",
        &[0x88, 0x82, 0, 0, 0, 0, 3, 0xE8],
    ]
    .concat();
    phone.write_all(&frame(200)).await.unwrap();
    let served = serving(Box::new(phone_side), Box::new(Broken(last)));
    let mut heard = [0; 10];
    phone.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"\x82\x04last\x88\x02\x03\xE8");
    drop(phone);
    served.await.unwrap();
}
