//! The ways to a computer: how they are opened, and what becomes of them.

use handfast_proto::hybrid::tunnel::{RoutingId, TunnelId};
use handfast_proto::hybrid::{ChannelFailure, DataChannel};
use handfast_transport::channel::{Channel, ChannelEnd};
use handfast_transport::radio::LinkError;
use handfast_transport::relay::{OpenError, open_new};
use rand_core::OsRng;
use tracing::{debug, info};

use super::{Running, now};
use crate::phone::serve_error::ServeError;

impl Running<'_> {
    pub(super) fn channel(&mut self, at: DataChannel) -> Option<&mut Channel> {
        match at {
            DataChannel::WebSocket => self.tunnel.as_mut(),
            DataChannel::Ble => self.link.as_mut(),
        }
    }

    pub(super) fn open(&mut self, tunnel: TunnelId) {
        let Some(relay) = self.phone.relay.clone() else {
            return;
        };
        info!(relay = %relay.url, "creating a tunnel");
        let opening = async move { open_new(&relay.url, &tunnel, &relay.trust).await };
        self.opening = Some(Box::pin(opening));
    }

    pub(super) fn opened(&mut self, opened: Result<(Channel, RoutingId), OpenError>) {
        self.opening = None;
        let now = now(self.begin);
        match opened {
            Ok((channel, routing)) => {
                self.tunnel = Some(channel);
                self.ceremony.handle_tunnel_opened(routing, &mut OsRng, now);
            }
            Err(error) => {
                let failure = error.failure();
                self.failed(DataChannel::WebSocket, failure, error.into());
            }
        }
    }

    pub(super) async fn listen(&mut self) {
        match self.phone.radio.listen().await {
            Ok(listener) => {
                let psm = listener.psm();
                info!(%psm, "taking Bluetooth connections");
                self.listener = Some(listener);
                self.ceremony
                    .handle_ble_listening(psm, &mut OsRng, now(self.begin));
            }
            Err(error) => {
                self.failed(DataChannel::Ble, ChannelFailure::BleFailed, error.into());
            }
        }
    }

    pub(super) fn linked(&mut self, linked: Result<Channel, LinkError>) {
        match linked {
            Ok(link) => {
                debug!("a computer has come by Bluetooth");
                self.link = Some(link);
                self.ceremony.handle_ble_linked(now(self.begin));
            }
            Err(error) => {
                self.listener = None;
                self.failed(DataChannel::Ble, ChannelFailure::BleFailed, error.into());
            }
        }
    }

    pub(super) fn failed(&mut self, at: DataChannel, failure: ChannelFailure, error: ServeError) {
        info!(channel = ?at, "this way is not there: {error}");
        self.way_error = Some(error);
        let now = now(self.begin);
        self.ceremony
            .handle_channel_failed(at, failure, &mut OsRng, now);
    }

    /// A channel is gone.
    pub(super) fn ended(&mut self, at: DataChannel, end: &ChannelEnd) {
        debug!(channel = ?at, "it is closed: {end}");
        match at {
            DataChannel::WebSocket => self.tunnel = None,
            DataChannel::Ble => self.link = None,
        }
        let now = now(self.begin);
        self.ceremony
            .handle_channel_closed(at, end.closed(), &mut OsRng, now);
    }
}
