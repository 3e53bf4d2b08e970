//! One ceremony: the machine of the protocol, a radio, a relay, and the engine on a thread of its
//! own, so that the tunnel is served while a person thinks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use handfast_proto::Now;
use handfast_proto::hybrid::qr::ScannedInvitation;
use handfast_proto::hybrid::tunnel::{TunnelDomain, TunnelId};
use handfast_proto::hybrid::{
    CeremonyError, ChannelFailure, PhoneAction, PhoneCeremony, PhoneConfig, PhoneEvent,
    PhoneLimits, Unanswerable,
};
use handfast_proto::trust::Method;
use handfast_transport::channel::{Channel, ChannelEnd};
use handfast_transport::radio::{Advertising, Heard, Radio, RadioError};
use handfast_transport::relay::{OpenError, RelayUrl, open_new};
use handfast_transport::tls::TlsTrust;
use rand_core::OsRng;
use serde_json::json;
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info};

use super::person::{Asking, Voice};
use crate::engine::{Authenticator, Computer, Conclusion, Context, Reply, Session};

/// The relay that this phone uses.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    pub(crate) url: RelayUrl,
    pub(crate) domain: TunnelDomain,
}

/// Why a ceremony did not end well.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ServeError {
    /// The protocol.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// The relay.
    #[error(transparent)]
    Relay(#[from] OpenError),
    /// The radio.
    #[error(transparent)]
    Radio(#[from] RadioError),
    /// The code cannot be answered.
    #[error(transparent)]
    Unanswerable(#[from] Unanswerable),
    /// The engine's thread ended in the middle.
    #[error("the authenticator stopped in the middle of an answer")]
    Stopped,
}

/// A phone that is ready for ceremonies.
pub(crate) struct Phone {
    pub(crate) authenticator: Option<Authenticator>,
    pub(crate) radio: Radio,
    pub(crate) relay: Relay,
    pub(crate) trust: TlsTrust,
    /// How long a computer may take to hear the advert.
    pub(crate) patience: Duration,
}

type Answered = (Authenticator, Session, Reply);

/// What one ceremony holds while it runs.
struct Running<'a> {
    phone: &'a mut Phone,
    ceremony: PhoneCeremony,
    begin: Instant,
    channel: Option<Channel>,
    advertising: Option<Advertising>,
    engine: Option<JoinHandle<Answered>>,
    session: Option<Session>,
    voice: Voice,
    open_error: Option<OpenError>,
    /// Why nobody can hear the advert, as long as that is so.
    radio_lost: Option<RadioError>,
}

impl Phone {
    /// Serves one invitation to its end. `ask` makes the owner who is asked; its flag is set when
    /// the computer has left.
    pub(crate) async fn serve(
        &mut self,
        invitation: ScannedInvitation,
        voice: Voice,
        ask: impl Fn(Arc<AtomicBool>) -> Asking,
    ) -> Result<Conclusion, ServeError> {
        let get_info = self
            .authenticator
            .as_ref()
            .ok_or(ServeError::Stopped)?
            .get_info();
        let config = PhoneConfig {
            domain: self.relay.domain,
            get_info,
            limits: PhoneLimits {
                advert: self.patience,
                ..PhoneLimits::default()
            },
        };
        let begin = Instant::now();
        let mut running = Running {
            ceremony: PhoneCeremony::start(config, invitation, now(begin))?,
            phone: self,
            begin,
            channel: None,
            advertising: None,
            engine: None,
            session: None,
            voice,
            open_error: None,
            radio_lost: None,
        };
        let withdrawn = Arc::new(AtomicBool::new(false));
        let ended = running.run(&ask, &withdrawn).await;
        withdrawn.store(true, Ordering::Relaxed);
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

    async fn run(
        &mut self,
        ask: &impl Fn(Arc<AtomicBool>) -> Asking,
        withdrawn: &Arc<AtomicBool>,
    ) -> Result<(), ServeError> {
        loop {
            if let Some(action) = self.ceremony.poll_action() {
                self.act(action).await?;
            } else if let Some(event) = self.ceremony.poll_event() {
                if let Some(ended) = self.note(event, ask, withdrawn) {
                    return ended;
                }
            } else {
                self.wait().await?;
            }
        }
    }

    async fn act(&mut self, action: PhoneAction) -> Result<(), ServeError> {
        match action {
            PhoneAction::OpenTunnel { tunnel, .. } => self.open(tunnel).await,
            PhoneAction::Advertise(advert) => {
                info!(radio = %self.phone.radio, "advertising");
                self.advertising = Some(self.phone.radio.advertise(&advert).await?);
            }
            PhoneAction::StopAdvertising => {
                debug!("advertising stops");
                self.advertising = None;
            }
            PhoneAction::Send(frame) => {
                debug!(bytes = frame.len(), "a message goes out");
                if let Some(channel) = &mut self.channel
                    && let Err(end) = channel.send(frame).await
                {
                    self.ended(&end);
                }
            }
            PhoneAction::Close => {
                debug!("the tunnel is closed from here");
                if let Some(channel) = self.channel.take() {
                    channel.close().await;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn open(&mut self, tunnel: TunnelId) {
        let Phone { relay, trust, .. } = &*self.phone;
        info!(relay = %relay.url, "creating a tunnel");
        match open_new(&relay.url, &tunnel, trust).await {
            Ok((channel, routing)) => {
                self.channel = Some(channel);
                self.ceremony
                    .handle_channel_opened(routing, &mut OsRng, now(self.begin));
            }
            Err(error) => {
                info!(%error, "no tunnel");
                self.ceremony
                    .handle_channel_failed(error.failure(), now(self.begin));
                self.open_error = Some(error);
            }
        }
    }

    fn note(
        &mut self,
        event: PhoneEvent,
        ask: &impl Fn(Arc<AtomicBool>) -> Asking,
        withdrawn: &Arc<AtomicBool>,
    ) -> Option<Result<(), ServeError>> {
        match event {
            PhoneEvent::Advertising => {
                self.voice
                    .say("Looking for the computer…", json!({"event": "advertising"}));
            }
            PhoneEvent::ClientConnected { handshake_hash } => {
                self.radio_lost = None;
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
                self.voice
                    .say("The computer is connected.", json!({"event": "connected"}));
            }
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
                let mut person = ask(Arc::clone(withdrawn));
                self.engine = Some(tokio::task::spawn_blocking(move || {
                    let unix = now(Instant::now()).unix;
                    let reply =
                        authenticator.handle(&mut session, &request, &mut person, &mut OsRng, unix);
                    (authenticator, session, reply)
                }));
            }
            PhoneEvent::Lapsed => withdrawn.store(true, Ordering::Relaxed),
            PhoneEvent::Finished => return Some(Ok(())),
            PhoneEvent::Failed(error) => {
                if let Some(radio) = self.radio_lost.take() {
                    return Some(Err(radio.into()));
                }
                return Some(Err(match (error, self.open_error.take()) {
                    (CeremonyError::Environment(ChannelFailure::Conflict), _) | (_, None) => {
                        error.into()
                    }
                    (_, Some(error)) => error.into(),
                }));
            }
            _ => {}
        }
        None
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

    /// The tunnel is gone.
    fn ended(&mut self, end: &ChannelEnd) {
        debug!("the tunnel is closed: {end}");
        self.channel = None;
        self.ceremony
            .handle_channel_closed(end.closed(), now(self.begin));
    }

    async fn wait(&mut self) -> Result<(), ServeError> {
        let deadline = self.ceremony.poll_timeout();
        let deadline = self.begin + deadline.unwrap_or(Duration::from_secs(3600));
        let engine = async {
            match &mut self.engine {
                Some(engine) => engine.await,
                None => std::future::pending().await,
            }
        };
        let frame = async {
            match &mut self.channel {
                Some(channel) => channel.recv().await,
                None => std::future::pending().await,
            }
        };
        let radio = async {
            match &mut self.advertising {
                Some(advertising) => advertising.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            news = radio => self.radio(news),
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
            frame = frame => match frame {
                Ok(frame) => {
                    debug!(bytes = frame.len(), "a message came");
                    self.ceremony.handle_frame(&frame, &mut OsRng, now(self.begin));
                }
                Err(end) => self.ended(&end),
            },
            () = sleep_until(deadline) => self.ceremony.handle_timeout(now(self.begin)),
        }
        Ok(())
    }
}

fn now(begin: Instant) -> Now {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Now {
        monotonic: begin.elapsed(),
        unix: unix.unwrap_or_default().as_secs(),
    }
}
