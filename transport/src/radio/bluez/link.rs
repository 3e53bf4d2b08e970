//! Bluetooth connections: L2CAP channels of LE (CTAP 2.3 §11.5.1.1, `hybrid-transport.md` §9).

use std::io;
use std::time::Duration;

use bluer::l2cap::{SeqPacket, SeqPacketListener, Socket, SocketAddr};
use bluer::{Adapter, Address, AddressType, Device};
use handfast_proto::hybrid::Psm;
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::answer;
use crate::channel::Channel;
use crate::channel::sdus::{Io, SduSocket};

/// The most bytes of an SDU that is taken here: usual messages fit into one.
const OUR_MTU: u16 = 2048;
/// No L2CAP channel of LE takes fewer bytes in an SDU.
const LEAST_MTU: usize = 23;
/// How often it is looked at whether a connection is up.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How many may wait to be served.
const BACKLOG: u32 = 4;

/// Whose advert was heard, and by which adapter.
#[derive(Clone, Debug)]
pub(in crate::radio) struct Sender {
    pub(super) adapter: Adapter,
    pub(super) address: Address,
}

impl Sender {
    /// Connects; to be given up after a while by whom it takes too long.
    pub(in crate::radio) async fn connect(&self, psm: Psm) -> io::Result<Channel> {
        let device = self.adapter.device(self.address).ok();
        // A connection that was there before, for music perhaps, is not ours to end.
        let is_ours = match &device {
            Some(device) => matches!(answer(device.is_connected()).await, Ok(false)),
            None => false,
        };
        let connected = self.connect_socket(psm, device.as_ref()).await;
        let device = device.filter(|_| is_ours);
        match (connected, device) {
            (Ok((socket, mtu)), device) => Ok(Channel::of_sdus(L2cap {
                socket,
                mtu,
                device,
            })),
            (Err(error), device) => {
                if let Some(device) = device {
                    // It may be half connected; if not, there is nothing to end.
                    let _ = answer(device.disconnect()).await;
                }
                Err(error)
            }
        }
    }

    async fn connect_socket(
        &self,
        psm: Psm,
        device: Option<&Device>,
    ) -> io::Result<(SeqPacket, usize)> {
        let address = SocketAddr::new(self.address, address_type(device).await, psm.get());
        let socket = match self.socket_of_adapter(address).await {
            // Not every adapter is known to the kernel by the address that BlueZ tells.
            Err(error) if error.kind() == io::ErrorKind::HostUnreachable => {
                debug!("not through this adapter: {error}");
                connect(SocketAddr::any_le(), address).await?
            }
            connected => connected?,
        };
        let mtu = ready(&socket).await?;
        Ok((socket, mtu))
    }

    async fn socket_of_adapter(&self, to: SocketAddr) -> io::Result<SeqPacket> {
        let own = answer(self.adapter.address()).await;
        let kind = answer(self.adapter.address_type()).await;
        match (own, kind) {
            (Ok(own), Ok(kind)) => connect(SocketAddr::new(own, kind, 0), to).await,
            _ => connect(SocketAddr::any_le(), to).await,
        }
    }
}

async fn address_type(device: Option<&Device>) -> AddressType {
    let known = match device {
        Some(device) => answer(device.address_type()).await.ok(),
        None => None,
    };
    // BlueZ may have forgotten the device; phones have random addresses.
    known.unwrap_or(AddressType::LeRandom)
}

async fn connect(from: SocketAddr, to: SocketAddr) -> io::Result<SeqPacket> {
    let socket = Socket::new_seq_packet()?;
    socket.bind(from)?;
    socket.set_recv_mtu(OUR_MTU)?;
    socket.connect(to).await
}

/// Who takes connections. Nobody can connect any more when this is dropped.
#[derive(Debug)]
pub(in crate::radio) struct Listener {
    listener: SeqPacketListener,
    psm: Psm,
}

impl Listener {
    pub(in crate::radio) fn start() -> io::Result<Self> {
        let socket = Socket::new_seq_packet()?;
        socket.bind(SocketAddr::any_le())?;
        socket.set_recv_mtu(OUR_MTU)?;
        let listener = socket.listen(BACKLOG)?;
        let number = listener.as_ref().local_addr()?.psm;
        let psm = Psm::new(number).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { listener, psm })
    }

    pub(in crate::radio) fn psm(&self) -> Psm {
        self.psm
    }

    pub(in crate::radio) async fn accept(&self) -> io::Result<Channel> {
        let (socket, _) = self.listener.accept().await?;
        let mtu = mtu(&socket).unwrap_or(LEAST_MTU);
        Ok(Channel::of_sdus(L2cap {
            socket,
            mtu,
            device: None,
        }))
    }
}

struct L2cap {
    socket: SeqPacket,
    mtu: usize,
    /// To be disconnected in the end: BlueZ keeps connections that others made.
    device: Option<Device>,
}

/// Waits until the connection is really up and it is known how much it takes: the socket says “writable”
/// before, and what is written then is lost or cut.
async fn ready(socket: &SeqPacket) -> io::Result<usize> {
    let begin = Instant::now();
    let looks = async {
        loop {
            if let Some(mtu) = mtu(socket) {
                return mtu;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    let mut first = [0; 1];
    let mtu = tokio::select! {
        biased;
        mtu = looks => mtu,
        // Who is called does not speak first: this is how the connection fails.
        failed = socket.recv(&mut first) => {
            return Err(failed.err().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()));
        }
    };
    debug!(mtu, after = ?begin.elapsed(), "a Bluetooth connection is up");
    Ok(mtu)
}

/// Returns how much the other side takes, if the connection is up.
fn mtu(socket: &SeqPacket) -> Option<usize> {
    let is_up = socket.peer_addr().is_ok_and(|peer| peer.cid != 0);
    let mtu = socket.send_mtu().ok().filter(|_| is_up)?;
    Some(mtu.max(LEAST_MTU))
}

impl SduSocket for L2cap {
    fn mtu(&self) -> usize {
        self.mtu
    }

    fn send<'a>(&'a mut self, sdu: &'a [u8]) -> Io<'a, ()> {
        Box::pin(async {
            match self.socket.send(sdu).await? {
                sent if sent == sdu.len() => Ok(()),
                _ => Err(io::ErrorKind::WriteZero.into()),
            }
        })
    }

    fn recv<'a>(&'a mut self, buffer: &'a mut [u8]) -> Io<'a, usize> {
        Box::pin(self.socket.recv(buffer))
    }

    fn close(self: Box<Self>) -> Io<'static, ()> {
        Box::pin(async {
            let Self { socket, device, .. } = *self;
            drop(socket);
            match device {
                Some(device) => answer(device.disconnect()).await.map_err(io::Error::other),
                None => Ok(()),
            }
        })
    }
}
