//! Which replica writes. All replicas read, plan and serve; the holder of a Lease also writes statuses and takes the
//! steps of approval requests, so that replicas do not do the same work twice.
//!
//! Correctness never rests on it (INV-23): every write that matters is a compare-and-set on the object as it was read,
//! so two leaders at once cost conflicts, not effects.

mod evaluate;
mod lease;

pub use evaluate::{Act, Clock, Record, Seen, evaluate};
pub use lease::{LEASE, run};

use tokio::sync::watch;

/// Whether this replica leads; told by the task that holds the Lease.
#[derive(Debug, Clone)]
pub struct Leadership(watch::Receiver<bool>);

impl Leadership {
    /// For an installation with one replica, which needs no Lease.
    pub fn always() -> Self {
        Self(watch::channel(true).1)
    }

    /// Not yet; the sender tells.
    pub fn elected() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Whether this replica leads now.
    pub fn leads(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it begins to lead, at once if it does; never if nobody can tell any more.
    pub async fn gained(&mut self) {
        if self.0.wait_for(|leads| *leads).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when it changes; never if nobody can tell any more.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
