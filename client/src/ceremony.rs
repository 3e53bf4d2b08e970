//! One hybrid session: the machine of the protocol, a radio and a relay.

mod told;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use handfast_authenticator::console::unix_time;
use handfast_proto::Now;
use handfast_proto::ctap2::get_info::INTRODUCTIONS;
use handfast_proto::hybrid::advert::AdvertError;
use handfast_proto::hybrid::qr::Hint;
use handfast_proto::hybrid::tunnel::{RoutingId, TunnelDomain, TunnelId};
use handfast_proto::hybrid::{
    CeremonyError, ChannelFailure, ClientAction, ClientCeremony, ClientConfig, ClientEvent,
    ClientLimits, Closed, DataChannel, Psm,
};
use handfast_proto::trust::introduction::Introducer;
use handfast_transport::channel::{Channel, ChannelEnd};
use handfast_transport::radio::{Heard, RadioError, Scan, Sender};
use handfast_transport::relay::{RelayUrl, open_connect};
use handfast_transport::tls::TlsTrust;
use rand_core::OsRng;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info};

pub use told::{Means, Progress, Ready, SessionError, Tell};

/// How long the end of a session may take, when its result is known already.
const FAREWELL: Duration = Duration::from_secs(2);

/// A channel that is being opened.
type Opening = Pin<Box<dyn Future<Output = Result<Channel, NotOpened>>>>;

/// Why a channel could not be opened.
struct NotOpened {
    failure: ChannelFailure,
    /// The same in more words.
    error: SessionError,
}

/// A session with a phone nearby.
pub struct Session {
    means: Means,
    ceremony: ClientCeremony,
    begin: Instant,
    scan: Option<Scan>,
    /// Who sent the advert that was heard last.
    sender: Option<Sender>,
    opening: Option<(DataChannel, Opening)>,
    channel: Option<(DataChannel, Channel)>,
    open_error: Option<SessionError>,
    /// Why nothing can be heard, as long as that is so.
    radio_lost: Option<RadioError>,
    closed: Option<Closed>,
    ignored: BTreeMap<String, u32>,
    over: bool,
}

impl Session {
    /// Makes a QR code and begins to listen. To be called in a runtime. What fails without a phone
    /// fails here, before anybody sees the code.
    ///
    /// # Errors
    ///
    /// [`SessionError::Radio`] and [`SessionError::Tls`].
    pub async fn start(means: Means, hint: Hint) -> Result<Self, SessionError> {
        info!(radio = %means.radio, "listening for adverts");
        means.check()?;
        let scan = means.radio.scan().await?;
        let begin = Instant::now();
        let mut limits = ClientLimits::default();
        if let Some(patience) = means.patience {
            limits.advert = patience;
            limits.reply = patience;
        }
        let config = ClientConfig {
            hint,
            channels: means.channels,
            limits,
        };
        let ceremony = ClientCeremony::start(config, &mut OsRng, now(begin));
        Ok(Self {
            means,
            ceremony,
            begin,
            scan: Some(scan),
            sender: None,
            opening: None,
            channel: None,
            open_error: None,
            radio_lost: None,
            closed: None,
            ignored: BTreeMap::new(),
            over: false,
        })
    }

    /// Returns the text of the QR code, while it can still be answered.
    pub fn url(&self) -> Option<String> {
        self.ceremony.url()
    }

    /// Waits until a phone can be asked.
    ///
    /// # Errors
    ///
    /// [`SessionError`].
    pub async fn ready(&mut self, tell: Tell<'_>) -> Result<Ready, SessionError> {
        loop {
            match self.next(tell).await? {
                ClientEvent::Ready {
                    get_info,
                    handshake_hash,
                } => {
                    return Ok(Ready {
                        info: get_info,
                        handshake_hash,
                    });
                }
                ClientEvent::Finished => return Err(self.left()),
                _ => {}
            }
        }
    }

    /// Introduces this computer to a phone that understands that; to be said once, before the first request.
    /// Without an introducer as much is said, and nothing in it.
    ///
    /// # Errors
    ///
    /// [`SessionError::Misuse`].
    pub fn introduce(
        &mut self,
        introducer: Option<&Introducer>,
        phone: &Ready,
    ) -> Result<(), SessionError> {
        if !phone.info.has_version(INTRODUCTIONS) {
            return Ok(());
        }
        let session = &phone.handshake_hash.0;
        let introduction = introducer.map(|introducer| introducer.introduce(session));
        info!(device = ?introducer.map(Introducer::device), "introducing this computer");
        Ok(self.ceremony.introduce(introduction.as_deref())?)
    }

