//! The life of one tunnel: the phone waits, a client joins, messages pass, one side ends it
//! (`hybrid-transport.md` §5.3).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::join;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::debug;

use crate::clock::{Alarm, Tick};
use crate::figures::{Ending, Figures, InState, Tally};
use crate::limits::Limits;
use crate::reader::{Last, Rules, Taken, code};
use crate::side::{Read, Side};

/// Bytes that what waits for the client may take besides the messages: the heads of its frames.
pub(crate) const HEADS: usize = 4 * 1024;

/// Why a tunnel ends, from the side where it began.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The peer sent a close frame.
    Closed(Option<u16>),
    /// The peer vanished.
    Dropped,
    /// The other side could not be written to.
    Unwritable,
    /// The peer broke a rule; it is told by this code.
    Broke(u16),
    /// The tunnel's time is over.
    Expired,
    /// The relay's time is over.
    Stopped,
}

impl End {
    /// What is said to the side where it began.
    fn here(self) -> Farewell {
        match self {
            Self::Closed(code) => Farewell::Answer(code),
            Self::Dropped => Farewell::None,
            Self::Unwritable => Farewell::Say(code::AWAY),
            Self::Broke(code) => Farewell::Tell(code),
            Self::Expired => Farewell::Say(code::POLICY),
            Self::Stopped => Farewell::Say(code::RESTART),
        }
    }

    /// What is said to the other side.
    fn there(self) -> Farewell {
        Farewell::Say(match self {
            Self::Closed(_) => code::NORMAL,
            Self::Dropped | Self::Unwritable => code::AWAY,
            Self::Broke(_) | Self::Expired => code::POLICY,
            Self::Stopped => code::RESTART,
        })
    }
}

impl End {
    /// What it is counted as; `expired` is what the end of the time means.
    fn ending(self, expired: Ending) -> Ending {
        match self {
            Self::Closed(_) => Ending::Closed,
            Self::Dropped | Self::Unwritable => Ending::Dropped,
            Self::Broke(_) => Ending::Broke,
            Self::Expired => expired,
            Self::Stopped => Ending::Stopped,
        }
    }
}

impl From<Last> for End {
    fn from(last: Last) -> Self {
        match last {
            Last::Closed(code) => Self::Closed(code),
            Last::Broke(code) => Self::Broke(code),
        }
    }
}

/// The last word to a side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Farewell {
    /// Nothing: it is gone.
    None,
    /// It closed with this code, and gets it back.
    Answer(Option<u16>),
    /// It broke a rule. What it says after that cannot be read.
    Tell(u16),
    /// It is told, and its answer is waited for.
    Say(u16),
}

/// One tunnel, from the phone's `101` on. It is polled where it lies: a task has as much memory as
/// its future, and a value that is moved from one step of it to the next has its place twice.
pub struct Tunnel<S> {
    phone: Side<S>,
    client: Client<S>,
    phone_pulse: Pulse,
    client_pulse: Pulse,
    begin: Instant,
    expiry: Tick,
    in_state: Option<InState>,
    tally: Tally,
}

/// The other side of a phone.
enum Client<S> {
    Awaited(Awaited<S>),
    Here(Side<S>),
}

/// What is to become a client.
struct Awaited<S> {
    seat: oneshot::Receiver<Side<S>>,
    /// Frames for it.
    kept: Vec<u8>,
    /// Bytes of messages in them.
    payload: usize,
    expiry: Tick,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Tunnel<S> {
    /// A tunnel whose client will come out of this seat.
    pub fn new(
        phone: Side<S>,
        seat: oneshot::Receiver<Side<S>>,
        alarm: &Alarm,
        limits: &Limits,
        figures: &Arc<Figures>,
    ) -> Self {
        let clock = alarm.clock();
        Self {
            phone,
            client: Client::Awaited(Awaited {
                seat,
                kept: Vec::new(),
                payload: 0,
                expiry: clock.after(limits.unpaired),
            }),
            phone_pulse: Pulse::new(alarm, limits),
            client_pulse: Pulse::new(alarm, limits),
            begin: Instant::now(),
            expiry: clock.after(limits.total),
            in_state: Some(figures.waiting()),
            tally: Tally::new(Arc::clone(figures)),
        }
    }

    /// Serves the tunnel to its end.
    pub async fn serve(&mut self, alarm: &Alarm, limits: &Limits) {
        let (end, by_phone) = poll_fn(|context| self.poll(context, alarm, limits)).await;
        let expired = match self.client {
            Client::Here(_) => Ending::Expired,
            _ => Ending::Unpaired,
        };
        self.count();
        let ending = end.ending(expired);
        self.tally.figures().ended(ending);
        debug!(?end, ?ending, by_phone, "a tunnel ended");
        self.in_state = None;
        let leaving = self.leave(end, by_phone, limits);
        Box::pin(alarm.within(limits.closing, leaving)).await;
    }

    /// Says the last words.
    async fn leave(&mut self, end: End, by_phone: bool, limits: &Limits) {
        if let Client::Awaited(awaited) = &mut self.client {
            // Nobody would speak to a client that came later, and one may just have come.
            awaited.seat.close();
            if let Ok(client) = awaited.seat.try_recv() {
                self.client = Client::Here(client);
            }
        }
        let phone = &mut self.phone;
        match &mut self.client {
            Client::Here(client) => {
                let (here, there) = if by_phone {
                    (phone, client)
                } else {
                    (client, phone)
                };
                let there = depart(there, end.there(), limits);
                let _ = join(there, depart(here, end.here(), limits)).await;
            }
            _ => {
                let _ = depart(phone, end.here(), limits).await;
            }
        }
    }

    /// Waits for the client, then passes messages both ways until one side ends it; says whether
    /// that was the phone. Which side it was decides who is told what.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        alarm: &Alarm,
        limits: &Limits,
    ) -> Poll<(End, bool)> {
        if let Client::Awaited(awaited) = &mut self.client {
            match awaited.poll(&mut self.phone, context, limits) {
                Poll::Ready(Ok(client)) => self.join(client, alarm, limits),
                Poll::Ready(Err(end)) => return Poll::Ready((end, true)),
                Poll::Pending => {}
            }
        }
        if let Client::Here(client) = &mut self.client {
            let (phone, rules) = (&mut self.phone, limits.rules());
            if let Poll::Ready(end) = exchange(phone, client, &rules, context) {
                return Poll::Ready(end);
            }
        }
        self.poll_time(context, alarm, limits)
    }

