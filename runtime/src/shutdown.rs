//! The end of a process: the first signal drains, the second aborts, and the drain has a bound.
//!
//! ```text
//! running --signal--> draining --program ends--> Finished
//!    |                   |------signal---------> Aborted
//!    |                   `------bound----------> TimedOut
//!    `--program ends-------------------------> Finished
//! ```

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Tells every part of the process that it should finish. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Drain(CancellationToken);

impl Drain {
    /// Not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the drain, for ever.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns when it has begun.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended<T> {
    /// By itself: it gave up, or finished what was under way.
    Finished(T),
    /// A second signal came before it had finished.
    Aborted,
    /// It had not finished within the bound.
    TimedOut,
}

/// SIGTERM and SIGINT, one message each.
pub fn signals() -> std::io::Result<mpsc::Receiver<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Two are all that matter: drain, abort.
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = sender.closed() => return,
            }
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Runs a program to its end. `program` finishes by itself once `drain` has begun.
pub async fn run<T>(
    program: impl Future<Output = T>,
    drain: &Drain,
    bound: Duration,
    mut signals: mpsc::Receiver<()>,
) -> Ended<T> {
    let mut program = std::pin::pin!(program);
    tokio::select! {
        result = &mut program => return Ended::Finished(result),
        () = next(&mut signals) => {}
    }
    tracing::info!(bound_seconds = bound.as_secs(), "draining");
    drain.begin();
    tokio::select! {
        // A program that has finished by now has drained, whatever else happened meanwhile.
        biased;
        result = &mut program => Ended::Finished(result),
        () = next(&mut signals) => Ended::Aborted,
        () = tokio::time::sleep(bound) => Ended::TimedOut,
    }
}

/// The next signal; never when nobody can send one any more.
async fn next(signals: &mut mpsc::Receiver<()>) {
    if signals.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const BOUND: Duration = Duration::from_secs(20);

    fn drains_in(drain: &Drain, time: Duration) -> impl Future<Output = &'static str> {
        let drain = drain.clone();
        async move {
            drain.begun().await;
            tokio::time::sleep(time).await;
            "drained"
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_signal_drains() {
        let (signal, signals) = mpsc::channel(2);
        let drain = Drain::new();
        signal.send(()).await.unwrap();
        let program = drains_in(&drain, Duration::from_secs(5));
        assert_eq!(run(program, &drain, BOUND, signals).await, Ended::Finished("drained"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_signal_aborts() {
        let (signal, signals) = mpsc::channel(2);
        let drain = Drain::new();
        signal.send(()).await.unwrap();
        signal.send(()).await.unwrap();
        let start = Instant::now();
        let program = drains_in(&drain, Duration::from_secs(5));
        assert_eq!(run(program, &drain, BOUND, signals).await, Ended::Aborted);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_drain_is_bounded() {
        let (signal, signals) = mpsc::channel(2);
        let drain = Drain::new();
        signal.send(()).await.unwrap();
        let start = Instant::now();
        let program = drains_in(&drain, Duration::from_mins(1));
        assert_eq!(run(program, &drain, BOUND, signals).await, Ended::TimedOut);
        assert_eq!(start.elapsed(), BOUND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_gives_up_ends_without_a_signal() {
        let (_signal, signals) = mpsc::channel(2);
        let drain = Drain::new();
        assert_eq!(run(async { "gave up" }, &drain, BOUND, signals).await, Ended::Finished("gave up"));
        assert!(!drain.has_begun());
    }
}
