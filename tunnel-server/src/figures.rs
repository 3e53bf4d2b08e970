//! What the relay counts, for those who watch it. Nothing of it tells a peer or a tunnel.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::request::Refusal;

/// Where a tunnel is in its life.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// Its phone waits for a client.
    Waiting,
    /// Both are there.
    Joined,
}

/// How a tunnel, or a connection that became none, ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Ending {
    /// A side closed it.
    Closed,
    /// A side vanished.
    Dropped,
    /// A side broke a rule.
    Broke,
    /// No client came.
    Unpaired,
    /// It lived as long as it may.
    Expired,
    /// The relay ended.
    Stopped,
}

impl Ending {
    const ALL: [Self; 6] = [
        Self::Closed,
        Self::Dropped,
        Self::Broke,
        Self::Unpaired,
        Self::Expired,
        Self::Stopped,
    ];
}

impl EncodeLabelValue for State {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        EncodeLabelValue::encode(
            &match self {
                Self::Waiting => "waiting",
                Self::Joined => "joined",
            },
            encoder,
        )
    }
}

impl EncodeLabelValue for Ending {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        EncodeLabelValue::encode(
            &match self {
                Self::Closed => "closed",
                Self::Dropped => "dropped",
                Self::Broke => "broke_a_rule",
                Self::Unpaired => "unpaired",
                Self::Expired => "expired",
                Self::Stopped => "stopped",
            },
            encoder,
        )
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfState {
    state: State,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfEnding {
    ending: Ending,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfReason {
    reason: &'static str,
}

/// The reason under which connections are counted that do not come from a proxy, though only proxies
/// are served.
const NO_PROXY: &str = "no_proxy";

/// The figures of one relay process.
#[derive(Debug)]
pub struct Figures {
    registry: Registry,
    waiting: Gauge,
    joined: Gauge,
    endings: Family<OfEnding, Counter>,
    refusals: Family<OfReason, Counter>,
    connections: Counter,
    unopened: Counter,
    unaccepted: Counter,
    messages: Counter,
    bytes: Counter,
    setting_up: Histogram,
    until_joined: Histogram,
    openings: Gauge,
    draining: Gauge,
    descriptors: Gauge,
    most_descriptors: Gauge,
    resident: Gauge,
    processor: Gauge<f64, AtomicU64>,
}

/// Counts a tunnel in a state, until it is dropped.
#[derive(Debug)]
pub struct InState(Gauge<i64, AtomicI64>);

impl Drop for InState {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self::new()
    }
}

impl Figures {
    /// Figures that are all zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("handfast_relay");
        let tunnels = Family::<OfState, Gauge>::default();
        let in_state = |state| tunnels.get_or_create(&OfState { state }).clone();
        let (waiting, joined) = (in_state(State::Waiting), in_state(State::Joined));
        registry.register("tunnels", "Tunnels that there are now", tunnels.clone());
        // From a millisecond to two minutes.
        let setting_up = Histogram::new(exponential_buckets(0.001, 2.0, 14));
        let until_joined = Histogram::new(exponential_buckets(0.125, 2.0, 11));
        registry.register_with_unit(
            "opening",
            "From the connection to the answer to its request, TLS included",
            Unit::Seconds,
            setting_up.clone(),
        );
        registry.register_with_unit(
            "waiting",
            "From the answer to a phone to the arrival of its client",
            Unit::Seconds,
            until_joined.clone(),
        );
        let figures = Self {
            waiting,
            joined,
            setting_up,
            until_joined,
            endings: Family::default(),
            refusals: Family::default(),
            connections: Counter::default(),
            unopened: Counter::default(),
            unaccepted: Counter::default(),
            messages: Counter::default(),
            bytes: Counter::default(),
            openings: Gauge::default(),
            draining: Gauge::default(),
            descriptors: Gauge::default(),
            most_descriptors: Gauge::default(),
            resident: Gauge::default(),
            processor: Gauge::default(),
            registry,
        };
        // What is not there cannot be seen to grow.
        for reason in Refusal::ALL
            .map(Refusal::name)
            .into_iter()
            .chain([NO_PROXY])
        {
            let _ = figures.refusals.get_or_create(&OfReason { reason });
        }
        for ending in Ending::ALL {
            let _ = figures.endings.get_or_create(&OfEnding { ending });
        }
        figures.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        let mut count = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        count(
            "connections",
            "Connections that were accepted",
            &self.connections,
        );
        count(
            "unopened_connections",
            "Connections that ended, or were dropped, before their request",
            &self.unopened,
        );
        count(
            "accept_failures",
            "Connections that could not be accepted",
            &self.unaccepted,
        );
        count("messages", "Messages that were begun", &self.messages);
        count(
            "message_bytes",
            "Bytes of messages, as far as they were announced",
            &self.bytes,
        );
        registry.register("tunnel_ends", "Tunnels that ended", self.endings.clone());
        registry.register(
            "refusals",
            "Requests that were refused",
            self.refusals.clone(),
        );
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| {
            registry.register(name, help, gauge.clone());
        };
        gauge(
            "opening_connections",
            "Connections that have not yet sent their request",
            &self.openings,
        );
        gauge(
            "draining",
            "1 while the relay makes no new tunnels, because it ends",
            &self.draining,
        );
        gauge("open_descriptors", "Descriptors in use", &self.descriptors);
        gauge(
            "max_descriptors",
            "Descriptors that may be in use",
            &self.most_descriptors,
        );
        gauge(
            "resident_memory_bytes",
            "Memory that the process has",
            &self.resident,
        );
        registry.register_with_unit(
            "processor",
            "Processor time that the process used",
            Unit::Seconds,
            self.processor.clone(),
        );
        self
    }

    /// A connection came.
    pub fn connected(&self) {
        self.connections.inc();
    }

    /// A connection ended before its request.
    pub fn unopened(&self) {
        self.unopened.inc();
    }

    /// A connection was closed at once, because it did not come from a proxy that is believed.
    pub fn no_proxy(&self) {
        let reason = OfReason { reason: NO_PROXY };
        self.refusals.get_or_create(&reason).inc();
    }

    /// A connection could not be accepted.
    pub fn unaccepted(&self) {
        self.unaccepted.inc();
    }

    /// A request was refused.
    pub fn refused(&self, refusal: Refusal) {
        let reason = OfReason {
            reason: refusal.name(),
        };
        self.refusals.get_or_create(&reason).inc();
    }

    /// A request was answered with 101, this long after its connection came.
    pub fn opened(&self, after: Duration) {
        self.setting_up.observe(after.as_secs_f64());
    }

    /// A phone waits for its client.
    pub fn waiting(&self) -> InState {
        self.waiting.inc();
        InState(self.waiting.clone())
    }

    /// A phone's client came, this long after the phone.
    pub fn joined(&self, after: Duration) -> InState {
        self.until_joined.observe(after.as_secs_f64());
        self.joined.inc();
        InState(self.joined.clone())
    }

    /// Messages and bytes passed.
    pub fn passed(&self, messages: u64, bytes: u64) {
        self.messages.inc_by(messages);
        self.bytes.inc_by(bytes);
    }

    /// A tunnel ended.
    pub fn ended(&self, ending: Ending) {
        self.endings.get_or_create(&OfEnding { ending }).inc();
    }

    /// No new tunnels are made from now on.
    pub fn drains(&self) {
        self.draining.set(1);
    }

    /// Returns all figures in the text form of OpenMetrics.
    ///
    /// # Errors
    ///
    /// None but that of a formatter that refuses to write, which a string does not.
    pub fn text(&self, openings: usize) -> Result<String, fmt::Error> {
        self.openings
            .set(i64::try_from(openings).unwrap_or(i64::MAX));
        if let Some(process) = crate::process::Process::now() {
            self.descriptors.set(process.descriptors);
            self.most_descriptors.set(process.most_descriptors);
            self.resident.set(process.resident);
            self.processor.set(process.processor.as_secs_f64());
        }
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Counts what one tunnel passes, and hands it over now and then: one counter for all would be
/// touched by all processors at every message.
#[derive(Debug)]
pub struct Tally {
    figures: Arc<Figures>,
    messages: u64,
    bytes: u64,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(figures: Arc<Figures>) -> Self {
        Self {
            figures,
            messages: 0,
            bytes: 0,
        }
    }

    /// The figures that this counts for.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The tunnel has passed so much in all.
    pub fn now(&mut self, messages: u64, bytes: u64) {
        self.figures.passed(
            messages.saturating_sub(self.messages),
            bytes.saturating_sub(self.bytes),
        );
        (self.messages, self.bytes) = (messages, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_in_their_form() {
        let figures = Arc::new(Figures::new());
        let waiting = figures.waiting();
        let joined = figures.joined(Duration::from_secs(3));
        drop(waiting);
        figures.refused(Refusal::TooFast);
        figures.ended(Ending::Broke);
        let mut tally = Tally::new(Arc::clone(&figures));
        tally.now(2, 300);
        tally.now(5, 500);
        let text = figures.text(7).unwrap();
        for line in [
            "handfast_relay_tunnels{state=\"waiting\"} 0",
            "handfast_relay_tunnels{state=\"joined\"} 1",
            "handfast_relay_refusals_total{reason=\"too_fast\"} 1",
            "handfast_relay_tunnel_ends_total{ending=\"broke_a_rule\"} 1",
            "handfast_relay_messages_total 5",
            "handfast_relay_message_bytes_total 500",
            "handfast_relay_waiting_seconds_count 1",
            "handfast_relay_opening_connections 7",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        drop(joined);
        assert!(figures.text(0).unwrap().contains("{state=\"joined\"} 0"));
    }
}
