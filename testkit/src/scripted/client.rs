use core::time::Duration;

use handfast_proto::Now;
use handfast_proto::cbor::Map;
use handfast_proto::hybrid::advert;
use handfast_proto::hybrid::handshake::Initiator;
use handfast_proto::hybrid::keys::{Psk, QrSecret};
use handfast_proto::hybrid::qr::ScannedInvitation;
use handfast_proto::hybrid::tunnel::RoutingId;
use handfast_proto::hybrid::{
    ApiMisuse, CeremonyError, ChannelFailure, Closed, DataChannel, PhoneAction, PhoneCeremony,
    PhoneConfig, PhoneEvent, Psm,
};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRngCore, RngCore, SeedableRng};

use super::stage::{Act, Machine, PSM, START, Stage, bare, other_stream};
use super::{Record, ScriptError, Step};
use crate::pair::PairError;

/// A client that does what a script says, and the phone's ceremony that has to do with it.
pub struct ScriptedClient {
    stage: Stage<PhoneCeremony>,
    key: p256::SecretKey,
    secret: QrSecret,
    initiator: Option<Initiator>,
    rng: ChaCha20Rng,
}

impl ScriptedClient {
    /// Makes a QR code and starts a phone's ceremony with it. `alter` changes the code's map, whose
    /// members 0 to 5 are those of any client.
    ///
    /// # Errors
    ///
    /// [`PairError`] if the phone cannot read or answer the code.
    pub fn new(
        seed: u64,
        config: PhoneConfig,
        alter: impl FnOnce(Map) -> Map,
    ) -> Result<Self, PairError> {
        let mut rng = other_stream(seed);
        let key = p256::SecretKey::random(&mut rng);
        let secret = QrSecret::generate(&mut rng);
        let point = key.public_key().to_encoded_point(true);
        let map = Map::new()
            .with(0, point.as_bytes())
            .with(1, secret.expose())
            .with(2, 2)
            .with(3, START.unix)
            .with(4, false)
            .with(5, "ga");
        let invitation = ScannedInvitation::parse_cbor(&alter(map).encode())?;
        let phone = PhoneCeremony::start(config, invitation, START)?;
        Ok(Self {
            stage: Stage::new(phone, ChaCha20Rng::seed_from_u64(seed), START),
            key,
            secret,
            initiator: None,
            rng,
        })
    }

    /// Goes through these steps.
    ///
    /// # Errors
    ///
    /// [`ScriptError`] if a step is not possible.
    pub fn play(&mut self, steps: impl IntoIterator<Item = Step>) -> Result<(), ScriptError> {
        for step in steps {
            match step {
                Step::Handshake => {
                    let psk = self.psk().ok_or(ScriptError::Misplaced)?;
                    self.handshake(&psk)?;
                }
                Step::Expect if self.initiator.is_some() => {
                    let message2 = self.stage.take()?;
                    if let Some(initiator) = self.initiator.take() {
                        self.stage.channel = Some(initiator.finish(&message2)?.channel);
                    }
                }
                step => self.stage.step(step)?,
            }
        }
        Ok(())
    }

    /// Sends message 1 under another pre-shared key than the one of the phone's last advert.
    ///
    /// # Errors
    ///
    /// [`ScriptError`] if the message cannot be made.
    pub fn handshake(&mut self, psk: &Psk) -> Result<(), ScriptError> {
        let (initiator, message1) = Initiator::start(&self.key, psk, &mut self.rng)?;
        self.initiator = Some(initiator);
        self.stage.say(&message1);
        Ok(())
    }

    /// Returns the pre-shared key that the phone's last advert gives.
    fn psk(&self) -> Option<Psk> {
        let advert = self.record().adverts.last()?;
        let opened = advert::open(&self.secret.eid_key(), advert).ok()?;
        Some(self.secret.psk(&opened.to_bytes()))
    }

