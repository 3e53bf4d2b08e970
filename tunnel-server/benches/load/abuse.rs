//! How a healthy tunnel fares while others abuse the relay.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::process::Program;
use crate::report::{Figure, side_by_side};
use crate::socket::{Socket, ping};
use crate::tunnel::{Target, each};
use crate::{Outcome, Plan};

const PHASES: [&str; 4] = [
    "nobody else",
    "silent connections",
    "half-open requests",
    "floods of pings, pongs unread",
];

/// Time between two round trips of the healthy tunnel.
const PAUSE: Duration = Duration::from_millis(5);

/// Round trips after which the healthy tunnel is opened anew. It is below what relays let through.
const PER_TUNNEL: u32 = 2_000;

/// One of this many abusers floods, since each of those is as loud as it can be.
const FLOOD_PART: u32 = 5;

/// Abuses each relay in every way.
pub(crate) async fn measure(plan: &Plan) -> Outcome<Vec<Figure>> {
    let mut measured = Vec::new();
    for path in &plan.relays {
        measured.push(abuse(path, plan).await?);
    }
    Ok(side_by_side(measured))
}

async fn abuse(path: &Path, plan: &Plan) -> Outcome<Vec<Figure>> {
    let relay = Program::relay(path, None).await?;
    let target = Target::relay(relay.address(), None);
    let start = relay.resident()?;
    let phase = Arc::new(AtomicUsize::new(0));
    // On a thread of its own, or it would wait for the abusers and not only for the relay.
    let canary = std::thread::spawn({
        let (target, phase) = (target.clone(), Arc::clone(&phase));
        move || -> Outcome<_> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(sing(target, &phase))
        }
    });
    let abused = phases(&relay, &target, &phase, plan).await;
    phase.store(PHASES.len(), Ordering::Relaxed);
    let sung = tokio::task::spawn_blocking(|| canary.join()).await?;
    let sung = sung.map_err(|_| "the healthy tunnel's thread panicked")?;
    let round_trips = sung.map_err(|error| format!("the healthy tunnel broke: {error}"))?;
    let (ended, seconds) = abused?;

    let mut figures = Vec::new();
    for ((name, mut times), seconds) in PHASES.into_iter().zip(round_trips).zip(seconds) {
        times.sort_unstable();
        let figure = |what: &str, time: Option<&Duration>| {
            let time = time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
            Figure::new("abuse", format!("{name}: {what}"), "ms")
                .decimals(2)
                .values([time])
        };
        figures.push(figure("median round trip", times.get(times.len() / 2)));
        figures.push(figure("worst round trip", times.last()));
        let figure = Figure::new("abuse", format!("{name}: the relay used"), "CPU s");
        figures.push(figure.decimals(2).values([seconds]));
    }
    let floods = f64::from(plan.abusers / FLOOD_PART);
    let figure = |name: &str, unit| Figure::new("abuse", name, unit);
    figures.extend([
        figure("floods", "").values([floods]),
        figure("  that the relay ended", "").values([f64::from(ended)]),
        figure("memory at the start", "KiB").values([f64::from(start)]),
        figure("memory at its peak", "KiB").values([f64::from(relay.peak()?)]),
    ]);
    Ok(figures)
}

/// Goes through the phases, and returns how many floods the relay ended and the CPU seconds that it
/// used in each phase.
async fn phases(
    relay: &Program,
    target: &Target,
    phase: &AtomicUsize,
    plan: &Plan,
) -> Outcome<(u32, Vec<f64>)> {
    let mut used = Vec::new();
    let mut begin = |number: usize| -> Outcome<()> {
        phase.store(number, Ordering::Relaxed);
        plan.note(&format!("abuse: {}", PHASES[number]));
        used.push(relay.cpu()?);
        Ok(())
    };
    begin(0)?;
    sleep(plan.phase).await;

    begin(1)?;
    let opener = target.clone();
    let silent = each(plan.abusers, 16, move || {
        let target = opener.clone();
        async move { target.connect().await }
    });
    let silent = silent.await?;
    sleep(plan.phase).await;
    drop(silent);

    begin(2)?;
    let mut trickling = JoinSet::new();
    for _ in 0..plan.abusers {
        trickling.spawn(trickle(target.clone(), plan.phase));
    }
    while let Some(ended) = trickling.join_next().await {
        ended??;
    }

    begin(3)?;
    let ended = Arc::new(AtomicU32::new(0));
    let mut floods = JoinSet::new();
    // Both sides of a tunnel flood.
    for _ in 0..plan.abusers / FLOOD_PART / 2 {
        let tunnel = target.open().await?;
        for socket in [tunnel.phone, tunnel.client] {
            floods.spawn(flood(socket, plan.phase, Arc::clone(&ended)));
        }
    }
    while let Some(flooded) = floods.join_next().await {
        flooded?;
    }
    used.push(relay.cpu()?);
    let seconds = used.windows(2).map(|marks| marks[1] - marks[0]).collect();
    Ok((ended.load(Ordering::Relaxed), seconds))
}

/// Sends a request head that never ends, byte by byte.
async fn trickle(target: Target, time: Duration) -> Outcome<()> {
    let mut stream = target.connect().await?;
    let trickled = timeout(time, async {
        let mut sent = stream
            .write_all(b"GET /cable/new/00 HTTP/1.1\r\nHost: ")
            .await;
        while sent.is_ok() {
            sleep(Duration::from_millis(100)).await;
            sent = stream.write_all(b"a").await;
        }
    });
    // It is the relay's right to end it before.
    let _ = trickled.await;
    Ok(())
}

/// Sends pings as fast as they are taken, and never reads the pongs.
async fn flood(mut socket: Socket, time: Duration, ended: Arc<AtomicU32>) {
    let pings = ping(&[0; 125]).repeat(64);
    let flooded = timeout(time, async {
        while socket.send(&pings).await.is_ok() {
            // What the kernel takes at once would never let the others have their turn.
            tokio::task::yield_now().await;
        }
    });
    if flooded.await.is_ok() {
        ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Plays ping-pong until the last phase is over, and returns the times of the round trips in each.
async fn sing(target: Target, phase: &AtomicUsize) -> Outcome<[Vec<Duration>; PHASES.len()]> {
    let mut times: [Vec<Duration>; PHASES.len()] = Default::default();
    loop {
        let mut tunnel = target.open().await?;
        for _ in 0..PER_TUNNEL {
            let Some(times) = times.get_mut(phase.load(Ordering::Relaxed)) else {
                break;
            };
            let begin = Instant::now();
            tunnel.play(1).await?;
            times.push(begin.elapsed());
            sleep(PAUSE).await;
        }
        tunnel.close().await?;
        if phase.load(Ordering::Relaxed) >= PHASES.len() {
            return Ok(times);
        }
    }
}
