//! `handfast-relay serve`.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use handfast_proto::hybrid::tunnel::RoutingId;
use rand_core::{OsRng, RngCore};
use tokio::net::{TcpListener, TcpSocket};

use super::failure::CliError;
use crate::address::{Network, Proxies};
use crate::limits::Limits;
use crate::memory;
use crate::process::raise_descriptors;
use crate::server::{Config, Server, read_again};
use crate::tls::Certificate;

/// Connections that the system keeps until they are accepted, if it allows so many. Who comes when
/// there is no place tries again only after a second, and then after two.
const BACKLOG: u32 = 4096;

/// Options of `serve`.
#[derive(Args, Debug)]
pub(super) struct Serve {
    /// The address to listen on; port 0 takes a free one. The address in use is printed. `systemd`
    /// stands for the socket that the service manager passes.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Listen,
    /// The certificate chain, PEM. Without it the relay speaks plain text, for use behind a proxy:
    /// on a loopback address, or only with the proxies of --trusted-proxy. Replaced files are used
    /// within ten seconds, and at once after SIGHUP.
    #[arg(long, value_name = "PEM", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(long, value_name = "PEM", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A proxy, or a network of them, that is believed when it says in X-Forwarded-For for whom it
    /// calls; as often as needed. So is everybody else who calls from there, and what comes before
    /// in a list of such addresses: let the proxy replace the header. [default: this machine]
    #[arg(long, value_name = "ADDRESS[/BITS]")]
    trusted_proxy: Vec<Network>,
    /// Connections begin with the header of the PROXY protocol, version 2, and only proxies of
    /// --trusted-proxy are served. With a certificate TLS comes after it.
    #[arg(long)]
    proxy_protocol: bool,
    /// Also serve /metrics, /healthz and /readyz here, without TLS. Keep it from the public.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_address)]
    watch: Option<SocketAddr>,
    /// The routing ID that leads clients to this node: three bytes in hex, another for each node.
    /// [default: random]
    #[arg(long, value_name = "HEX", value_parser = parse_node)]
    node_id: Option<RoutingId>,
    /// Show with -vv which address asks for which tunnel, to find a fault. Both are private.
    #[arg(long)]
    show_identifiers: bool,
    #[command(flatten)]
    limits: LimitArguments,
}

/// What peers may use.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
struct LimitArguments {
    /// Tunnels at the same time.
    #[arg(long, value_name = "N", default_value_t = Limits::default().tunnels, value_parser = one_or_more)]
    tunnels: usize,
    /// Tunnels at the same time from one address (IPv4), or one network of 64 bits (IPv6).
    #[arg(long, value_name = "N", default_value_t = Limits::default().tunnels_per_address,
        value_parser = clap::value_parser!(u32).range(1..))]
    tunnels_per_address: u32,
    /// New tunnels a second from one address.
    #[arg(long, value_name = "N", default_value_t = Limits::default().new_per_second_and_address,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    new_per_second: u32,
    /// New tunnels from one address at once, after a pause.
    #[arg(long, value_name = "N", default_value_t = Limits::default().new_at_once_per_address,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    new_at_once: u32,
    /// Connections that have not yet sent their request; for one more the oldest is dropped.
    #[arg(long, value_name = "N", default_value_t = Limits::default().openings, value_parser = one_or_more)]
    openings: usize,
    /// How many of these one address may have.
    #[arg(long, value_name = "N", default_value_t = Limits::default().openings_per_address, value_parser = one_or_more)]
    openings_per_address: usize,
    /// Bytes in a message. Clients need up to 1 MiB.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().message_bytes, value_parser = one_or_more)]
    message_bytes: usize,
    /// Messages that a side may send in a tunnel.
    #[arg(long, value_name = "N", default_value_t = Limits::default().messages_per_side,
        value_parser = clap::value_parser!(u32).range(1..))]
    messages: u32,
    /// Bytes of messages that a side may send in a tunnel.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().bytes_per_side,
        value_parser = clap::value_parser!(u64).range(1..))]
    bytes: u64,
    /// How long a phone may wait for its client.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().unpaired.as_secs(), value_parser = seconds())]
    unpaired: u64,
    /// How long a tunnel may live in all. A client may linger three minutes after its last word.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().total.as_secs(), value_parser = seconds())]
    lifetime: u64,
    /// Time between two pings; who leaves two unanswered is gone at the third.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().ping_every.as_secs(), value_parser = seconds())]
    ping: u64,
    /// Time for a TLS handshake.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().handshake.as_secs(), value_parser = seconds())]
    handshake: u64,
    /// Time for a connection to be a WebSocket, TLS handshake included.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().opening.as_secs(), value_parser = seconds())]
    opening: u64,
    /// Time for tunnels to end by themselves after SIGTERM or Ctrl-C. A second one ends them at once.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().draining.as_secs(), value_parser = clap::value_parser!(u64).range(0..=86_400))]
    draining: u64,
}

