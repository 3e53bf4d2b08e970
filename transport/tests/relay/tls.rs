//! Relays over TLS, with certificates and without sense.

use std::sync::Arc;

use handfast_proto::hybrid::ChannelFailure;
use handfast_transport::relay::OpenError;
use handfast_transport::tls::TlsTrust;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::script::{Answer, Stage, redirect, tunnel};
use super::{fault, open, plain, reason};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Trusts the system's anchors and this one.
fn trust(authority: &Authority) -> TlsTrust {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    TlsTrust::new(Some(&path)).unwrap()
}

fn server(certificate: CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

/// A server with a good certificate, but for what `change` makes of it.
fn certified(authority: &Authority, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    server(certificate.der().clone(), &key)
}

/// Comes to a server with this certificate, and expects to be told why not to trust it.
async fn distrust(server: ServerConfig, trust: &TlsTrust) -> &'static str {
    let relay = Stage::new().await.tls(&Arc::new(server), [tunnel()]);
    let error = open(&relay.url, trust).await.unwrap_err();
    assert_eq!(error.failure(), ChannelFailure::Tls, "{error}");
    match error {
        OpenError::Tls { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_tunnel_opens_over_tls() {
    let authority = authority("ours");
    let config = Arc::new(certified(&authority, |_| {}));
    let stage = Stage::new().await;
    let absolute = format!("https://localhost:{}/there", stage.port);
    let mut relay = stage.tls(
        &config,
        [
            redirect("302 Found", "/here"),
            redirect("302 Found", &absolute),
            tunnel(),
        ],
    );
    open(&relay.url, &trust(&authority)).await.unwrap();
    assert_eq!(relay.asked().len(), 3);
}

#[tokio::test]
async fn tls_is_not_redirected_to_plain_text() {
    let authority = authority("ours");
    let config = Arc::new(certified(&authority, |_| {}));
    for scheme in ["ws", "http"] {
        let mut open_door = plain([tunnel()]).await;
        let location = format!("{scheme}://127.0.0.1:{}/", open_door.port);
        let stage = Stage::new().await;
        let relay = stage.tls(&config, [redirect("302 Found", &location)]);
        let error = open(&relay.url, &trust(&authority)).await.unwrap_err();
        assert!(matches!(error, OpenError::Redirect { .. }), "{error}");
        assert_eq!(open_door.asked(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_good_is_told_why() {
    let authority = authority("ours");
    let trust = trust(&authority);
    let foreign = CertificateParams::new(["relay.example".to_owned()]).unwrap();
    let other_name = certified(&authority, |params| {
        params.subject_alt_names = foreign.subject_alt_names;
    });
    assert_eq!(distrust(other_name, &trust).await, "it is for another name");

    let expired = certified(&authority, |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    assert_eq!(distrust(expired, &trust).await, "it has expired");

    let early = certified(&authority, |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
    });
    let reason = distrust(early, &trust).await;
    assert_eq!(reason, "it is not valid yet; is the clock right?");

    let for_clients = certified(&authority, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let reason = distrust(for_clients, &trust).await;
    assert_eq!(reason, "it is not one that a server may have");

    let own = server(authority.der().clone(), authority.key());
    let reason = distrust(own, &trust).await;
    assert_eq!(reason, "it is not one that a server may have");
}

#[tokio::test]
async fn an_unknown_issuer_is_not_trusted_whatever_its_name() {
    let trust = trust(&authority("ours"));
    for (name, words) in [
        ("theirs", "nobody here knows who issued it"),
        ("ours", "its signature is wrong"),
    ] {
        let server = certified(&authority(name), |_| {});
        assert_eq!(distrust(server, &trust).await, words);
    }
}

#[tokio::test]
async fn what_is_no_tls_is_not_blamed_on_a_certificate() {
    let server_hello = |version: u8| {
        let rest = [&[3, version][..], &[7; 32], &[0, 0xc0, 0x2b, 0]].concat();
        let length = u8::try_from(rest.len()).unwrap();
        let head = [0x16, 3, version, 0, length + 4, 2, 0, 0, length];
        [&head[..], &rest].concat()
    };
    let alert = |description| vec![0x15, 3, 1, 0, 2, 2, description];
    for (bytes, words) in [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "it does not speak TLS",
        ),
        (b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), "it does not speak TLS"),
        (server_hello(2), "it speaks no TLS that is good enough"),
        // handshake_failure, protocol_version, internal_error, unrecognized_name
        (alert(40), "it speaks no TLS that is good enough"),
        (alert(70), "it speaks no TLS that is good enough"),
        (alert(80), "it refused the TLS handshake"),
        (alert(112), "it does not know its name"),
    ] {
        let mut relay = plain([Answer::Say(bytes.clone())]).await;
        relay.url = format!("wss://127.0.0.1:{}", relay.port);
        let error = fault(&relay).await;
        assert_eq!(reason(&error), words, "{bytes:?}");
        assert_eq!(error.failure(), ChannelFailure::Protocol);
    }
}

#[tokio::test]
async fn a_server_for_another_protocol_is_not_blamed_on_a_certificate() {
    let authority = authority("ours");
    let mut config = certified(&authority, |_| {});
    config.alpn_protocols = vec![b"h2".to_vec()];
    let relay = Stage::new().await.tls(&Arc::new(config), [tunnel()]);
    let error = open(&relay.url, &trust(&authority)).await.unwrap_err();
    assert_eq!(reason(&error), "it does not speak HTTP/1.1 over TLS");
}
