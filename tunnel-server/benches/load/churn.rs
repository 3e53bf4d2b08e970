//! Tunnels that come, pass a few messages and go, with and without TLS.

use std::time::Duration;

use crate::process::Program;
use crate::report::Figure;
use crate::tls::Certificate;
use crate::tunnel::{Target, each};
use crate::{Outcome, Plan};

const AT_ONCE: u32 = 16;
const ROUND_TRIPS: u32 = 3;

/// Tunnels between two looks at the CPU time.
const CHUNK: u32 = 1_000;

/// Time in which a program gets done with tunnels that are closed.
const SETTLE: Duration = Duration::from_millis(50);

struct Measured {
    program: Program,
    target: Target,
    seconds: f64,
}

impl Measured {
    fn new(program: Program, target: Target) -> Self {
        Self {
            program,
            target,
            seconds: 0.0,
        }
    }
}

/// Measures plain tunnels, and pairs of connections through the floor.
pub(crate) async fn measure(plan: &Plan) -> Outcome<Vec<Figure>> {
    let mut programs = Vec::new();
    for path in &plan.relays {
        let relay = Program::relay(path, None).await?;
        let target = Target::relay(relay.address(), None);
        programs.push(Measured::new(relay, target));
    }
    let floor = Program::floor().await?;
    let target = Target::floor(floor.address());
    programs.push(Measured::new(floor, target));

    let mut costs = run(plan, "churn", &mut programs, plan.churn).await?;
    let floor = costs.pop().ok_or("nothing to measure")?;
    let figure = |name: &str| Figure::new("churn", name, "CPU s").decimals(3);
    Ok(vec![
        figure("1,000 tunnels").reach(0.13).values(costs.clone()),
        figure("1,000 pairs of connections, floor").values(costs.iter().map(|_| floor)),
        Figure::new("churn", "relay / floor", "times")
            .decimals(2)
            .values(costs.iter().map(|cost| cost / floor)),
    ])
}

/// Measures tunnels of which both sides come with TLS.
pub(crate) async fn measure_tls(plan: &Plan) -> Outcome<Vec<Figure>> {
    let certificate = Certificate::new()?;
    let mut figures = Vec::new();
    for (resume, name) in [
        (false, "1,000 tunnels, whole handshakes"),
        (true, "1,000 tunnels, resumed where it can be"),
    ] {
        let mut programs = Vec::new();
        for path in &plan.relays {
            let relay = Program::relay(path, Some(&certificate)).await?;
            let target = Target::relay(relay.address(), Some(certificate.client(resume)?));
            programs.push(Measured::new(relay, target));
        }
        let costs = run(plan, "tls", &mut programs, plan.tls).await?;
        let figure = Figure::new("tls", name, "CPU s").decimals(3);
        figures.push(figure.reach(0.5).values(costs));
        if resume {
            let connections = f64::from(plan.tls * 2);
            let part = |it: &Measured| f64::from(it.target.resumed()) * 100.0 / connections;
            let figure = Figure::new("tls", "  handshakes that were resumed", "%");
            figures.push(figure.values(programs.iter().map(part)));
        }
    }
    Ok(figures)
}

/// Opens and closes tunnels by turns at every program, and returns the CPU seconds for 1,000 each.
async fn run(
    plan: &Plan,
    name: &str,
    programs: &mut [Measured],
    tunnels: u32,
) -> Outcome<Vec<f64>> {
    let mut left = tunnels;
    while left > 0 {
        let chunk = left.min(CHUNK);
        for it in &mut *programs {
            let before = it.program.cpu()?;
            let target = it.target.clone();
            each(chunk, AT_ONCE, move || tunnel(target.clone())).await?;
            tokio::time::sleep(SETTLE).await;
            it.seconds += it.program.cpu()? - before;
        }
        left -= chunk;
        plan.note(&format!("{name}: {left} tunnels to go"));
    }
    let cost = |it: &Measured| it.seconds * 1e3 / f64::from(tunnels);
    Ok(programs.iter().map(cost).collect())
}

async fn tunnel(target: Target) -> Outcome<()> {
    let mut tunnel = target.open().await?;
    tunnel.play(ROUND_TRIPS).await?;
    tunnel.close().await
}
