//! Memory: of many tunnels at the same time, and of many one after the other.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::{Program, descriptors};
use crate::report::{Figure, side_by_side};
use crate::tunnel::{Target, Tunnel, all, each};
use crate::{Outcome, Plan};

/// Tunnels that are opened or closed at the same time.
const AT_ONCE: u32 = 64;

/// Descriptors that are not of tunnels, here and in a relay.
const OTHER_DESCRIPTORS: u32 = 64;

/// How long a relay may take until its memory no longer changes.
const SETTLE: Duration = Duration::from_secs(60);

/// Tunnels that are open at the same time when a leak is looked for.
const CHUNK: u32 = 1_000;

/// Figures of a leak.
const STEPS: u32 = 10;

/// Measures idle tunnels.
pub(crate) async fn measure_idle(plan: &Plan) -> Outcome<Vec<Figure>> {
    let fit = descriptors()?.saturating_sub(OTHER_DESCRIPTORS) / 2;
    let tunnels = plan.idle.min(fit);
    if tunnels < plan.idle {
        plan.note(&format!(
            "idle: only {tunnels} of {} tunnels fit into the limit of open files",
            plan.idle
        ));
    }
    let mut measured = Vec::new();
    for path in &plan.relays {
        measured.push(idle(plan, path, tunnels).await?);
    }
    Ok(side_by_side(measured))
}

async fn idle(plan: &Plan, path: &Path, count: u32) -> Outcome<Vec<Figure>> {
    let relay = Program::relay(path, None).await?;
    let target = Target::relay(relay.address(), None);
    let start = settled(plan, &relay, plan.rest).await?;
    plan.note(&format!("idle: {count} tunnels are opened"));
    let tunnels = each(count, AT_ONCE, move || {
        let target = target.clone();
        async move { target.open().await }
    })
    .await?;
    let joined = settled(plan, &relay, plan.rest).await?;
    plan.note("idle: one message goes each way in each of them");
    let tunnels = all(tunnels, |mut tunnel: Tunnel| async move {
        tunnel.play(1).await?;
        Ok(tunnel)
    })
    .await?;
    let used = settled(plan, &relay, plan.rest).await?;
    plan.note("idle: they are closed");
    close(tunnels).await?;
    let end = settled(plan, &relay, plan.long_rest).await?;

    let per_tunnel = |kib: u32| (f64::from(kib) - f64::from(start)) * 1024.0 / f64::from(count);
    let growth = f64::from(end) * 100.0 / f64::from(start) - 100.0;
    let figure = |name: &str, unit| Figure::new("idle", name, unit);
    let rss = |name: &str, kib: u32| figure(name, "KiB").values([f64::from(kib)]);
    let each = |name: &str, kib: u32| figure(name, "bytes").values([per_tunnel(kib)]);
    Ok(vec![
        figure("tunnels", "").values([f64::from(count)]),
        rss("memory at the start", start),
        rss("memory with all joined", joined),
        each("  for each (aim 2048)", joined).reach(4096.0),
        rss("memory after a message each way", used),
        each("  for each", used),
        rss("memory with all closed", end),
        figure("  growth since the start", "%")
            .decimals(1)
            .reach(20.0)
            .values([growth]),
    ])
}

/// Opens and closes many tunnels, chunk by chunk.
pub(crate) async fn measure_leak(plan: &Plan) -> Outcome<Vec<Figure>> {
    let mut measured = Vec::new();
    for path in &plan.relays {
        measured.push(leak(plan, path).await?);
    }
    Ok(side_by_side(measured))
}

async fn leak(plan: &Plan, path: &Path) -> Outcome<Vec<Figure>> {
    let relay = Program::relay(path, None).await?;
    let target = Target::relay(relay.address(), None);
    let mut rss = vec![(0, settled(plan, &relay, plan.rest).await?)];
    let tunnels = plan.leak;
    let step = (tunnels / STEPS).max(1);
    let mut done = 0;
    while done < tunnels {
        let chunk = CHUNK.min(step).min(tunnels - done);
        let opener = target.clone();
        let open = each(chunk, AT_ONCE, move || {
            let target = opener.clone();
            async move { target.open().await }
        });
        close(open.await?).await?;
        done += chunk;
        if done.is_multiple_of(step) || done == tunnels {
            rss.push((done, settled(plan, &relay, plan.rest).await?));
            plan.note(&format!("leak: {done} tunnels of {tunnels} were open"));
        }
    }
    let figure = |(done, kib): (u32, u32)| {
        Figure::new("leak", format!("memory after {done} tunnels"), "KiB").values([f64::from(kib)])
    };
    Ok(rss.into_iter().map(figure).collect())
}

async fn close(tunnels: Vec<Tunnel>) -> Outcome<()> {
    all(tunnels, Tunnel::close).await?;
    Ok(())
}

/// Waits until a relay's memory has rested for so long, and returns it.
async fn settled(plan: &Plan, relay: &Program, rest: Duration) -> Outcome<u32> {
    let begin = Instant::now();
    let (mut last, mut since) = (relay.resident()?, begin);
    while since.elapsed() < rest && begin.elapsed() < SETTLE {
        tokio::time::sleep(plan.look).await;
        let now = relay.resident()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}