    /// Passes what was kept to a client that has come.
    fn join(&mut self, mut client: Side<S>, alarm: &Alarm, limits: &Limits) {
        if let Client::Awaited(awaited) = &mut self.client {
            client.begin_with(std::mem::take(&mut awaited.kept));
        }
        self.client = Client::Here(client);
        self.client_pulse = Pulse::new(alarm, limits);
        self.in_state = Some(self.tally.figures().joined(self.begin.elapsed()));
    }

    fn poll_time(
        &mut self,
        context: &mut Context<'_>,
        alarm: &Alarm,
        limits: &Limits,
    ) -> Poll<(End, bool)> {
        loop {
            let (expiry, next) = match &self.client {
                Client::Awaited(awaited) => {
                    (self.expiry.min(awaited.expiry), self.phone_pulse.next)
                }
                Client::Here(_) => (
                    self.expiry,
                    self.phone_pulse.next.min(self.client_pulse.next),
                ),
            };
            if let Some(end) = time_is_over(expiry, alarm, context) {
                return Poll::Ready((end, true));
            }
            if !alarm.is_due(next.min(expiry), context) {
                return Poll::Pending;
            }
            if let Err(end) = self.beat(context, alarm, limits) {
                return Poll::Ready(end);
            }
        }
    }

    fn count(&mut self) {
        let (messages, bytes) = match &self.client {
            Client::Here(client) => (client.messages(), client.bytes()),
            Client::Awaited(_) => return,
        };
        let messages = u64::from(self.phone.messages()) + u64::from(messages);
        let bytes = self.phone.bytes().saturating_add(bytes);
        self.tally.now(messages, bytes);
    }

