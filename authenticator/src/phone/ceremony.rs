//! One ceremony: the machine of the protocol, a radio, a relay, and the engine on a thread of its
//! own, so that the tunnel is served while a person thinks.

mod ways;

use std::io::{IsTerminal as _, stdin};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use handfast_proto::Now;
use handfast_proto::hybrid::qr::ScannedInvitation;
use handfast_proto::hybrid::tunnel::{RoutingId, TunnelDomain};
use handfast_proto::hybrid::{
    CeremonyError, ChannelFailure, DataChannel, DataChannels, PhoneAction, PhoneCeremony,
    PhoneConfig, PhoneEvent, PhoneLimits, Unanswerable,
};
use handfast_proto::trust::Method;
use handfast_transport::channel::{Channel, ChannelEnd};
use handfast_transport::radio::{Advertising, Heard, Listener, Radio, RadioError};
use handfast_transport::relay::{OpenError, RelayUrl};
use handfast_transport::tls::TlsTrust;
use rand_core::OsRng;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info};

use super::person::{Asking, Voice};
use super::serve_error::ServeError;
use crate::console::{channel_name, unix_time};
use crate::engine::{Authenticator, Computer, Conclusion, Context, Reply, Session};

/// The relay that this phone uses.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    pub(crate) url: RelayUrl,
    pub(crate) domain: TunnelDomain,
    pub(crate) trust: TlsTrust,
}

/// What an advert names that has to name a relay, if there is none.
const NO_RELAY: TunnelDomain = TunnelDomain(u16::MAX);

/// A phone that is ready for ceremonies.
pub(crate) struct Phone {
    pub(crate) authenticator: Option<Authenticator>,
    pub(crate) radio: Radio,
    pub(crate) relay: Option<Relay>,
    /// Whether it takes Bluetooth connections.
    pub(crate) ble: bool,
    /// How long a computer may take to hear the advert.
    pub(crate) patience: Duration,
}

type Opening = Pin<Box<dyn Future<Output = Result<(Channel, RoutingId), OpenError>>>>;
type Answered = (Authenticator, Session, Reply);

/// What one ceremony holds while it runs.
struct Running<'a> {
    phone: &'a mut Phone,
    ceremony: PhoneCeremony,
    begin: Instant,
    opening: Option<Opening>,
    tunnel: Option<Channel>,
    listener: Option<Listener>,
    /// The Bluetooth connection of a computer.
    link: Option<Channel>,
    advertising: Option<Advertising>,
    engine: Option<JoinHandle<Answered>>,
    session: Option<Session>,
    /// Set when the question that waits is none any more.
    withdrawn: Arc<AtomicBool>,
    voice: Voice,
    enough: Pin<Box<dyn Future<Output = ()>>>,
    /// Why the way that failed last did, in more words than the ceremony has.
    way_error: Option<ServeError>,
    /// Why nobody can hear the advert, as long as that is so.
    radio_lost: Option<RadioError>,
}

impl Phone {
    fn channels(&self) -> Result<DataChannels, Unanswerable> {
        match (&self.relay, self.ble) {
            (Some(_), true) => Ok(DataChannels::Both),
            (Some(_), false) => Ok(DataChannels::WebSocket),
            (None, true) => Ok(DataChannels::Ble),
            (None, false) => Err(Unanswerable::NoCommonChannel),
        }
    }

    /// Serves one invitation to its end. `ask` makes the owner who is asked; its flag is set when
    /// the computer has left. As long as no computer came, `enough` ends it.
    pub(crate) async fn serve(
        &mut self,
        invitation: ScannedInvitation,
        voice: Voice,
        ask: impl Fn(Arc<AtomicBool>) -> Asking,
        enough: impl Future<Output = ()> + 'static,
    ) -> Result<Conclusion, ServeError> {
        let get_info = self
            .authenticator
            .as_ref()
            .ok_or(ServeError::Stopped)?
            .get_info(&Computer::Unknown);
        let config = PhoneConfig {
            domain: self.relay.as_ref().map_or(NO_RELAY, |relay| relay.domain),
            channels: self.channels()?,
            get_info,
            limits: PhoneLimits {
                advert: self.patience,
                request: self.patience,
                ..PhoneLimits::default()
            },
        };
        let begin = Instant::now();
        let mut running = Running {
            ceremony: PhoneCeremony::start(config, invitation, now(begin))?,
            phone: self,
            begin,
            opening: None,
            tunnel: None,
            listener: None,
            link: None,
            advertising: None,
            engine: None,
            session: None,
            withdrawn: Arc::default(),
            voice,
            enough: Box::pin(enough),
            way_error: None,
            radio_lost: None,
        };
        let ended = running.run(&ask).await;
        running.withdrawn.store(true, Ordering::Relaxed);
        // The engine's thread has the vault: it must come back before the next ceremony.
        if let Some(engine) = running.engine.take() {
            let (authenticator, session, _) = engine.await.map_err(|_| ServeError::Stopped)?;
            running.phone.authenticator = Some(authenticator);
            running.session = Some(session);
        }
        let conclusion = running.conclude();
        ended.map(|()| conclusion)
    }
}

