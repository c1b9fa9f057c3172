//! Waiting to be told to stop: as the first process of a container there is no default for a signal.
use tokio::signal::unix::{SignalKind, signal};

/// Ends at the first SIGTERM or SIGINT after this was called; never, where signals cannot be had.
pub fn asked() -> impl Future<Output = ()> {
    let signals =
        signal(SignalKind::terminate()).and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    async move {
        let Ok((mut terminate, mut interrupt)) = signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}