    /// Sends the pings that are due. A side is not read, and so not heard, while the other takes
    /// nothing, and that is not held against it.
    fn beat(
        &mut self,
        context: &mut Context<'_>,
        alarm: &Alarm,
        limits: &Limits,
    ) -> Result<(), (End, bool)> {
        self.count();
        let now = alarm.clock().now();
        let mut beat = |pulse: &mut Pulse, side: &mut Side<S>, is_heard: bool| {
            if now < pulse.next {
                return Ok(());
            }
            let counts = is_heard || side.is_full();
            pulse.beat(side, counts, context, alarm, limits)
        };
        let (mut is_phone_heard, is_client_heard) = (true, !self.phone.is_full());
        if let Client::Here(client) = &mut self.client {
            is_phone_heard = !client.is_full();
            beat(&mut self.client_pulse, client, is_client_heard).map_err(|end| (end, false))?;
        }
        beat(&mut self.phone_pulse, &mut self.phone, is_phone_heard).map_err(|end| (end, true))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Awaited<S> {
    /// Waits for the client, and keeps meanwhile what its phone sends.
    fn poll(
        &mut self,
        phone: &mut Side<S>,
        context: &mut Context<'_>,
        limits: &Limits,
    ) -> Poll<Result<Side<S>, End>> {
        if let Poll::Ready(client) = Pin::new(&mut self.seat).poll(context) {
            return Poll::Ready(client.map_err(|_| End::Unwritable));
        }
        let rules = limits.rules();
        loop {
            if let Err(end) = ready!(self.poll_phone(phone, &rules, limits, context)) {
                return Poll::Ready(Err(end));
            }
        }
    }

    fn poll_phone(
        &mut self,
        phone: &mut Side<S>,
        rules: &Rules,
        limits: &Limits,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), End>> {
        ready!(phone.poll_flush(context)).map_err(|_| End::Dropped)?;
        let kept = &mut self.kept;
        let keep = |frames: &[u8], _: &mut Context<'_>| kept.extend_from_slice(frames);
        let Read::Taken(taken) = ready!(phone.poll_read(rules, context, keep)) else {
            return Poll::Ready(Err(End::Dropped));
        };
        self.payload += taken.payload;
        let heads = self.kept.len() - self.payload;
        Poll::Ready(if self.payload > limits.waiting_bytes || heads > HEADS {
            Err(End::Broke(code::SIZE))
        } else if phone.messages() > limits.waiting_messages {
            Err(End::Broke(code::POLICY))
        } else {
            ended(&taken)
        })
    }
}

/// Passes messages both ways. Who cannot be written to may have said a last word before, and that counts
/// more.
fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    phone: &mut Side<S>,
    client: &mut Side<S>,
    rules: &Rules,
    context: &mut Context<'_>,
) -> Poll<(End, bool)> {
    let is_word = |end: &Poll<End>| matches!(end, Poll::Ready(end) if *end != End::Unwritable);
    let mut there = pass(phone, client, rules, context);
    let mut back = Poll::Pending;
    if !is_word(&there) {
        back = pass(client, phone, rules, context);
    }
    if back == Poll::Ready(End::Unwritable) {
        there = pass(phone, client, rules, context);
    }
    match (there, back) {
        (Poll::Ready(end), _) if end != End::Unwritable => Poll::Ready((end, true)),
        (_, Poll::Ready(end)) => Poll::Ready((end, false)),
        (Poll::Ready(end), _) => Poll::Ready((end, true)),
        (Poll::Pending, Poll::Pending) => Poll::Pending,
    }
}

/// Passes one side's messages to the other. Nothing is read while the other side's socket is full.
fn pass<S: AsyncRead + AsyncWrite + Unpin>(
    from: &mut Side<S>,
    to: &mut Side<S>,
    rules: &Rules,
    context: &mut Context<'_>,
) -> Poll<End> {
    loop {
        if ready!(to.poll_flush(context)).is_err() {
            return Poll::Ready(End::Unwritable);
        }
        let mut written = Ok(());
        let write = |frames: &[u8], context: &mut Context<'_>| written = to.write(frames, context);
        let read = ready!(from.poll_read(rules, context, write));
        match (read, written) {
            (Read::Gone, _) => return Poll::Ready(End::Dropped),
            (_, Err(_)) => return Poll::Ready(End::Unwritable),
            (Read::Taken(taken), Ok(())) => {
                if let Err(end) = ended(&taken) {
                    return Poll::Ready(end);
                }
            }
        }
    }
}

/// Whether the tunnel or the relay has to end.
fn time_is_over(expiry: Tick, alarm: &Alarm, context: &Context<'_>) -> Option<End> {
    if alarm.is_due(expiry, context) {
        Some(End::Expired)
    } else {
        alarm.clock().is_over().then_some(End::Stopped)
    }
}

fn ended(taken: &Taken) -> Result<(), End> {
    taken.last.map_or(Ok(()), |last| Err(last.into()))
}

/// Pings that a peer may leave unanswered, one after the other.
const UNANSWERED: u32 = 2;

/// When to ping, and whether a peer still lives.
struct Pulse {
    next: Tick,
    /// Pings since the last sign of life.
    unanswered: u32,
}

impl Pulse {
    fn new(alarm: &Alarm, limits: &Limits) -> Self {
        Self {
            next: alarm.clock().after(limits.ping_every),
            unanswered: 0,
        }
    }

    /// Sends the ping that is due. The peer is gone if it left too many unanswered by then, and
    /// could be heard.
    fn beat<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        side: &mut Side<S>,
        counts: bool,
        context: &mut Context<'_>,
        alarm: &Alarm,
        limits: &Limits,
    ) -> Result<(), End> {
        self.next = alarm.clock().after(limits.ping_every);
        if side.lived() || !counts {
            self.unanswered = 0;
        } else if self.unanswered >= UNANSWERED {
            return Err(End::Dropped);
        }
        self.unanswered += 1;
        side.ping(context).map_err(|_| End::Dropped)
    }
}

/// Says the last word to a side and reads on until it has ended its own. Closing with unread bytes
/// would reset the connection and could take the last word with it.
pub(crate) async fn depart<S: AsyncRead + AsyncWrite + Unpin>(
    side: &mut Side<S>,
    farewell: Farewell,
    limits: &Limits,
) -> io::Result<()> {
    match farewell {
        Farewell::None => {}
        Farewell::Answer(code) => side.close(code),
        Farewell::Tell(code) | Farewell::Say(code) => side.close(Some(code)),
    }
    poll_fn(|context| side.poll_flush(context)).await?;
    if let Farewell::Say(_) = farewell {
        let rules = limits.rules();
        poll_fn(|context| side.poll_last(&rules, context)).await;
    }
    side.stream().shutdown().await?;
    poll_fn(|context| side.poll_end(context)).await;
    Ok(())
}

#[cfg(test)]
mod tests;
