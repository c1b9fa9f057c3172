//! Requests under way on a connection, so that one without any can be closed: a peer that opens a connection and asks
//! nothing must not keep its place. HTTP itself bounds only the time for the headers of a request that has begun.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// The requests of one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnderWay(Arc<watch::Sender<usize>>);

/// A request: under way until this is dropped, which is when the last byte of its answer has been handed over.
#[derive(Debug)]
pub(crate) struct Busy(UnderWay);

impl UnderWay {
    pub(crate) fn begin(&self) -> Busy {
        self.0.send_modify(|requests| *requests = requests.saturating_add(1));
        Busy(self.clone())
    }

    /// Returns when there has been no request for that time.
    pub(crate) async fn idle_for(&self, time: Duration) {
        let mut seen = self.0.subscribe();
        loop {
            let busy = *seen.borrow_and_update() > 0;
            let changed = seen.changed();
            // The sender is this value's own: a change is the only other end.
            if busy {
                let _ = changed.await;
            } else if timeout(time, changed).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.send_modify(|requests| *requests = requests.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_keeps_a_connection_however_long_it_takes() {
        let under_way = UnderWay::default();
        let idle = Duration::from_secs(30);
        let busy = under_way.begin();
        assert!(timeout(Duration::from_hours(1), under_way.idle_for(idle)).await.is_err());
        drop(busy);
        assert!(timeout(idle + Duration::from_secs(1), under_way.idle_for(idle)).await.is_ok());
    }
}
