//! A healthy tunnel that must not notice what others do to the relay.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::SinkExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::{PATIENCE, Relay, Socket, binary, bytes_of, close_code};

/// The name of its tunnel.
const CANARY: &str = "CA9A51CA9A51CA9A51CA9A51CA9A51CA";

/// Time between two round trips.
const PAUSE: Duration = Duration::from_millis(20);

/// Round trips after the canary was asked to end: what was done to the relay may show later.
const MORE: u32 = 5;

/// Much more than a relay needs, and less than a person would put up with.
const SLOW: Duration = Duration::from_secs(2);

/// A tunnel in which a ping-pong is played until it is asked to end.
pub(crate) struct Canary {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Canary {
    /// A canary on the relay at this port. Its first round trip is over.
    pub(crate) async fn of(port: u16) -> Self {
        Self::with(async move || pair(port).await).await
    }

    /// A canary in the tunnel that this opens.
    pub(crate) async fn with<S, O>(open: O) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin,
        O: AsyncFnOnce() -> (WebSocketStream<S>, WebSocketStream<S>) + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let (begun, begin) = oneshot::channel();
        // On a thread of its own, or it would wait for those who attack and not only for the relay.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let (phone, client) = open().await;
                sing(phone, client, begun, stopped).await
            })
        });
        timeout(PATIENCE, begin).await.unwrap().unwrap();
        Self { stop, thread }
    }

    /// Ends it, and fails unless all went well to the end.
    pub(crate) async fn end(self, beside: &str) {
        // It is there only if the canary still sings.
        self.stop.send(()).unwrap();
        let joined = tokio::task::spawn_blocking(|| self.thread.join());
        let Ok(times) = joined.await.unwrap() else {
            panic!("the canary died beside {beside}");
        };
        let slowest = times.iter().max().copied().unwrap_or_default();
        println!(
            "beside {beside}: {} round trips, the slowest took {slowest:.1?}",
            times.len()
        );
        assert!(slowest < SLOW, "{slowest:?} beside {beside}");
    }
}

/// The canary's own tunnel.
async fn pair(port: u16) -> (Socket, Socket) {
    let relay = Relay::of_program(port);
    let (phone, routing) = relay.open(&format!("/cable/new/{CANARY}")).await.unwrap();
    let path = format!("/cable/connect/{}/{CANARY}", routing.unwrap());
    let (client, _) = relay.open(&path).await.unwrap();
    (phone, client)
}

async fn sing<S: AsyncRead + AsyncWrite + Unpin>(
    mut phone: WebSocketStream<S>,
    mut client: WebSocketStream<S>,
    begun: oneshot::Sender<()>,
    mut stopped: oneshot::Receiver<()>,
) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut begun = Some(begun);
    let mut left = None;
    while left != Some(0) {
        let call = format!("{:>1$}", times.len(), 8 + times.len() % 600);
        let begin = Instant::now();
        client.send(binary(call.as_bytes())).await.unwrap();
        let heard = bytes_of(&mut phone).await;
        phone.send(binary(&heard)).await.unwrap();
        assert_eq!(bytes_of(&mut client).await, call.as_bytes());
        times.push(begin.elapsed());
        if let Some(begun) = begun.take() {
            let _ = begun.send(());
        }
        tokio::select! {
            asked = &mut stopped, if left.is_none() => {
                if asked.is_err() {
                    // The test has failed elsewhere.
                    return times;
                }
                left = Some(MORE);
            }
            () = sleep(PAUSE) => left = left.map(|left| left - 1),
        }
    }
    // A tunnel that is still open ends in the way that one side wants.
    client.close(None).await.unwrap();
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Normal));
    assert_eq!(close_code(&mut client).await, None);
    times
}
