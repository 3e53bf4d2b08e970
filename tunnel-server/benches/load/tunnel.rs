//! Tunnels through a relay, and pairs of connections through the floor.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use rustls::HandshakeKind;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::socket::{Socket, Stream, message};
use crate::tls::Client;
use crate::{Outcome, PATIENCE};

/// What every message says.
static PAYLOAD: LazyLock<Vec<u8>> = LazyLock::new(|| (0..=255).collect());
static MESSAGE: LazyLock<Vec<u8>> = LazyLock::new(|| message(&PAYLOAD));

static CONNECTIONS: AtomicU32 = AtomicU32::new(0);
static TUNNELS: AtomicU64 = AtomicU64::new(0);

/// Where tunnels are opened.
#[derive(Clone)]
pub(crate) struct Target(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    kind: Kind,
    /// Sessions that TLS took up again.
    resumed: AtomicU32,
}

enum Kind {
    Plain,
    Tls(Client),
    /// Held while a pair is made, because the floor pairs by order.
    Floor(Mutex<()>),
}

impl Target {
    fn new(address: SocketAddr, kind: Kind) -> Self {
        Self(Arc::new(Inner {
            address,
            kind,
            resumed: AtomicU32::new(0),
        }))
    }

    /// A relay, with or without TLS.
    pub(crate) fn relay(address: SocketAddr, tls: Option<Client>) -> Self {
        Self::new(address, tls.map_or(Kind::Plain, Kind::Tls))
    }

    /// The forwarder.
    pub(crate) fn floor(address: SocketAddr) -> Self {
        Self::new(address, Kind::Floor(Mutex::default()))
    }

    /// Returns how many TLS sessions were resumed.
    pub(crate) fn resumed(&self) -> u32 {
        self.0.resumed.load(Ordering::Relaxed)
    }

    /// Opens a TCP connection.
    pub(crate) async fn connect(&self) -> Outcome<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_nodelay(true)?;
        // Every connection has an address of its own, so that neither ports run out nor a relay
        // takes them for those of a single peer.
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let [_, _, _, low] = (number % 254 + 1).to_be_bytes();
        let [_, _, _, high] = (number / 254 % 255 + 1).to_be_bytes();
        socket.bind((Ipv4Addr::new(127, 0, high, low), 0).into())?;
        let connected = timeout(PATIENCE, socket.connect(self.0.address)).await;
        connected?.map_err(|error| format!("no connection to the relay: {error}").into())
    }

    async fn stream(&self) -> Outcome<Stream> {
        let stream = self.connect().await?;
        let Kind::Tls(client) = &self.0.kind else {
            return Ok(Stream::Plain(stream));
        };
        let stream = client.connector.connect(client.name.clone(), stream).await;
        let stream = stream.map_err(|error| format!("no TLS with the relay: {error}"))?;
        if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
            self.0.resumed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Stream::Tls(Box::new(stream)))
    }

    /// Opens a tunnel from both sides.
    pub(crate) async fn open(&self) -> Outcome<Tunnel> {
        let number = TUNNELS.fetch_add(1, Ordering::Relaxed);
        timeout(PATIENCE, self.opened(number))
            .await
            .map_err(|_| format!("tunnel {number} was not open in time"))?
            .map_err(|error| format!("tunnel {number} could not be opened: {error}").into())
    }

    async fn opened(&self, number: u64) -> Outcome<Tunnel> {
        if let Kind::Floor(turn) = &self.0.kind {
            let _turn = turn.lock().await;
            return Ok(Tunnel {
                number,
                floor: true,
                phone: Socket::new(self.stream().await?),
                client: Socket::new(self.stream().await?),
            });
        }
        // As scattered as random identifiers, and never the same twice.
        let scattered =
            u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let (phone, head) = Socket::upgrade(
            self.stream().await?,
            &format!("/cable/new/{scattered:032x}"),
        )
        .await?;
        let routing = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("x-cable-routing-id"))
            .map(|(_, value)| value.trim())
            .ok_or("the relay named no routing ID")?;
        let path = format!("/cable/connect/{routing}/{scattered:032x}");
        let (client, _) = Socket::upgrade(self.stream().await?, &path).await?;
        Ok(Tunnel {
            number,
            floor: false,
            phone,
            client,
        })
    }
}

/// Both sides of a tunnel.
pub(crate) struct Tunnel {
    number: u64,
    floor: bool,
    /// The side that made the tunnel.
    pub(crate) phone: Socket,
    /// The side that joined it.
    pub(crate) client: Socket,
}

impl Tunnel {
    /// Passes a message to and fro this many times.
    pub(crate) async fn play(&mut self, rounds: u32) -> Outcome<()> {
        for _ in 0..rounds {
            let round = timeout(PATIENCE, round(&mut self.phone, &mut self.client));
            round
                .await
                .map_err(|_| format!("tunnel {} passed no message in time", self.number))?
                .map_err(|error| format!("tunnel {} passed no message: {error}", self.number))?;
        }
        Ok(())
    }

    /// Closes it as a client does that is done.
    pub(crate) async fn close(self) -> Outcome<()> {
        let number = self.number;
        timeout(PATIENCE, self.closed())
            .await
            .map_err(|_| format!("tunnel {number} was not closed in time"))?
            .map_err(|error| format!("tunnel {number} was not closed well: {error}").into())
    }

    async fn closed(self) -> Outcome<()> {
        let (mut phone, mut client) = (self.phone, self.client);
        if self.floor {
            tokio::join!(client.leave(), phone.finish());
            return Ok(());
        }
        client.send_close().await?;
        phone.receive_close().await?;
        phone.send_close().await?;
        client.receive_close().await?;
        tokio::join!(client.finish(), phone.finish());
        Ok(())
    }
}

async fn round(phone: &mut Socket, client: &mut Socket) -> Outcome<()> {
    phone.send(&MESSAGE).await?;
    same(client.receive().await?)?;
    client.send(&MESSAGE).await?;
    same(phone.receive().await?)
}

fn same(message: &[u8]) -> Outcome<()> {
    if message == PAYLOAD.as_slice() {
        return Ok(());
    }
    Err(format!("a message of {} bytes is not as it was sent", message.len()).into())
}

/// Does something `count` times, `at_once` of them at the same time.
pub(crate) async fn each<T, F>(
    count: u32,
    at_once: u32,
    make: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> Outcome<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Outcome<T>> + Send,
{
    let left = Arc::new(AtomicU32::new(count));
    let mut workers = JoinSet::new();
    for _ in 0..at_once.min(count) {
        let (left, make) = (Arc::clone(&left), make.clone());
        workers.spawn(async move {
            let mut made = Vec::new();
            let take = || {
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
            };
            while take().is_ok() {
                made.push(make().await?);
            }
            Outcome::Ok(made)
        });
    }
    gather(workers)
        .await
        .map(|made| made.into_iter().flatten().collect())
}

/// Does something with each of many, all at the same time.
pub(crate) async fn all<T, U, F>(many: Vec<T>, act: impl Fn(T) -> F) -> Outcome<Vec<U>>
where
    U: Send + 'static,
    F: Future<Output = Outcome<U>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for one in many {
        tasks.spawn(act(one));
    }
    gather(tasks).await
}

/// Collects what tasks return, up to the first that fails.
async fn gather<T: 'static>(mut tasks: JoinSet<Outcome<T>>) -> Outcome<Vec<T>> {
    let mut made = Vec::new();
    while let Some(one) = tasks.join_next().await {
        made.push(one??);
    }
    Ok(made)
}
