//! Work on threads of its own, of which only so much is under way at once.
//!
//! Who asked for it may give up: an API server that waits no longer ends its connection, and the future that waits is
//! dropped. The work cannot be stopped then. So its slot belongs to the work and not to whoever waits, or one who asks and
//! gives up again and again would have any number of pieces under way.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::{self, JoinError};

/// How much may be under way.
#[derive(Debug)]
pub(super) struct Bounded(Arc<Semaphore>);

/// Room for one piece of work.
#[derive(Debug)]
pub(super) struct Slot(OwnedSemaphorePermit);

impl Bounded {
    /// So many pieces at once.
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Waits for a slot. Fails only for a closed semaphore, and nobody closes this one.
    pub(super) async fn slot(&self) -> Result<Slot, AcquireError> {
        Arc::clone(&self.0).acquire_owned().await.map(Slot)
    }
}

impl Slot {
    /// Does the work. The slot is free when that has ended, also where nobody waits for it any more. Fails where the work
    /// panics.
    pub(super) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let Self(permit) = self;
        let held = move || {
            let done = work();
            drop(permit);
            done
        };
        task::spawn_blocking(held).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_keeps_its_slot_to_its_end_though_nobody_waits_for_it() {
        let bounded = Bounded::new(1);
        let (tell, begun) = oneshot::channel::<()>();
        let (end, ended) = mpsc::channel::<()>();
        let work = move || {
            tell.send(()).unwrap();
            ended.recv().unwrap();
        };
        let asking = tokio::spawn(bounded.slot().await.unwrap().run(work));
        begun.await.unwrap();
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        assert_eq!(bounded.0.available_permits(), 0, "the work is still under way");
        end.send(()).unwrap();
        let next = bounded.slot().await.unwrap();
        assert_eq!(next.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_slot_is_free_again_after_work_that_fails_and_where_there_is_none() {
        let bounded = Bounded::new(1);
        let failing = || -> u8 { panic!("as a test of its end") };
        assert!(bounded.slot().await.unwrap().run(failing).await.unwrap_err().is_panic());
        drop(bounded.slot().await.unwrap());
        assert_eq!(bounded.0.available_permits(), 1);
    }
}
