//! A relay that says what its script tells it to say.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What is done with one connection, once something has been asked over it.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// It is closed without a word.
    HangUp,
    /// These bytes; `{accept}` in them stands for the key that belongs to the request.
    Say(Vec<u8>),
    /// Nothing, for ever.
    Silence,
}

/// An answer of this status line and these header lines.
pub(crate) fn http(status: &str, headers: &[&str]) -> Answer {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    Answer::Say(format!("HTTP/1.1 {status}\r\n{lines}\r\n").into_bytes())
}

/// A redirect with this status to this place.
pub(crate) fn redirect(status: &str, location: &str) -> Answer {
    http(status, &[&format!("Location: {location}")])
}

/// A tunnel with these header lines besides those of every WebSocket.
pub(crate) fn websocket(headers: &[&str]) -> Answer {
    let usual = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: {accept}",
    ];
    http("101 Switching Protocols", &[&usual, headers].concat())
}

/// A tunnel as a phone wants it.
pub(crate) fn tunnel() -> Answer {
    websocket(&[
        "Sec-WebSocket-Protocol: fido.cable",
        "X-caBLE-Routing-ID: 0A0b0C",
    ])
}

/// A place where a relay will be.
pub(crate) struct Stage {
    listener: TcpListener,
    pub(crate) port: u16,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    /// Gives one answer to every connection, in this order, over plain TCP.
    pub(crate) fn plain(self, script: impl Into<Vec<Answer>>) -> Relay {
        self.play(None, script.into())
    }

    /// The same over TLS.
    pub(crate) fn tls(self, config: &Arc<ServerConfig>, script: impl Into<Vec<Answer>>) -> Relay {
        self.play(Some(TlsAcceptor::from(Arc::clone(config))), script.into())
    }

    fn play(self, tls: Option<TlsAcceptor>, script: Vec<Answer>) -> Relay {
        let (seen, requests) = unbounded_channel();
        let scheme = if tls.is_some() { "wss" } else { "ws" };
        let task = tokio::spawn(async move {
            for answer in script {
                let (stream, _) = self.listener.accept().await.unwrap();
                match &tls {
                    None => serve(stream, answer, &seen).await,
                    // Who does not trust the certificate does not come back with a request.
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, answer, &seen).await;
                        }
                    }
                }
            }
        });
        Relay {
            url: format!("{scheme}://127.0.0.1:{}", self.port),
            port: self.port,
            requests,
            task,
        }
    }
}

/// A relay that plays its script.
pub(crate) struct Relay {
    pub(crate) url: String,
    pub(crate) port: u16,
    pub(crate) requests: UnboundedReceiver<String>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Everything that was asked so far.
    pub(crate) fn asked(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the value of a header in a request.
pub(crate) fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Answer,
    seen: &UnboundedSender<String>,
) {
    // Room for all that a client says before it waits: what is left unread turns a farewell into a
    // reset.
    let mut bytes = Vec::with_capacity(16 * 1024);
    // A TLS client that came to a plain port says hello with this byte, and then waits.
    while !bytes.ends_with(b"\r\n\r\n") && bytes.first() != Some(&0x16) {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8_lossy(&bytes).into_owned();
    let key = header(&request, "Sec-WebSocket-Key").unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    seen.send(request).unwrap();
    match answer {
        Answer::HangUp => return,
        Answer::Say(bytes) => {
            // Who has heard enough may leave in the middle.
            let _ = stream.write_all(&fill(&bytes, &accept)).await;
        }
        Answer::Silence => {}
    }
    // The client is who ends it.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

fn fill(bytes: &[u8], accept: &str) -> Vec<u8> {
    const GAP: &[u8] = b"{accept}";
    match bytes.windows(GAP.len()).position(|part| part == GAP) {
        Some(at) => [&bytes[..at], accept.as_bytes(), &bytes[at + GAP.len()..]].concat(),
        None => bytes.to_vec(),
    }
}
