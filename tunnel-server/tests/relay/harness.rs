//! A relay on a free port, and peers that speak to it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use handfast_proto::hybrid::tunnel::RoutingId;
use handfast_relay::address::{Network, Proxies};
use handfast_relay::limits::Limits;
use handfast_relay::server::{Config, Server};
use handfast_relay::tls::Certificate;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

pub(crate) const TUNNEL: &str = "DE1D8150B45F03349B2B00A52E2E893E";
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) type Socket = WebSocketStream<TcpStream>;

pub(crate) struct Relay {
    pub(crate) port: u16,
    /// Of a relay in this process.
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Relay {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::serve(limits, None, Network::LOOPBACK.to_vec()).await
    }

    /// A relay that shows this certificate, and believes these proxies.
    pub(crate) async fn serve(
        limits: Limits,
        certificate: Option<Arc<Certificate>>,
        trusted: Vec<Network>,
    ) -> Self {
        let config = Config {
            certificate,
            routing: RoutingId([0xAB, 0xCD, 0xEF]),
            proxies: Proxies::new(trusted),
            only_proxies: false,
            proxy_protocol: false,
            limits,
            shows_identifiers: false,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::new(listener, None, config).unwrap();
        let port = server.local_address().unwrap().port();
        Self {
            port,
            task: Some(tokio::spawn(server.serve(std::future::pending()))),
        }
    }

    /// A relay that is a program of its own.
    pub(crate) fn of_program(port: u16) -> Self {
        Self { port, task: None }
    }

    pub(crate) async fn open(&self, path: &str) -> Result<(Socket, Option<String>), u16> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        self.open_over(stream, path).await
    }

    /// Opens a path over a connection that is there already.
    pub(crate) async fn open_over(
        &self,
        stream: TcpStream,
        path: &str,
    ) -> Result<(Socket, Option<String>), u16> {
        let url = format!("ws://127.0.0.1:{}{path}", self.port);
        let mut request = url.into_client_request().unwrap();
        let offer = "chat, fido.cable".parse().unwrap();
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", offer);
        match client_async(request, stream).await {
            Ok((socket, response)) => {
                let headers = response.headers();
                assert_eq!(headers.get("Sec-WebSocket-Protocol").unwrap(), "fido.cable");
                let routing = headers.get("X-caBLE-Routing-ID");
                Ok((
                    socket,
                    routing.map(|value| value.to_str().unwrap().to_owned()),
                ))
            }
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn phone(&self) -> (Socket, String) {
        let (phone, routing) = self.open(&format!("/cable/new/{TUNNEL}")).await.unwrap();
        (phone, routing.unwrap())
    }

    pub(crate) async fn pair(&self) -> (Socket, Socket, String) {
        let (phone, routing) = self.phone().await;
        // The other hex case on purpose.
        let path = format!("/cable/connect/{routing}/{TUNNEL}").to_lowercase();
        let (client, none) = self.open(&path).await.unwrap();
        assert_eq!(none, None);
        (phone, client, routing)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

pub(crate) async fn next(socket: &mut Socket) -> Option<Result<Message, Error>> {
    timeout(PATIENCE, socket.next())
        .await
        .expect("the relay says something in time")
}

/// The next message. The relay's own pings, which are empty, may come at any time.
pub(crate) async fn bytes(socket: &mut Socket) -> Vec<u8> {
    bytes_of(socket).await
}

/// The next message of a socket over any stream.
pub(crate) async fn bytes_of<S>(socket: &mut WebSocketStream<S>) -> Vec<u8>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let next = timeout(PATIENCE, socket.next());
        match next.await.expect("the relay says something in time") {
            Some(Ok(Message::Binary(bytes))) => return bytes.into(),
            Some(Ok(Message::Ping(bytes))) if bytes.is_empty() => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The code of the close frame that comes next but for pings, if one comes at all.
pub(crate) async fn close_code<S>(socket: &mut WebSocketStream<S>) -> Option<CloseCode>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let closed = timeout(PATIENCE, async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                None | Some(Err(_)) => return None,
                other => panic!("{other:?}"),
            }
        }
    });
    closed.await.expect("the relay closes in time")
}

pub(crate) fn binary(bytes: &[u8]) -> Message {
    Message::binary(bytes.to_vec())
}