    /// Asks the phone and waits for its answer: status byte and CBOR.
    ///
    /// # Errors
    ///
    /// [`SessionError`].
    pub async fn ask(&mut self, request: Vec<u8>, tell: Tell<'_>) -> Result<Vec<u8>, SessionError> {
        self.ceremony.request(request, now(self.begin))?;
        loop {
            match self.next(tell).await? {
                ClientEvent::Response(reply) => return Ok(reply),
                ClientEvent::Finished => return Err(self.left()),
                _ => {}
            }
        }
    }

    /// Waits for something else, such as a person at this computer, as long as the phone stays.
    ///
    /// # Errors
    ///
    /// [`SessionError`], as when the phone left meanwhile ([`CeremonyError::PeerGone`]).
    pub async fn meanwhile<T>(
        &mut self,
        other: impl Future<Output = T>,
    ) -> Result<T, SessionError> {
        let mut silence = |_| {};
        tokio::select! {
            done = other => Ok(done),
            // No event but the end can come while nothing is asked.
            ended = self.next(&mut silence) => {
                ended?;
                Err(CeremonyError::from(self.closed.unwrap_or(Closed::ByPeer)).into())
            }
        }
    }

    /// Tells the phone that there is nothing more, and gives it two seconds to close.
    pub async fn close(mut self) {
        self.ceremony.shutdown(now(self.begin));
        // The ceremony has done its work: how it ends interests nobody any more, and a relay that
        // stopped reading is not waited for.
        let ended = async {
            while !self.over && !matches!(self.next(&mut |_| {}).await, Ok(ClientEvent::Finished)) {
            }
        };
        let _ = timeout(FAREWELL, ended).await;
    }

    /// The phone ended the session where an answer was waited for.
    fn left(&mut self) -> SessionError {
        self.over = true;
        CeremonyError::PeerGone.into()
    }

    /// Runs the machine until it has something to say to its caller.
    async fn next(&mut self, tell: Tell<'_>) -> Result<ClientEvent, SessionError> {
        loop {
            // A person hears of a step before it is taken: opening a tunnel may take a while.
            match self.ceremony.poll_event() {
                Some(ClientEvent::WaitingForPhone) => tell(Progress::WaitingForPhone),
                Some(ClientEvent::PhoneFound) => {
                    self.radio_lost = None;
                    tell(Progress::PhoneFound);
                }
                Some(ClientEvent::Connected(channel)) => tell(Progress::Connected(channel)),
                Some(ClientEvent::TunnelInstead(error)) => {
                    let why = self.open_error.take().unwrap_or_else(|| error.into());
                    info!("not by Bluetooth: {why}");
                    tell(Progress::RelayInstead(why.to_string()));
                }
                Some(ClientEvent::WaitingForApproval) => tell(Progress::WaitingForApproval),
                Some(event) => {
                    while let Some(action) = self.ceremony.poll_action() {
                        self.act(action).await?;
                    }
                    return self.concluded(event);
                }
                None => match self.ceremony.poll_action() {
                    Some(action) => self.act(action).await?,
                    None => self.wait(tell).await?,
                },
            }
        }
    }

    fn concluded(&mut self, event: ClientEvent) -> Result<ClientEvent, SessionError> {
        self.over = matches!(event, ClientEvent::Failed(_) | ClientEvent::Finished);
        match event {
            ClientEvent::Failed(error) => {
                Err(match (self.radio_lost.take(), self.open_error.take()) {
                    (Some(radio), _) => radio.into(),
                    (None, Some(open)) => open,
                    (None, None) => error.into(),
                })
            }
            event => Ok(event),
        }
    }

    async fn act(&mut self, action: ClientAction) -> Result<(), SessionError> {
        match action {
            ClientAction::StopScan => {
                self.scan = None;
                for (why, count) in &self.ignored {
                    info!(count, "adverts were ignored: {why}");
                }
            }
            ClientAction::OpenTunnel {
                domain,
                routing,
                tunnel,
            } => {
                self.open_tunnel(domain, routing, tunnel)?;
            }
            ClientAction::OpenBle { psm } => self.open_ble(psm),
            ClientAction::Send(at, frame) => {
                debug!(bytes = frame.len(), "a message goes out");
                if let Some((known, channel)) = &mut self.channel
                    && *known == at
                    && let Err(end) = channel.send(frame).await
                {
                    self.ended(at, &end).await;
                }
            }
            ClientAction::Close(at) => {
                debug!(channel = ?at, "it is closed from here");
                self.opening.take_if(|(opening, _)| *opening == at);
                if let Some((_, channel)) = self.channel.take_if(|(known, _)| *known == at) {
                    channel.close().await;
                }
            }
            // Listening began with the session.
            _ => {}
        }
        Ok(())
    }

