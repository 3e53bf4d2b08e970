//! A phone answers a few computers one after the other, and they get what its owner agreed to.
#![no_main]

mod check;
mod client;
mod contact;
mod extension;
mod introduction;
mod newcomer;
mod person;
mod phone;
mod request;
mod value;

use handfast_authenticator::engine::Session;
use handfast_proto::ctap2::client_pin;
use libfuzzer_sys::arbitrary::{self, Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::check::{Exchange, Memory};
use crate::client::Client;
use crate::contact::Contact;
use crate::introduction::{Heard, Introduction};
use crate::newcomer::Newcomer;
use crate::person::{Owner, Reaction};
use crate::phone::{Phone, Setup};
use crate::request::Request;
use crate::value::Rare;

/// Requests of one input, above which what remains of it is not read.
const MOST: usize = 24;

/// One phone, and what happens to it.
#[derive(Debug)]
struct Scenario {
    setup: Setup,
    contact: Contact,
    steps: Vec<Step>,
}

impl<'a> Arbitrary<'a> for Scenario {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut scenario = Self {
            setup: u.arbitrary()?,
            contact: u.arbitrary()?,
            steps: Vec::new(),
        };
        while !u.is_empty() && scenario.steps.len() < MOST {
            scenario.steps.push(u.arbitrary()?);
        }
        Ok(scenario)
    }
}

/// A request, and what is around it.
#[derive(Arbitrary, Debug)]
struct Step {
    request: Request,
    reaction: Reaction,
    another: Rare<Contact>,
    introduction: Rare<Introduction>,
    wait: Rare<Wait>,
}

/// What a clock does between two requests.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Wait {
    Back(u8),
    Minute(u8),
    Set(u64),
}

impl Wait {
    fn after(self, now: u64) -> u64 {
        match self {
            Self::Back(seconds) => now.saturating_sub(seconds.into()),
            Self::Minute(seconds) => now.saturating_add(u64::from(seconds % 60)),
            Self::Set(to) => to,
        }
    }
}

/// A phone and all who have to do with it.
struct Scene {
    phone: Phone,
    contact: Contact,
    session: Session,
    /// What its first introduction was worth, if there was one.
    heard: Option<Heard>,
    client: Client,
    newcomer: Newcomer,
    memory: Memory,
    now: u64,
    /// The phone's.
    rng: ChaCha8Rng,
}

impl Scene {
    fn new(setup: Setup, contact: Contact) -> Self {
        let phone = Phone::new(setup);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        Self {
            contact,
            session: phone.authenticator.session(contact.context()),
            heard: None,
            newcomer: Newcomer::new(&mut rng),
            client: Client::new(rng),
            memory: Memory::default(),
            now: 1000,
            phone,
            rng: ChaCha8Rng::seed_from_u64(2),
        }
    }

    fn play(&mut self, step: &Step) {
        if let Some(contact) = step.another.0 {
            self.meet(contact);
        }
        if let Some(introduction) = &step.introduction.0 {
            self.introduce(introduction);
        }
        self.now = step.wait.0.map_or(self.now, |wait| wait.after(self.now));
        let request = self.write(&step.request);
        let before = self.phone.usable();
        let heard = self.heard.unwrap_or(Heard::Nothing);
        let asker = heard.asker(self.newcomer.keys(), &self.phone.authenticator, self.contact);
        let mut owner = Owner::new(step.reaction, asker);
        let authenticator = &mut self.phone.authenticator;
        let (session, rng) = (&mut self.session, &mut self.rng);
        let reply = authenticator.handle(session, &request, &mut owner, rng, self.now);
        let exchange = Exchange {
            request: &request,
            reply: &reply.bytes,
            asked: owner.asked(),
            contact: self.contact,
            before,
            phone: &self.phone,
            client: &self.client,
            now: self.now,
        };
        if let Some(made) = exchange.check(&mut self.memory) {
            self.client.remember(made);
        }
        self.go_on(&step.request, &request, &reply.bytes);
    }

    /// Lets the newcomer, or who passes for one, introduce himself.
    fn introduce(&mut self, introduction: &Introduction) {
        let phone = &self.phone.authenticator;
        let (keys, rng) = (self.newcomer.keys(), &mut self.client.rng);
        let (said, worth) = introduction.say(keys, phone, self.contact, rng);
        let read = phone.introduce(&mut self.session, &said);
        let counts = self.heard.is_none() && self.contact.has_session();
        assert_eq!(read.is_ok(), counts && worth == Heard::Honest);
        if counts {
            self.heard = Some(worth);
        }
    }

    fn meet(&mut self, contact: Contact) {
        self.contact = contact;
        self.heard = None;
        self.newcomer.leave();
        let next = self.phone.authenticator.session(contact.context());
        let session = std::mem::replace(&mut self.session, next);
        self.memory.check_end(&session.conclude());
    }

    fn write(&mut self, request: &Request) -> Vec<u8> {
        if let Request::TrustGroup(step, faults) = request {
            let phone = &self.phone.authenticator;
            let (newcomer, contact) = (&mut self.newcomer, self.contact);
            return newcomer.write((step, faults), phone, contact, &mut self.client);
        }
        let written = request.write(&mut self.client);
        written.expect("a request of a client")
    }

    /// Lets those who asked go on with the answer.
    fn go_on(&mut self, request: &Request, written: &[u8], reply: &[u8]) {
        if let Request::TrustGroup(newcomer::Step::Next(_), _) = request {
            let phone = &self.phone.authenticator;
            self.newcomer.take(reply, phone, self.contact);
        }
        if written == client_pin::Request::KeyAgreement.encode()
            && let Some((0, cbor)) = reply.split_first()
        {
            self.client.agree(cbor);
        }
    }
}

fuzz_target!(|scenario: Scenario| {
    let mut scene = Scene::new(scenario.setup, scenario.contact);
    for step in &scenario.steps {
        scene.play(step);
    }
    scene.phone.assert_durable();
    scene.memory.check_end(&scene.session.conclude());
});
