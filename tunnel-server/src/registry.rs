//! Which tunnels exist, and which of them wait for their client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use handfast_proto::hybrid::tunnel::{RoutingId, TunnelId};
use tokio::sync::oneshot;

use crate::request::Refusal;

/// Tunnels for which a map is never too large.
const MANY: usize = 1024;

/// The tunnels of one relay process. `S` is what a client hands over to the tunnel: its socket.
#[derive(Debug)]
pub struct Registry<S> {
    routing: RoutingId,
    capacity: usize,
    tunnels: Mutex<HashMap<TunnelId, Seat<S>>>,
}

/// The client's place in a tunnel.
#[derive(Debug)]
enum Seat<S> {
    Free(oneshot::Sender<S>),
    Taken,
}

/// A phone's claim on its tunnel identifier: the identifier is free again when this is dropped.
#[derive(Debug)]
pub struct Claim<S> {
    registry: Arc<Registry<S>>,
    tunnel: TunnelId,
}

impl<S> Registry<S> {
    /// Makes a registry for at most `capacity` tunnels, which are found by this routing ID.
    pub fn new(routing: RoutingId, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            routing,
            capacity,
            tunnels: Mutex::default(),
        })
    }

    /// Creates a tunnel for a phone. The receiver gets the client, once there is one.
    ///
    /// # Errors
    ///
    /// [`Refusal::Conflict`] while a tunnel of this name exists, [`Refusal::Full`] at capacity.
    pub fn create(
        self: &Arc<Self>,
        tunnel: TunnelId,
    ) -> Result<(Claim<S>, oneshot::Receiver<S>), Refusal> {
        let mut tunnels = self.lock();
        if tunnels.contains_key(&tunnel) {
            return Err(Refusal::Conflict);
        }
        if tunnels.len() >= self.capacity {
            return Err(Refusal::Full);
        }
        let (seat, client) = oneshot::channel();
        tunnels.insert(tunnel, Seat::Free(seat));
        Ok((
            Claim {
                registry: Arc::clone(self),
                tunnel,
            },
            client,
        ))
    }

    /// Takes the client's place in a tunnel. The first to come has it; nobody is ever evicted.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] without such a tunnel or with another relay's routing ID,
    /// [`Refusal::Conflict`] if the place is taken.
    pub fn join(
        &self,
        routing: &RoutingId,
        tunnel: &TunnelId,
    ) -> Result<oneshot::Sender<S>, Refusal> {
        if *routing != self.routing {
            return Err(Refusal::NotFound);
        }
        let mut tunnels = self.lock();
        let seat = tunnels.get_mut(tunnel).ok_or(Refusal::NotFound)?;
        match std::mem::replace(seat, Seat::Taken) {
            Seat::Free(client) => Ok(client),
            Seat::Taken => Err(Refusal::Conflict),
        }
    }

    /// Returns the routing ID that phones put into their adverts.
    pub fn routing(&self) -> &RoutingId {
        &self.routing
    }

    /// Returns the number of tunnels.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Returns whether there is no tunnel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The map is whole after every statement that touches it, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<TunnelId, Seat<S>>> {
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Drop for Claim<S> {
    fn drop(&mut self) {
        let mut tunnels = self.registry.lock();
        tunnels.remove(&self.tunnel);
        // What a crowd needed is given back when it has gone.
        if tunnels.capacity() > MANY && tunnels.len() < tunnels.capacity() / 4 {
            tunnels.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTING: RoutingId = RoutingId([1, 2, 3]);

    fn tunnel(byte: u8) -> TunnelId {
        TunnelId([byte; 16])
    }

    #[test]
    fn second_new_is_a_conflict_until_the_first_is_gone() {
        let registry = Registry::<()>::new(ROUTING, 8);
        let claim = registry.create(tunnel(1)).unwrap();
        assert_eq!(registry.create(tunnel(1)).unwrap_err(), Refusal::Conflict);
        drop(claim);
        assert!(registry.is_empty());
        registry.create(tunnel(1)).unwrap();
    }

    #[test]
    fn first_client_has_the_place() {
        let registry = Registry::<u8>::new(ROUTING, 8);
        let (_claim, mut client) = registry.create(tunnel(1)).unwrap();
        registry
            .join(registry.routing(), &tunnel(1))
            .unwrap()
            .send(7)
            .unwrap();
        let second = registry.join(registry.routing(), &tunnel(1));
        assert_eq!(second.unwrap_err(), Refusal::Conflict);
        assert_eq!(client.try_recv(), Ok(7));
    }

    #[test]
    fn unknown_tunnel_and_foreign_routing_id_are_not_found() {
        let registry = Registry::<()>::new(ROUTING, 8);
        let _tunnel = registry.create(tunnel(1)).unwrap();
        let unknown = registry.join(registry.routing(), &tunnel(2));
        assert_eq!(unknown.unwrap_err(), Refusal::NotFound);
        let [a, b, c] = registry.routing().0;
        let foreign = registry.join(&RoutingId([a ^ 1, b, c]), &tunnel(1));
        assert_eq!(foreign.unwrap_err(), Refusal::NotFound);
    }

    #[test]
    fn a_full_relay_says_so() {
        let registry = Registry::<()>::new(ROUTING, 1);
        let _claim = registry.create(tunnel(1)).unwrap();
        assert_eq!(registry.create(tunnel(2)).unwrap_err(), Refusal::Full);
    }
}
