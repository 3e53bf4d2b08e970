//! Many tunnels in which messages go to and fro.

use crate::process::Program;
use crate::report::Figure;
use crate::tunnel::{Target, Tunnel, all, each};
use crate::{Outcome, Plan};

/// Messages that one side sends in a round. It is below what relays let through.
const PER_SIDE: u32 = 500;

/// CPU seconds for some messages.
#[derive(Clone, Default)]
struct Cost {
    seconds: f64,
    messages: u32,
    /// Of each round, for a million messages.
    rounds: Vec<f64>,
}

impl Cost {
    fn per_million(&self) -> f64 {
        self.seconds * 1e6 / f64::from(self.messages)
    }

    fn spread(&self) -> f64 {
        let least = self.rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.rounds.iter().copied().fold(0.0, f64::max);
        most - least
    }
}

/// Measures the relays and the floor by turns, so that what else the machine does hits all alike.
pub(crate) async fn measure(plan: &Plan) -> Outcome<Vec<Figure>> {
    let mut relays = vec![Cost::default(); plan.relays.len()];
    let mut floor = Cost::default();
    // Of equal length, or a short one would drown in the clock's ticks.
    let rounds = plan.messages.div_ceil(plan.pairs * 2 * PER_SIDE).max(1);
    let per_side = plan.messages.div_ceil(plan.pairs * 2 * rounds).max(1);
    for number in 1..=rounds {
        // Every round has a process of its own, so that no luck of a single one decides.
        for (path, cost) in plan.relays.iter().zip(&mut relays) {
            let relay = Program::relay(path, None).await?;
            let target = Target::relay(relay.address(), None);
            round(&relay, &target, cost, plan.pairs, per_side).await?;
        }
        let forwarder = Program::floor().await?;
        let target = Target::floor(forwarder.address());
        round(&forwarder, &target, &mut floor, plan.pairs, per_side).await?;
        plan.note(&format!("pairs: round {number} of {rounds}"));
    }
    Ok(figures(&floor, &relays, plan.pairs))
}

/// Opens tunnels, plays in all of them, and closes them. Only the play is counted.
async fn round(
    program: &Program,
    target: &Target,
    cost: &mut Cost,
    pairs: u32,
    per_side: u32,
) -> Outcome<()> {
    let opener = target.clone();
    let tunnels = each(pairs, 16, move || open(opener.clone())).await?;
    let before = program.cpu()?;
    let tunnels = all(tunnels, move |mut tunnel: Tunnel| async move {
        tunnel.play(per_side).await?;
        Ok(tunnel)
    })
    .await?;
    let seconds = program.cpu()? - before;
    let messages = pairs * per_side * 2;
    cost.seconds += seconds;
    cost.messages += messages;
    cost.rounds.push(seconds * 1e6 / f64::from(messages));
    all(tunnels, Tunnel::close).await?;
    Ok(())
}

/// Opens a tunnel that has passed a message, so that the relay is done with its beginning.
async fn open(target: Target) -> Outcome<Tunnel> {
    let mut tunnel = target.open().await?;
    tunnel.play(1).await?;
    Ok(tunnel)
}

fn figures(floor: &Cost, relays: &[Cost], pairs: u32) -> Vec<Figure> {
    let least = floor.per_million();
    let figure = |name: &str| Figure::new("pairs", name, "CPU s").decimals(2);
    let costs = || relays.iter().map(Cost::per_million);
    vec![
        figure(&format!("1 M messages, {pairs} tunnels"))
            .reach(7.5)
            .values(costs()),
        figure("  spread over its rounds").values(relays.iter().map(Cost::spread)),
        figure("1 M messages, floor").values(costs().map(|_| least)),
        figure("  spread over its rounds").values(costs().map(|_| floor.spread())),
        Figure::new("pairs", "relay / floor", "times")
            .decimals(2)
            .reach(1.25)
            .values(costs().map(|cost| cost / least)),
    ]
}
