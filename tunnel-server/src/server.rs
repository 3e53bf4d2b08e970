//! A relay process: it accepts connections until it is asked to stop, and then lets tunnels end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use handfast_proto::hybrid::tunnel::RoutingId;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info, warn};

use crate::address::Proxies;
use crate::clock::Clock;
use crate::connection::serve_connection;
use crate::figures::Figures;
use crate::limits::Limits;
use crate::openings::Openings;
use crate::quota::Quotas;
use crate::registry::Registry;
use crate::side::{Side, Stream};
use crate::tls::{Certificate, TlsError};

/// Time until the next try after a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Time until that is said again. A crowd takes the last descriptor many times a second, and each
/// time some are freed for it.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Time between two looks at the files of the certificate.
const LOOK_AT_FILES: Duration = Duration::from_secs(10);

/// How a relay serves.
#[derive(Debug)]
pub struct Config {
    /// With it every connection must speak TLS.
    pub certificate: Option<Arc<Certificate>>,
    /// What phones put into their adverts, so that clients are led to this relay.
    pub routing: RoutingId,
    /// Which proxies are believed when they say for whom they call.
    pub proxies: Proxies,
    /// Whether nobody else is served. Without TLS nobody else should be.
    pub only_proxies: bool,
    /// Whether connections begin with version 2 of the PROXY protocol. Then, too, nobody but proxies
    /// that are believed is served.
    pub proxy_protocol: bool,
    /// What peers may use.
    pub limits: Limits,
    /// Whether the log tells, at its most verbose, which address asks for which tunnel.
    pub shows_identifiers: bool,
}

/// What all connections share.
pub(crate) struct State {
    pub(crate) limits: Limits,
    pub(crate) registry: Arc<Registry<Side<Stream>>>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) openings: Arc<Openings>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) proxies: Proxies,
    pub(crate) figures: Arc<Figures>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) shows_identifiers: bool,
    pub(crate) proxy_protocol: bool,
    only_proxies: bool,
    is_draining: AtomicBool,
    is_unsaid: AtomicBool,
}

impl State {
    /// Says, once, that there is a proxy that does not say for whom it calls.
    pub(crate) fn note_unsaid(&self) {
        if !self.is_unsaid.swap(true, Ordering::Relaxed) {
            info!(
                "a proxy, or this machine, does not say for whom it calls: no address has limits"
            );
        }
    }

    /// Whether no new tunnels are made any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Door {
    /// Tunnels; and whether the relay is well, which a balancer wants to know.
    Tunnels,
    /// Figures, for those who run the relay.
    Watch,
}

/// A relay that is bound to its addresses and not yet serving.
pub struct Server {
    listener: TcpListener,
    watch: Option<TcpListener>,
    certificate: Option<Arc<Certificate>>,
    state: Arc<State>,
}

impl Server {
    /// Makes a relay of this listener, and of one for those who watch it.
    ///
    /// # Errors
    ///
    /// [`TlsError::Pair`] if the certificate cannot be used for TLS.
    pub fn new(
        listener: TcpListener,
        watch: Option<TcpListener>,
        config: Config,
    ) -> Result<Self, TlsError> {
        let limits = config.limits;
        let tls = match &config.certificate {
            Some(certificate) => Some(TlsAcceptor::from(certificate.server_config()?)),
            None => None,
        };
        let state = State {
            registry: Registry::new(config.routing, limits.tunnels),
            clock: Clock::new(limits.tick()),
            openings: Openings::new(limits.openings, limits.openings_per_address),
            quotas: Quotas::new(&limits),
            proxies: config.proxies,
            figures: Arc::new(Figures::new()),
            tls,
            shows_identifiers: config.shows_identifiers,
            proxy_protocol: config.proxy_protocol,
            only_proxies: config.only_proxies || config.proxy_protocol,
            is_draining: AtomicBool::new(false),
            is_unsaid: AtomicBool::new(false),
            limits,
        };
        Ok(Self {
            listener,
            watch,
            certificate: config.certificate,
            state: Arc::new(state),
        })
    }

