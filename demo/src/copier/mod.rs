//! The file sync between vault folders: it copies what changed, later, and where several devices
//! changed one file it keeps all versions, the older ones as conflict copies. It knows nothing of
//! what it carries, and each folder is one device's alone.

mod date;
mod folder;
mod share;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use self::folder::{copy_folder, differing};
use self::share::Share;

/// How long the sync waits between two rounds.
const DELAY: Duration = Duration::from_millis(120);

/// One device's folder.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The device, as it signs a conflict copy.
    pub device: String,
    /// Where the folder is.
    pub path: PathBuf,
}

/// What the sync did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// Files written into a folder, or deleted there, because another one's had changed.
    pub copied: usize,
    /// The conflict copies that were made, by their path below the folder.
    pub conflicts: Vec<PathBuf>,
}

enum Order {
    Hold(Sender<()>),
    Settle(Sender<io::Result<Done>>),
}

/// A sync of folders that runs until it is dropped.
pub struct Copier {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    /// Starts copying between these folders.
    pub fn start(folders: Vec<Folder>) -> Self {
        let (orders, inbox) = channel();
        let thread = thread::spawn(move || {
            let mut share = Share::new(folders);
            let mut held = false;
            loop {
                // Who gave an order may have given up on its answer.
                match inbox.recv_timeout(DELAY) {
                    Ok(Order::Hold(reply)) => {
                        held = true;
                        let _ = reply.send(());
                    }
                    Ok(Order::Settle(reply)) => {
                        held = false;
                        let _ = reply.send(share.settle());
                    }
                    // What could not be read in this round can be in the next.
                    Err(RecvTimeoutError::Timeout) if !held => drop(share.round()),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Self {
            orders,
            thread: Some(thread),
        }
    }

    /// Copies nothing more until [`Self::settle`] is called: the devices are offline.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::BrokenPipe`] if the sync has ended.
    pub fn hold(&self) -> io::Result<()> {
        self.order(Order::Hold)
    }

    /// Waits until all folders hold the same, and tells what was done since this was last asked.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn settle(&self) -> io::Result<Done> {
        self.order(Order::Settle)?
    }

    fn order<T>(&self, order: impl FnOnce(Sender<T>) -> Order) -> io::Result<T> {
        let (reply, answer) = channel();
        self.orders
            .send(order(reply))
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(answer.recv().map_err(|_| io::ErrorKind::BrokenPipe)?)
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        let (closed, _) = channel();
        self.orders = closed;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
