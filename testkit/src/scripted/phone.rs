use core::time::Duration;

use handfast_proto::Now;
use handfast_proto::hybrid::advert::{self, AdvertError, Advertisement, EidPlaintext};
use handfast_proto::hybrid::handshake::respond;
use handfast_proto::hybrid::qr::{QrError, ScannedInvitation};
use handfast_proto::hybrid::tunnel::RoutingId;
use handfast_proto::hybrid::{
    ApiMisuse, CeremonyError, ChannelFailure, ClientAction, ClientCeremony, ClientConfig,
    ClientEvent, Closed, DataChannel, Psm,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRngCore, RngCore, SeedableRng};

use super::stage::{Act, Machine, PSM, START, Stage, bare, other_stream};
use super::{Record, ScriptError, Step};
use crate::pair::DOMAIN;

/// A phone that does what a script says, and the client's ceremony that has to do with it.
pub struct ScriptedPhone {
    stage: Stage<ClientCeremony>,
    invitation: ScannedInvitation,
    plaintext: EidPlaintext,
    rng: ChaCha20Rng,
}

impl ScriptedPhone {
    /// Starts a client's ceremony; the phone has read its code.
    ///
    /// # Errors
    ///
    /// [`QrError`] if the code cannot be read, which would be the client's fault.
    pub fn new(seed: u64, config: ClientConfig) -> Result<Self, QrError> {
        let mut machine_rng = ChaCha20Rng::seed_from_u64(seed);
        let client = ClientCeremony::start(config, &mut machine_rng, START);
        let invitation = ScannedInvitation::parse(&client.url().unwrap_or_default())?;
        let mut rng = other_stream(seed);
        let (mut nonce, mut routing) = ([0; 10], [0; 3]);
        rng.fill_bytes(&mut nonce);
        rng.fill_bytes(&mut routing);
        Ok(Self {
            stage: Stage::new(client, machine_rng, START),
            invitation,
            plaintext: EidPlaintext {
                nonce,
                routing: RoutingId(routing),
                domain: DOMAIN,
            },
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
                Step::Advertise => drop(self.hear(&self.advert())),
                Step::Handshake => {
                    let message1 = self.stage.take()?;
                    let psk = self.invitation.secret().psk(&self.plaintext.to_bytes());
                    let key = self.invitation.key();
                    let (message2, established) = respond(key, &psk, &message1, &mut self.rng)?;
                    self.stage.channel = Some(established.channel);
                    self.stage.say(&message2);
                }
                step => self.stage.step(step)?,
            }
        }
        Ok(())
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

    /// Returns the phone's advert; it takes Bluetooth connections if the client offers any.
    pub fn advert(&self) -> Vec<u8> {
        let psm = Psm::new(PSM);
        let offered = self.invitation.channels().contain(DataChannel::Ble);
        let advertisement = Advertisement {
            eid: advert::seal(&self.invitation.secret().eid_key(), &self.plaintext),
            psm: psm.filter(|_| offered),
        };
        advertisement.service_data()
    }

    /// Lets the client hear an advert, of whatever origin.
    ///
    /// # Errors
    ///
    /// [`AdvertError`] tells why the client ignores it.
    pub fn hear(&mut self, service_data: &[u8]) -> Result<(), AdvertError> {
        let heard = self
            .stage
            .machine
            .handle_advert(service_data, self.stage.now);
        self.stage.drain();
        heard
    }

    /// Returns the client's ceremony.
    pub fn client(&self) -> &ClientCeremony {
        &self.stage.machine
    }

    /// Returns what the client did.
    pub fn record(&self) -> &Record<ClientEvent> {
        &self.stage.record
    }

    /// Returns how the client's ceremony ended, if it did.
    pub fn end(&self) -> Option<Result<(), CeremonyError>> {
        let mut events = self.record().events.iter();
        events.find_map(|event| match event {
            ClientEvent::Finished => Some(Ok(())),
            ClientEvent::Failed(error) => Some(Err(*error)),
            _ => None,
        })
    }

    /// Returns the time that has passed.
    pub fn elapsed(&self) -> Duration {
        self.stage.now.monotonic
    }
}

impl Machine for ClientCeremony {
    type Event = ClientEvent;

    fn opened(&mut self, at: DataChannel, rng: &mut ChaCha20Rng, now: Now) {
        self.handle_channel_opened(at, rng, now);
    }

    fn linked(&mut self, _now: Now) -> Option<()> {
        None
    }

    fn refused(
        &mut self,
        at: DataChannel,
        failure: ChannelFailure,
        _rng: &mut ChaCha20Rng,
        now: Now,
    ) {
        self.handle_channel_failed(at, failure, now);
    }

    fn frame(&mut self, at: DataChannel, frame: &[u8], _rng: &mut dyn CryptoRngCore, now: Now) {
        self.handle_frame(at, frame, now);
    }

    fn closed(&mut self, at: DataChannel, closed: Closed, _rng: &mut ChaCha20Rng, now: Now) {
        self.handle_channel_closed(at, closed, now);
    }

    fn timeout(&mut self, _rng: &mut ChaCha20Rng, now: Now) {
        self.handle_timeout(now);
    }

    fn deadline(&self) -> Option<Duration> {
        self.poll_timeout()
    }

    fn ask(&mut self, request: Vec<u8>, now: Now) -> Option<Result<(), ApiMisuse>> {
        Some(self.request(request, now))
    }

    fn answer(&mut self, _reply: Vec<u8>, _now: Now) -> Option<Result<(), ApiMisuse>> {
        None
    }

    fn introduce(&mut self, introduction: &[u8]) -> Option<Result<(), ApiMisuse>> {
        Some(Self::introduce(self, Some(introduction)))
    }

    fn shutdown(&mut self, now: Now) -> Option<()> {
        Self::shutdown(self, now);
        Some(())
    }

    fn cancel(&mut self, now: Now) {
        Self::cancel(self, now);
    }

    fn next_action(&mut self) -> Option<Act> {
        self.poll_action().map(|action| match action {
            ClientAction::Close(_) => Act::Close,
            ClientAction::OpenBle { .. } => Act::Link,
            ClientAction::OpenTunnel { .. } => Act::Open,
            ClientAction::Send(at, frame) => Act::Send(bare(at, frame)),
            ClientAction::StartScan => Act::Radio(true),
            ClientAction::StopScan => Act::Radio(false),
            _ => Act::Other,
        })
    }

    fn next_event(&mut self) -> Option<ClientEvent> {
        self.poll_event()
    }
}