/// Where to listen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Listen {
    At(SocketAddr),
    /// On what the service manager has opened.
    Passed,
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "systemd" => Ok(Self::Passed),
            address => parse_address(address).map(Self::At),
        }
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "an IP address and a port are expected, as in 127.0.0.1:8080 or [::]:443")
}

/// A place to listen on: an address, or a socket that is open already.
enum Place {
    Address(SocketAddr),
    Socket(std::net::TcpListener),
}

impl Listen {
    fn place(self) -> Result<Place, CliError> {
        match self {
            Self::At(address) => Ok(Place::Address(address)),
            Self::Passed => {
                let mut passed = listenfd::ListenFd::from_env();
                if passed.len() > 1 {
                    return Err(CliError::SeveralPassed(passed.len()));
                }
                let passed = passed.take_tcp_listener(0);
                let passed = passed.ok().flatten().ok_or(CliError::NotPassed)?;
                Ok(Place::Socket(passed))
            }
        }
    }
}

impl Place {
    fn address(&self) -> Result<SocketAddr, CliError> {
        match self {
            Self::Address(address) => Ok(*address),
            Self::Socket(socket) => socket.local_addr().map_err(CliError::Start),
        }
    }

    fn open(self) -> Result<TcpListener, CliError> {
        match self {
            Self::Address(address) => bind("--listen", address),
            Self::Socket(socket) => {
                socket.set_nonblocking(true).map_err(CliError::Start)?;
                TcpListener::from_std(socket).map_err(CliError::Start)
            }
        }
    }
}

fn one_or_more(text: &str) -> Result<usize, &'static str> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or("a number is expected, one or more")
}

fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=86_400)
}

fn parse_node(text: &str) -> Result<RoutingId, &'static str> {
    RoutingId::parse_hex(text).map_err(|_| "six hex digits are expected, as in 0a0b0c")
}

impl From<&LimitArguments> for Limits {
    fn from(arguments: &LimitArguments) -> Self {
        Self {
            tunnels: arguments.tunnels,
            tunnels_per_address: arguments.tunnels_per_address,
            new_per_second_and_address: arguments.new_per_second,
            new_at_once_per_address: arguments.new_at_once,
            openings: arguments.openings,
            openings_per_address: arguments.openings_per_address,
            message_bytes: arguments.message_bytes,
            messages_per_side: arguments.messages,
            bytes_per_side: arguments.bytes,
            unpaired: Duration::from_secs(arguments.unpaired),
            total: Duration::from_secs(arguments.lifetime),
            ping_every: Duration::from_secs(arguments.ping),
            handshake: Duration::from_secs(arguments.handshake),
            opening: Duration::from_secs(arguments.opening),
            draining: Duration::from_secs(arguments.draining),
            ..Self::default()
        }
    }
}