    fn open_tunnel(
        &mut self,
        domain: TunnelDomain,
        routing: RoutingId,
        tunnel: TunnelId,
    ) -> Result<(), SessionError> {
        let mapped = self.means.relays.get(&domain.0).cloned();
        let Some(relay) = mapped.or_else(|| RelayUrl::for_domain(domain)) else {
            self.ceremony.handle_channel_failed(
                DataChannel::WebSocket,
                ChannelFailure::Unreachable,
                now(self.begin),
            );
            return Ok(());
        };
        info!(%relay, "opening a tunnel");
        // Read only now: the QR code should not wait for a hundred certificates.
        let trust = TlsTrust::new(self.means.ca_file.as_deref())?;
        let opening = Box::pin(async move {
            let opened = open_connect(&relay, &routing, &tunnel, &trust).await;
            opened.map_err(|error| NotOpened {
                failure: error.failure(),
                error: error.into(),
            })
        });
        self.opening = Some((DataChannel::WebSocket, opening));
        Ok(())
    }

    fn open_ble(&mut self, psm: Psm) {
        let Some(sender) = self.sender.clone() else {
            return;
        };
        info!(%psm, "connecting by Bluetooth");
        let opening = Box::pin(async move {
            let opened = sender.connect(psm).await;
            opened.map_err(|error| NotOpened {
                failure: ChannelFailure::BleFailed,
                error: error.into(),
            })
        });
        self.opening = Some((DataChannel::Ble, opening));
    }

    fn opened(&mut self, at: DataChannel, opened: Result<Channel, NotOpened>) {
        self.opening = None;
        let now = now(self.begin);
        match opened {
            Ok(channel) => {
                self.open_error = None;
                self.channel = Some((at, channel));
                self.ceremony.handle_channel_opened(at, &mut OsRng, now);
            }
            Err(NotOpened { failure, error }) => {
                info!(channel = ?at, "it does not open: {error}");
                self.open_error = Some(error);
                self.ceremony.handle_channel_failed(at, failure, now);
            }
        }
    }

    /// A foreign advert is somebody else's business; that one was heard helps who looks for a fault.
    fn ignore(&mut self, why: AdvertError, length: usize) {
        debug!(length, "an advert was ignored: {why}");
        *self.ignored.entry(why.to_string()).or_default() += 1;
    }

    /// The channel is gone.
    async fn ended(&mut self, at: DataChannel, end: &ChannelEnd) {
        debug!(channel = ?at, "it is closed: {end}");
        if let Some((DataChannel::Ble, channel)) = self.channel.take() {
            // Its radio has to be told.
            channel.close().await;
        }
        self.closed = Some(end.closed());
        self.ceremony
            .handle_channel_closed(at, end.closed(), now(self.begin));
    }

    async fn wait(&mut self, tell: Tell<'_>) -> Result<(), SessionError> {
        let deadline = self
            .ceremony
            .poll_timeout()
            .unwrap_or(Duration::from_secs(3600));
        let heard = async {
            match &mut self.scan {
                Some(scan) => scan.next().await,
                None => std::future::pending().await,
            }
        };
        let frame = async {
            match &mut self.channel {
                Some((at, channel)) => (*at, channel.recv().await),
                None => std::future::pending().await,
            }
        };
        let opened = async {
            match &mut self.opening {
                Some((at, opening)) => (*at, opening.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            (at, opened) = opened => self.opened(at, opened),
            heard = heard => match heard? {
                Heard::Advert { service_data, sender } => {
                    self.sender = Some(sender);
                    let now = now(self.begin);
                    if let Err(why) = self.ceremony.handle_advert(&service_data, now) {
                        self.ignore(why, service_data.len());
                    }
                }
                Heard::Lost(why) => {
                    info!("the radio is gone: {why}");
                    tell(Progress::RadioLost(why.to_string()));
                    self.radio_lost = Some(why);
                }
                Heard::Back => {
                    tell(Progress::RadioBack);
                    self.radio_lost = None;
                }
                _ => {}
            },
            (at, frame) = frame => match frame {
                Ok(frame) => {
                    debug!(bytes = frame.len(), "a message came");
                    self.ceremony.handle_frame(at, &frame, now(self.begin));
                }
                Err(end) => self.ended(at, &end).await,
            },
            () = sleep_until(self.begin + deadline) => {
                self.ceremony.handle_timeout(now(self.begin));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

fn now(begin: Instant) -> Now {
    Now {
        monotonic: begin.elapsed(),
        unix: unix_time(),
    }
}
