//! Tells the control service the end of what is recorded, so that a cut at the end of the file can be found later.

use std::sync::Arc;
use std::time::Duration;

use aegis_decision::control::Head;
use aegis_runtime::shutdown::Drain;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::control::Control;
use crate::state::State;

/// How often.
const INTERVAL: Duration = Duration::from_secs(10);

/// Sends the newest head at every interval when it has changed, and a last time when the writer has ended.
pub async fn send_all(mut heads: watch::Receiver<Option<Head>>, control: Arc<Control>, state: Arc<State>, done: Drain) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            _ = ticks.tick() => false,
            () = done.begun() => true,
        };
        // The last head is told even if it was told already: it costs one request.
        if last || heads.has_changed().unwrap_or(false) {
            let head = heads.borrow_and_update().clone();
            let bearer = state.token().map(|token| token.bearer.clone());
            if let (Some(head), Some(bearer)) = (head, bearer)
                && let Err(error) = control.head(&bearer, &head).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "head not reported");
                heads.mark_changed();
            }
        }
        if last {
            return;
        }
    }
}
