//! The way to a relay: name, addresses, TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::{
    CertificateError, ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore,
    SupportedProtocolVersion,
};
use rustls_pki_types::{ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::peer::printable;
use super::{Finding, PATIENCE, Target};

/// Bytes of an answer that is read for what comes along with it.
const ENOUGH: u64 = 64 * 1024;

/// How long a certificate should still be valid.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Addresses that are tried; more than that no relay needs.
const MOST_ADDRESSES: usize = 8;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Looks the relay's name up.
pub(super) async fn resolve(target: &Target) -> Result<Vec<SocketAddr>, Finding> {
    const ABOUT: &str = "address";
    const HINT: &str = "Give the name an A record, and an AAAA record if the machine has IPv6.";
    let name = (target.host(), target.port());
    match timeout(PATIENCE, tokio::net::lookup_host(name)).await {
        Ok(Ok(found)) => {
            let mut found: Vec<_> = found.collect();
            found.sort_unstable();
            found.dedup();
            found.truncate(MOST_ADDRESSES);
            match found.is_empty() {
                true => Err(Finding::bad(ABOUT, "the name has no address", HINT)),
                false => Ok(found),
            }
        }
        Ok(Err(error)) => Err(Finding::bad(
            ABOUT,
            format!("the name cannot be looked up: {error}"),
            HINT,
        )),
        Err(_) => Err(Finding::bad(
            ABOUT,
            "looking the name up takes too long",
            HINT,
        )),
    }
}

/// Tries all addresses, and returns those that answer.
pub(super) async fn reach(addresses: &[SocketAddr]) -> (Vec<SocketAddr>, Vec<Finding>) {
    const ABOUT: &str = "address";
    const CLOSED: &str = "Start the relay there, or take the address out of the name's records: some will try it first.";
    const SILENT: &str =
        "Open the port, or take the address out of the name's records: some will try it first.";
    let mut reached = Vec::new();
    let mut findings = Vec::new();
    for address in addresses {
        let begin = Instant::now();
        let connected = timeout(PATIENCE, TcpStream::connect(address)).await;
        findings.push(match connected {
            Ok(Ok(_)) => {
                reached.push(*address);
                Finding::good(ABOUT, format!("{address} answers in {}", took(begin)))
            }
            Ok(Err(error)) => {
                Finding::bad(ABOUT, format!("{address} does not answer: {error}"), CLOSED)
            }
            Err(_) => Finding::bad(ABOUT, format!("{address} does not answer"), SILENT),
        });
    }
    (reached, findings)
}

/// Says how long something took.
pub(super) fn took(begin: Instant) -> String {
    milliseconds(begin.elapsed())
}

pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Connects to one address of a relay.
#[derive(Debug)]
pub(super) struct Link {
    target: Target,
    address: SocketAddr,
    roots: Arc<RootCertStore>,
    /// Keeps tickets, so that later connections cost less.
    usual: Option<Arc<ClientConfig>>,
}

impl Link {
    pub(super) fn new(target: Target, address: SocketAddr, roots: Arc<RootCertStore>) -> Self {
        let usual = config(&roots, rustls::ALL_VERSIONS);
        Self {
            target,
            address,
            roots,
            usual,
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Connects, with TLS if the relay is to have it.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match &self.usual {
            Some(config) if self.target.tls() => Ok(Box::new(self.shake_hands(config).await?)),
            _ => Ok(Box::new(self.connect_plain().await?)),
        }
    }

    async fn connect_plain(&self) -> io::Result<TcpStream> {
        let stream = timeout(PATIENCE, TcpStream::connect(self.address)).await??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn shake_hands(&self, config: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
        let stream = self.connect_plain().await?;
        let name = self.server_name()?;
        let connector = TlsConnector::from(Arc::clone(config));
        timeout(PATIENCE, connector.connect(name, stream)).await?
    }

    fn server_name(&self) -> io::Result<ServerName<'static>> {
        ServerName::try_from(self.target.host()).map_err(io::Error::other)
    }

    /// Examines TLS; says whether there can be any connection at all.
    pub(super) async fn examine_tls(&self) -> (bool, Vec<Finding>) {
        const ABOUT: &str = "TLS";
        let Some(config) = self.usual.as_ref().filter(|_| self.target.tls()) else {
            let finding = Finding::noted(
                ABOUT,
                "none was asked for",
                "Only a relay with TLS can be used from other machines.",
            );
            return (true, vec![finding]);
        };
        let begin = Instant::now();
        let first = match self.shake_hands(config).await {
            Ok(stream) => stream,
            Err(error) => {
                let (seen, hint) = fault(&error);
                return (false, vec![Finding::bad(ABOUT, seen, hint)]);
            }
        };
        let version = first.get_ref().1.protocol_version();
        let mut findings = vec![Finding::good(
            ABOUT,
            format!(
                "version {}, up after {}",
                version_name(version),
                took(begin)
            ),
        )];
        findings.extend(self.examine_certificate(&first));
        findings.extend(
            self.examine_version(&rustls::version::TLS12, "TLS 1.2")
                .await,
        );
        findings.extend(
            self.examine_version(&rustls::version::TLS13, "TLS 1.3")
                .await,
        );
        findings.extend(self.examine_tickets(first, config).await);
        (true, findings)
    }

    /// Looks whether the certificate would be taken in two weeks, too.
    fn examine_certificate(&self, stream: &TlsStream<TcpStream>) -> Option<Finding> {
        const ABOUT: &str = "certificate";
        let (own, chain) = stream.get_ref().1.peer_certificates()?.split_first()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::clone(&self.roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider);
        let verifier = verifier.build().ok()?;
        let then = UnixTime::now().as_secs() + SOON.as_secs();
        let then = UnixTime::since_unix_epoch(Duration::from_secs(then));
        let name = self.server_name().ok()?;
        Some(
            match verifier.verify_server_cert(own, chain, &name, &[], then) {
                Ok(_) => Finding::good(ABOUT, "trusted, and for two weeks more at least"),
                Err(_) => Finding::noted(
                    ABOUT,
                    "trusted, but not for two weeks more",
                    "Look whether whatever renews it still runs.",
                ),
            },
        )
    }

    async fn examine_version(
        &self,
        version: &'static SupportedProtocolVersion,
        name: &'static str,
    ) -> Option<Finding> {
        let only = config(&self.roots, &[version])?;
        let failed = self.shake_hands(&only).await.is_err();
        failed.then(|| {
            Finding::noted(
                "TLS",
                format!("{name} is not spoken"),
                "Phones and computers of different ages need both 1.2 and 1.3.",
            )
        })
    }

    /// Looks whether who comes again is spared a whole handshake.
    async fn examine_tickets(
        &self,
        mut first: TlsStream<TcpStream>,
        config: &Arc<ClientConfig>,
    ) -> Option<Finding> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        // Tickets come after the handshake, so something must be read.
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.target.host()
        );
        first.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        let mut first = first.take(ENOUGH);
        let _ = timeout(PATIENCE, first.read_to_end(&mut answer)).await;
        let second = self.shake_hands(config).await.ok()?;
        let resumed = second.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Some(match resumed {
            true => Finding::good("TLS", "a session is resumed"),
            false => Finding::noted(
                "TLS",
                "a session is not resumed",
                "Session tickets would spare the relay work.",
            ),
        })
    }
}