impl Running<'_> {
    /// Ends the engine's session, and tells what its owner should know.
    fn conclude(&mut self) -> Conclusion {
        let conclusion = match self.session.take() {
            Some(session) => session.conclude(),
            None => Conclusion::Nothing { note: None },
        };
        if let Conclusion::Nothing { note: Some(note) } = &conclusion {
            self.voice.say(note, json!({"event": "note", "text": note}));
        }
        conclusion
    }

    async fn run(&mut self, ask: &impl Fn(Arc<AtomicBool>) -> Asking) -> Result<(), ServeError> {
        loop {
            if let Some(action) = self.ceremony.poll_action() {
                self.act(action).await?;
            } else if let Some(event) = self.ceremony.poll_event() {
                if let Some(ended) = self.note(event, ask) {
                    return ended;
                }
            } else {
                self.wait().await?;
            }
        }
    }

    async fn act(&mut self, action: PhoneAction) -> Result<(), ServeError> {
        match action {
            PhoneAction::OpenTunnel { tunnel, .. } => self.open(tunnel),
            PhoneAction::ListenBle => self.listen().await,
            PhoneAction::Advertise(advert) => {
                info!(radio = %self.phone.radio, "advertising");
                self.advertising = Some(self.phone.radio.advertise(&advert).await?);
            }
            PhoneAction::StopAdvertising => {
                debug!("advertising stops");
                self.advertising = None;
                self.listener = None;
            }
            PhoneAction::Send(at, frame) => {
                debug!(bytes = frame.len(), "a message goes out");
                if let Some(channel) = self.channel(at)
                    && let Err(end) = channel.send(frame).await
                {
                    self.ended(at, &end);
                }
            }
            PhoneAction::Close(at) => {
                debug!(channel = ?at, "it is closed from here");
                let channel = match at {
                    DataChannel::WebSocket => {
                        self.opening = None;
                        self.tunnel.take()
                    }
                    DataChannel::Ble => self.link.take(),
                };
                if let Some(channel) = channel {
                    channel.close().await;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Says that one of two ways is left; nobody who has the relay misses Bluetooth.
    fn without(&mut self, channel: DataChannel, error: CeremonyError) {
        let why = self
            .way_error
            .take()
            .unwrap_or_else(|| error.into())
            .to_string();
        let words = match channel {
            DataChannel::WebSocket => format!("Going on by Bluetooth alone: {why}."),
            DataChannel::Ble => String::new(),
        };
        self.voice.say(
            &words,
            json!({"event": "without", "channel": channel_name(channel), "reason": why}),
        );
    }

    fn note(
        &mut self,
        event: PhoneEvent,
        ask: &impl Fn(Arc<AtomicBool>) -> Asking,
    ) -> Option<Result<(), ServeError>> {
        match event {
            PhoneEvent::Advertising => {
                let words = match stdin().is_terminal() {
                    true => "Looking for the computer… (Enter ends that)",
                    false => "Looking for the computer…",
                };
                self.voice.say(words, json!({"event": "advertising"}));
            }
            PhoneEvent::Without(channel, error) => self.without(channel, error),
            PhoneEvent::ClientConnected {
                channel,
                handshake_hash,
            } => {
                self.radio_lost = None;
                self.way_error = None;
                let method = if self.phone.radio.is_simulated() {
                    Method::Simulated
                } else {
                    Method::HybridQr
                };
                let context = Context {
                    computer: Computer::Unknown,
                    method: Some(method),
                    handshake_hash: Some(handshake_hash.0),
                };
                let authenticator = self.phone.authenticator.as_ref();
                self.session = authenticator.map(|authenticator| authenticator.session(context));
                self.voice.say(
                    "The computer is connected.",
                    json!({"event": "connected", "channel": channel_name(channel)}),
                );
            }
            PhoneEvent::Introduction(introduction) => self.introduced(&introduction),
            PhoneEvent::Request(request) => {
                info!(
                    command = request.first(),
                    bytes = request.len(),
                    "the computer asks"
                );
                let authenticator = self.phone.authenticator.take();
                let Some((mut authenticator, mut session)) = authenticator.zip(self.session.take())
                else {
                    return Some(Err(ServeError::Stopped));
                };
                // A question that lapsed is not this one.
                self.withdrawn = Arc::default();
                let mut person = ask(Arc::clone(&self.withdrawn));
                self.engine = Some(tokio::task::spawn_blocking(move || {
                    let unix = now(Instant::now()).unix;
                    let reply =
                        authenticator.handle(&mut session, &request, &mut person, &mut OsRng, unix);
                    (authenticator, session, reply)
                }));
            }
            PhoneEvent::Lapsed => self.withdrawn.store(true, Ordering::Relaxed),
            PhoneEvent::Finished => return Some(Ok(())),
            PhoneEvent::Failed(error) => {
                if let Some(radio) = self.radio_lost.take() {
                    return Some(Err(radio.into()));
                }
                return Some(Err(match (error, self.way_error.take()) {
                    (CeremonyError::Environment(ChannelFailure::Conflict), _) | (_, None) => {
                        error.into()
                    }
                    (_, Some(error)) => error,
                }));
            }
            _ => {}
        }
        None
    }

    /// The computer says which it is. That this device cannot read it says no more than silence.
    fn introduced(&mut self, introduction: &[u8]) {
        let authenticator = self.phone.authenticator.as_ref();
        if let Some((authenticator, session)) = authenticator.zip(self.session.as_mut()) {
            match authenticator.introduce(session, introduction) {
                Ok(()) => info!("the computer has introduced itself"),
                Err(error) => info!("the computer introduced itself in vain: {error}"),
            }
        }
    }

    fn radio(&mut self, news: Heard) {
        match news {
            Heard::Lost(why) => {
                self.voice.say(
                    &format!("No computer can hear this device for now: {why}."),
                    json!({"event": "radio-lost", "reason": why.to_string()}),
                );
                self.radio_lost = Some(why);
            }
            Heard::Back => {
                self.voice
                    .say("Bluetooth is back.", json!({"event": "radio-back"}));
                self.radio_lost = None;
            }
            _ => {}
        }
    }

    async fn wait(&mut self) -> Result<(), ServeError> {
        let deadline = self.ceremony.poll_timeout();
        let deadline = self.begin + deadline.unwrap_or(Duration::from_secs(3600));
        let is_alone = self.session.is_none() && self.engine.is_none();
        let enough = async {
            match is_alone {
                true => self.enough.as_mut().await,
                false => std::future::pending().await,
            }
        };
        let engine = async {
            match &mut self.engine {
                Some(engine) => engine.await,
                None => std::future::pending().await,
            }
        };
        let opened = async {
            match &mut self.opening {
                Some(opening) => opening.await,
                None => std::future::pending().await,
            }
        };
        let from_tunnel = frame(self.tunnel.as_mut());
        let is_linked = self.link.is_some();
        let linked = async {
            match &self.listener {
                Some(listener) if !is_linked => listener.accept().await,
                _ => std::future::pending().await,
            }
        };
        let from_link = frame(self.link.as_mut());
        let radio = async {
            match &mut self.advertising {
                Some(advertising) => advertising.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            news = radio => self.radio(news),
            () = enough => return Err(ServeError::Ended),
            answered = engine => {
                self.engine = None;
                let (authenticator, session, reply) = answered.map_err(|_| ServeError::Stopped)?;
                self.phone.authenticator = Some(authenticator);
                self.session = Some(session);
                info!(status = reply.bytes.first(), bytes = reply.bytes.len(), "the answer goes out");
                if let Some(note) = reply.note {
                    self.voice.say(&note, json!({"event": "note", "text": note}));
                }
                // A computer that left meanwhile gets no answer.
                let _ = self.ceremony.respond(reply.bytes, now(self.begin));
            }
            opened = opened => self.opened(opened),
            linked = linked => self.linked(linked),
            came = from_tunnel => self.came(DataChannel::WebSocket, came),
            came = from_link => self.came(DataChannel::Ble, came),
            () = sleep_until(deadline) => {
                self.ceremony.handle_timeout(&mut OsRng, now(self.begin));
            }
        }
        Ok(())
    }

    fn came(&mut self, at: DataChannel, came: Result<Vec<u8>, ChannelEnd>) {
        match came {
            Ok(frame) => {
                debug!(bytes = frame.len(), "a message came");
                let now = now(self.begin);
                self.ceremony.handle_frame(at, &frame, &mut OsRng, now);
            }
            Err(end) => self.ended(at, &end),
        }
    }
}

/// Waits for what comes, if there is where it could come from.
async fn frame(channel: Option<&mut Channel>) -> Result<Vec<u8>, ChannelEnd> {
    match channel {
        Some(channel) => channel.recv().await,
        None => std::future::pending().await,
    }
}

fn now(begin: Instant) -> Now {
    Now {
        monotonic: begin.elapsed(),
        unix: unix_time(),
    }
}