    /// Returns the address with the port that is really used.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Returns `wss` or `ws`.
    pub fn scheme(&self) -> &'static str {
        if self.state.tls.is_some() {
            "wss"
        } else {
            "ws"
        }
    }

    /// Serves until `stop` is ready and, after that, the tunnels have ended or their time is over.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        info!(
            scheme = self.scheme(),
            most_bytes_per_address = self.state.limits.bytes_per_address(),
            "serving"
        );
        let state = self.state;
        tokio::select! {
            () = state.clock.run() => {}
            () = accept(&self.listener, Door::Tunnels, &state) => {}
            () = async {
                match &self.watch {
                    Some(listener) => accept(listener, Door::Watch, &state).await,
                    None => std::future::pending().await,
                }
            } => {}
            () = watch_files(self.certificate.as_ref()) => {}
            () = async { stop.await; drain(&state).await } => {}
        }
    }
}

/// What is said at most once a minute, however often it happens.
#[derive(Default)]
struct Rarely(Option<Instant>);

impl Rarely {
    fn say(&mut self, say: impl FnOnce()) {
        if self.0.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            self.0 = Some(Instant::now());
            say();
        }
    }
}

async fn accept(listener: &TcpListener, door: Door, state: &Arc<State>) {
    let (mut unaccepted, mut no_proxy) = (Rarely::default(), Rarely::default());
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_peer(&error) => continue,
            Err(error) => {
                state.figures.unaccepted();
                unaccepted.say(|| {
                    warn!(
                        %error,
                        "connections cannot be accepted, and wait; for more descriptors raise the \
                         limit of open files"
                    );
                });
                // Out of descriptors is the usual reason: who is still opening has some to
                // give, and ending tunnels free others.
                state.openings.halve();
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        if door == Door::Tunnels && state.only_proxies && !state.proxies.trusts(peer.ip()) {
            state.figures.no_proxy();
            no_proxy.say(|| {
                warn!("a connection was closed: it came from elsewhere than --trusted-proxy");
            });
            continue;
        }
        let state = Arc::clone(state);
        tokio::spawn(serve_connection(stream, peer.ip(), door, state));
    }
}

/// Whether a connection could not be accepted because it was gone already.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Uses a replaced certificate soon after it was replaced.
async fn watch_files(certificate: Option<&Arc<Certificate>>) {
    let Some(certificate) = certificate else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(LOOK_AT_FILES).await;
        let certificate = Arc::clone(certificate);
        let look = move || {
            if certificate.has_changed() {
                read_again(&certificate);
            }
        };
        // A file system may be slow, and tunnels should not wait for it.
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

/// Reads the certificate again, and says how that went.
pub fn read_again(certificate: &Certificate) {
    match certificate.read_again() {
        Ok(()) => info!("the certificate was replaced"),
        Err(reason) => error!(%reason, "the old certificate stays in use"),
    }
}

/// Makes no new tunnels, waits until there are none, and ends those that are left when the time for
/// that is over.
async fn drain(state: &State) {
    state.is_draining.store(true, Ordering::Relaxed);
    state.figures.drains();
    info!(
        tunnels = state.registry.len(),
        "stopping when tunnels have ended"
    );
    let alarm = state.clock.alarm();
    let none_left = async {
        while !state.registry.is_empty() {
            tokio::time::sleep(state.limits.tick()).await;
        }
    };
    if alarm
        .within(state.limits.draining, none_left)
        .await
        .is_none()
    {
        warn!(
            tunnels = state.registry.len(),
            "ending the tunnels that are left"
        );
        state.clock.end();
        let none_left = async {
            while !state.registry.is_empty() {
                tokio::time::sleep(state.limits.tick()).await;
            }
        };
        alarm.within(2 * state.limits.closing, none_left).await;
    }
}