fn config(
    roots: &Arc<RootCertStore>,
    versions: &[&'static SupportedProtocolVersion],
) -> Option<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .ok()?
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config))
}

fn version_name(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        _ => "unknown",
    }
}

/// Says why there is no TLS, and what to do.
fn fault(error: &io::Error) -> (String, &'static str) {
    use CertificateError as Fault;

    let inner = error
        .get_ref()
        .and_then(|it| it.downcast_ref::<rustls::Error>());
    let certificate = match inner {
        Some(rustls::Error::InvalidCertificate(fault)) => fault,
        Some(rustls::Error::InvalidMessage(_)) => {
            return (
                "what answers there does not speak TLS".to_owned(),
                "Give the relay a certificate, or put a proxy with TLS before it.",
            );
        }
        _ => {
            return (
                format!("the handshake fails: {error}"),
                "Look into the log of what answers there.",
            );
        }
    };
    let (seen, hint) = match certificate {
        Fault::Expired | Fault::ExpiredContext { .. } => (
            "the certificate has expired",
            "Renew it. A relay that reads the file itself uses it within ten seconds; one that got a copy \
             from systemd must be restarted.",
        ),
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => (
            "the certificate is not valid yet",
            "Set the clocks of both machines.",
        ),
        Fault::NotValidForNameContext { presented, .. } => {
            return (
                format!(
                    "the certificate is for another name: {}",
                    printable(&presented.join(", "))
                ),
                "It must be for the very name that was asked for.",
            );
        }
        Fault::NotValidForName => (
            "the certificate is for another name",
            "It must be for the very name that was asked for.",
        ),
        Fault::UnknownIssuer => (
            "the certificate's issuer is not known here",
            "Serve the whole chain, not only the last certificate; or name the issuer with --ca-file.",
        ),
        other => {
            return (
                format!("the certificate cannot be used: {other}"),
                "Get one for a server: not an authority's own, and with a key of ECDSA or RSA.",
            );
        }
    };
    (seen.to_owned(), hint)
}
