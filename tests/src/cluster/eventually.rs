//! Waiting for a condition, never for a time: tries with a limit, and an error that says what was awaited and what was seen instead.

use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use kube::core::Status;
use tokio::time::{Instant, sleep_until, timeout_at};

/// The pause after the first try; each further one is half as long again, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Tries until one attempt succeeds and returns its value. An attempt's error means "not yet" and describes what was seen.
///
/// # Errors
/// When `within` is over; the error names `what` was awaited and holds the last attempt's error as its cause. An attempt that is still under way then is dropped.
pub async fn eventually<T>(what: &str, within: Duration, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + within;
    let mut pause = FIRST_PAUSE;
    let mut attempts = 0_u32;
    let mut seen: Option<Error> = None;
    loop {
        attempts += 1;
        match timeout_at(end, attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => seen = Some(error),
            Err(_) => seen = Some(seen.unwrap_or_else(|| anyhow!("an attempt gave no answer"))),
        }
        let now = Instant::now();
        if now >= end {
            let seen = seen.unwrap_or_else(|| anyhow!("nothing"));
            return Err(seen.context(format!("waited {within:?} ({attempts} attempts) for {what}; last seen")));
        }
        // The last try is made at the very end, so that a short limit is used whole.
        sleep_until((now + pause).min(end)).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// Repeats a request until the server refuses it with a message that holds `reason`, and returns the refusal.
///
/// An admission policy is in force only some tenths of a second after it was created, so a test that relies on one first lets it refuse something (a dry run
/// of a forbidden request). Any other answer, a refusal for another reason too, means "not yet".
pub async fn until_refused<T>(
    what: &str,
    reason: &str,
    within: Duration,
    mut request: impl AsyncFnMut() -> Result<T, kube::Error>,
) -> Result<Box<Status>> {
    eventually(what, within, async || match request().await {
        Err(kube::Error::Api(status)) if status.message.contains(reason) => Ok(status),
        Err(other) => Err(anyhow!("refused for another reason: {other}")),
        Ok(_) => Err(anyhow!("the request was accepted")),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_success_ends_the_wait() {
        let mut left = 3;
        let value = eventually("three failures", Duration::from_secs(1), async || {
            left -= 1;
            if left > 0 { Err(anyhow!("{left} left")) } else { Ok("done") }
        })
        .await;
        assert_eq!(value.unwrap(), "done");
    }

    #[tokio::test]
    async fn a_failure_says_what_was_awaited_and_what_was_seen_last() {
        let began = Instant::now();
        let error =
            eventually::<()>("rain", Duration::from_millis(60), async || Err(anyhow!("the sun"))).await.unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("for rain; last seen: the sun"), "{message}");
        assert!(began.elapsed() >= Duration::from_millis(60));
    }

    #[tokio::test]
    async fn an_attempt_without_an_answer_does_not_outlive_the_limit() {
        let error = eventually::<()>("an answer", Duration::from_millis(60), async || std::future::pending().await)
            .await
            .unwrap_err();
        assert!(format!("{error:#}").contains("an attempt gave no answer"));
    }
}