/// Serves until it is asked to stop.
pub(super) fn run(serve: &Serve) -> Result<(), CliError> {
    let place = serve.listen.place()?;
    let config = configure(serve, place.address()?)?;
    memory::set_up();
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(memory::thread_starts)
        .build()
        .map_err(CliError::Start)?;
    let served = runtime.block_on(async {
        let listener = place.open()?;
        let watch = match serve.watch {
            Some(address) => Some(bind("--watch", address)?),
            None => None,
        };
        let watched = watch.as_ref().map(TcpListener::local_addr).transpose();
        let watched = watched.map_err(CliError::Start)?;
        let certificate = config.certificate.clone();
        let server = Server::new(listener, watch, config).map_err(CliError::Tls)?;
        let address = server.local_address().map_err(CliError::Start)?;
        // Before the address is printed: who has read it may already ask to stop.
        let mut signals = Signals::new(certificate).map_err(CliError::Start)?;
        let mut out = io::stdout();
        let _ = writeln!(out, "listening on {}://{address}", server.scheme());
        if let Some(watched) = watched {
            let _ = writeln!(out, "watch at http://{watched}/metrics");
        }
        let _ = out.flush();
        tell_manager(News::Ready);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        tokio::select! {
            () = server.serve(async { let _ = stopped.await; }) => {}
            () = async {
                signals.stop().await;
                tell_manager(News::Stopping);
                let _ = stop.send(());
                signals.stop().await;
            } => {}
        }
        Ok(())
    });
    // Whatever still waits for a file must not be waited for.
    runtime.shutdown_background();
    served
}

fn configure(serve: &Serve, address: SocketAddr) -> Result<Config, CliError> {
    let is_local = address.ip().is_loopback();
    let certificate = match (&serve.tls_cert, &serve.tls_key) {
        (Some(chain), Some(key)) => Some(Certificate::read(chain, key).map_err(CliError::Tls)?),
        _ if is_local || !serve.trusted_proxy.is_empty() => None,
        _ => return Err(CliError::PlainInPublic(address)),
    };
    let trusted = match serve.trusted_proxy.as_slice() {
        [] => Network::LOOPBACK.to_vec(),
        given => given.to_vec(),
    };
    Ok(Config {
        only_proxies: certificate.is_none() && !is_local,
        proxy_protocol: serve.proxy_protocol,
        certificate,
        routing: serve.node_id.unwrap_or_else(|| {
            let mut routing = [0; 3];
            OsRng.fill_bytes(&mut routing);
            RoutingId(routing)
        }),
        proxies: Proxies::new(trusted),
        limits: Limits::from(&serve.limits),
        shows_identifiers: serve.show_identifiers,
    })
}

/// What a service manager wants to know.
enum News {
    Ready,
    Stopping,
}

/// Tells the service manager, if there is one.
fn tell_manager(news: News) {
    #[cfg(unix)]
    {
        let state = match news {
            News::Ready => sd_notify::NotifyState::Ready,
            News::Stopping => sd_notify::NotifyState::Stopping,
        };
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::warn!(%error, "the service manager cannot be told");
        }
    }
    #[cfg(not(unix))]
    let _ = news;
}

fn bind(option: &'static str, address: SocketAddr) -> Result<TcpListener, CliError> {
    listen(address).map_err(|error| CliError::Bind {
        option,
        address,
        error,
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // On Windows this would let others take the port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Ctrl-C, and the SIGTERM and SIGHUP of a service manager. They are heard from the begin on.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    certificate: Option<std::sync::Arc<Certificate>>,
}

#[cfg(unix)]
impl Signals {
    fn new(certificate: Option<std::sync::Arc<Certificate>>) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            certificate,
        })
    }

    /// Waits until the program is asked to stop, and reads the certificate again when it is asked
    /// to do that.
    async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hang_up.recv() => {
                    if let Some(certificate) = &self.certificate {
                        let certificate = std::sync::Arc::clone(certificate);
                        tokio::task::spawn_blocking(move || read_again(&certificate));
                    }
                }
            }
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new(_: Option<std::sync::Arc<Certificate>>) -> io::Result<Self> {
        Ok(Self)
    }

    async fn stop(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