    /// Pads and encrypts the scripted side's next message, to be sent as a frame at any time, or
    /// never.
    ///
    /// # Errors
    ///
    /// [`ScriptError`] before the handshake.
    pub fn seal(&mut self, message: &[u8]) -> Result<Vec<u8>, ScriptError> {
        self.stage.seal(message)
    }

    /// Lets time pass until the ceremony waits for nothing any more.
    pub fn rest(&mut self) {
        self.stage.rest();
    }

    /// Returns the secret of the QR code.
    pub fn secret(&self) -> &QrSecret {
        &self.secret
    }

    /// Returns the phone's ceremony.
    pub fn phone(&self) -> &PhoneCeremony {
        &self.stage.machine
    }

    /// Returns what the phone did.
    pub fn record(&self) -> &Record<PhoneEvent> {
        &self.stage.record
    }

    /// Returns how the phone's ceremony ended, if it did.
    pub fn end(&self) -> Option<Result<(), CeremonyError>> {
        let mut events = self.record().events.iter();
        events.find_map(|event| match event {
            PhoneEvent::Finished => Some(Ok(())),
            PhoneEvent::Failed(error) => Some(Err(*error)),
            _ => None,
        })
    }

    /// Returns the time that has passed.
    pub fn elapsed(&self) -> Duration {
        self.stage.now.monotonic
    }
}

impl Machine for PhoneCeremony {
    type Event = PhoneEvent;

    fn opened(&mut self, at: DataChannel, rng: &mut ChaCha20Rng, now: Now) {
        match at {
            DataChannel::WebSocket => {
                let mut routing = [0; 3];
                rng.fill_bytes(&mut routing);
                self.handle_tunnel_opened(RoutingId(routing), rng, now);
            }
            DataChannel::Ble => {
                if let Some(psm) = Psm::new(PSM) {
                    self.handle_ble_listening(psm, rng, now);
                }
            }
        }
    }

    fn linked(&mut self, now: Now) -> Option<()> {
        self.handle_ble_linked(now);
        Some(())
    }

    fn refused(
        &mut self,
        at: DataChannel,
        failure: ChannelFailure,
        rng: &mut ChaCha20Rng,
        now: Now,
    ) {
        self.handle_channel_failed(at, failure, rng, now);
    }

    fn frame(&mut self, at: DataChannel, frame: &[u8], rng: &mut dyn CryptoRngCore, now: Now) {
        self.handle_frame(at, frame, rng, now);
    }

    fn closed(&mut self, at: DataChannel, closed: Closed, rng: &mut ChaCha20Rng, now: Now) {
        self.handle_channel_closed(at, closed, rng, now);
    }

    fn timeout(&mut self, rng: &mut ChaCha20Rng, now: Now) {
        self.handle_timeout(rng, now);
    }

    fn deadline(&self) -> Option<Duration> {
        self.poll_timeout()
    }

    fn ask(&mut self, _request: Vec<u8>, _now: Now) -> Option<Result<(), ApiMisuse>> {
        None
    }

    fn answer(&mut self, reply: Vec<u8>, now: Now) -> Option<Result<(), ApiMisuse>> {
        Some(self.respond(reply, now))
    }

    fn introduce(&mut self, _introduction: &[u8]) -> Option<Result<(), ApiMisuse>> {
        None
    }

    fn shutdown(&mut self, _now: Now) -> Option<()> {
        None
    }

    fn cancel(&mut self, now: Now) {
        Self::cancel(self, now);
    }

    fn next_action(&mut self) -> Option<Act> {
        self.poll_action().map(|action| match action {
            PhoneAction::Advertise(advert) => Act::Advert(advert.service_data()),
            PhoneAction::Close(_) => Act::Close,
            PhoneAction::ListenBle => Act::Link,
            PhoneAction::OpenTunnel { .. } => Act::Open,
            PhoneAction::Send(at, frame) => Act::Send(bare(at, frame)),
            PhoneAction::StopAdvertising => Act::Radio(false),
            _ => Act::Other,
        })
    }

    fn next_event(&mut self) -> Option<PhoneEvent> {
        self.poll_event()
    }
}
