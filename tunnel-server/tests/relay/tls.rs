//! TLS, and certificates that are replaced.

use std::path::Path;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use handfast_relay::limits::Limits;
use handfast_relay::tls::Certificate;
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::process::Child;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::harness::{PATIENCE, Relay, TUNNEL, binary, bytes_of};
#[cfg(unix)]
use crate::program::{port, signal, start_with};

/// Writes a new certificate and its key to a folder.
pub(crate) fn certify(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

/// A relay in this process that shows a certificate of its own.
async fn relay_with_tls() -> (Relay, CertificateDer<'static>) {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certify(folder.path());
    let file = |name| folder.path().join(name);
    let shown = Certificate::read(&file("cert.pem"), &file("key.pem")).unwrap();
    let relay = Relay::serve(Limits::default(), Some(shown), Vec::new()).await;
    (relay, certificate)
}

/// Starts the program with what [`certify`] wrote to this folder.
#[cfg(unix)]
pub(crate) async fn start_with_tls(folder: &Path, more: &[&str]) -> (Child, u16) {
    let file = |name| folder.join(name).display().to_string();
    let (chain, key) = (file("cert.pem"), file("key.pem"));
    let usual = ["serve", "--listen", "127.0.0.1:0"];
    let tls = ["--tls-cert", &chain, "--tls-key", &key];
    let (child, said) = start_with(":", &[&usual[..], &tls, more].concat(), 1).await;
    (child, port(&said[0]))
}

pub(crate) fn trusting(
    certificate: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

pub(crate) async fn connect(
    port: u16,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
    connector.connect(name, stream).await
}

pub(crate) type Socket = WebSocketStream<TlsStream<TcpStream>>;

pub(crate) async fn open(
    port: u16,
    config: &Arc<ClientConfig>,
    path: &str,
) -> (Socket, Option<String>) {
    let stream = connect(port, config).await.unwrap();
    let mut request = format!("wss://localhost:{port}{path}")
        .into_client_request()
        .unwrap();
    let offer = "fido.cable".parse().unwrap();
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", offer);
    let (socket, response) = client_async(request, stream).await.unwrap();
    let routing = response.headers().get("X-caBLE-Routing-ID");
    let routing = routing.map(|routing| routing.to_str().unwrap().to_owned());
    (socket, routing)
}

pub(crate) const BOTH: &[&SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

#[tokio::test]
async fn both_tls_versions_are_spoken_and_messages_of_any_size_pass() {
    let (relay, certificate) = relay_with_tls().await;
    for (number, version) in BOTH.iter().enumerate() {
        let name = format!("{number:032X}");
        let config = trusting(&certificate, &[version]);
        let (mut phone, routing) = open(relay.port, &config, &format!("/cable/new/{name}")).await;
        let path = format!("/cable/connect/{}/{name}", routing.unwrap());
        let (mut client, _) = open(relay.port, &config, &path).await;
        let large = vec![7; 1024 * 1024 + 1024];
        let sent = async {
            phone.send(binary(&large)).await.unwrap();
            phone.send(binary(b"small")).await.unwrap();
        };
        let read = async {
            assert!(bytes_of(&mut client).await == large);
            assert_eq!(bytes_of(&mut client).await, b"small");
        };
        tokio::join!(sent, read);
        client.close(None).await.unwrap();
        while let Some(Ok(_)) = client.next().await {}
        while let Some(Ok(_)) = phone.next().await {}
    }
}

#[tokio::test]
async fn who_was_here_before_comes_back_without_a_whole_handshake() {
    let (relay, certificate) = relay_with_tls().await;
    for (number, version) in BOTH.iter().enumerate() {
        let name = format!("{number:032X}");
        let config = trusting(&certificate, &[version]);
        // The answer to a request brings the tickets of TLS 1.3 along.
        let (mut phone, _) = open(relay.port, &config, &format!("/cable/new/{name}")).await;
        phone.close(None).await.unwrap();
        while let Some(Ok(_)) = phone.next().await {}
        let again = connect(relay.port, &config).await.unwrap();
        let kind = again.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(HandshakeKind::Resumed), "{version:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_replaced_certificate_is_shown_to_those_who_come_and_a_spoilt_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let first = certify(folder.path());
    let (child, port) = start_with_tls(folder.path(), &[]).await;
    let old = trusting(&first, BOTH);
    let (mut phone, routing) = open(port, &old, &format!("/cable/new/{TUNNEL}")).await;
    std::fs::write(folder.path().join("cert.pem"), "spoilt").unwrap();
    signal(&child, "HUP").await;
    connect(port, &old).await.unwrap();
    let new = trusting(&certify(folder.path()), BOTH);
    signal(&child, "HUP").await;
    let connected = timeout(PATIENCE, async {
        while connect(port, &new).await.is_err() {}
        assert!(connect(port, &trusting(&first, BOTH)).await.is_err());
        open(
            port,
            &new,
            &format!("/cable/connect/{}/{TUNNEL}", routing.unwrap()),
        )
        .await
    });
    let (mut client, _) = connected.await.unwrap();
    phone.send(binary(b"from before")).await.unwrap();
    assert_eq!(bytes_of(&mut client).await, b"from before");
}
