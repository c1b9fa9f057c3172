//! Waiting for a moment.

use std::time::Duration;

use jiff::Timestamp;

/// Returns at `at`, or at once when it has passed; never when there is nothing to wait for.
pub async fn until(at: Option<Timestamp>) {
    match at {
        Some(at) => {
            let wait = at.duration_since(Timestamp::now());
            let wait = if wait.is_negative() { Duration::ZERO } else { wait.unsigned_abs() };
            tokio::time::sleep(wait).await;
        }
        None => std::future::pending().await,
    }
}
