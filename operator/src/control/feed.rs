//! The feed: one signed stream per connection. Whole states, not differences, so that a new connection needs no memory.

use std::sync::Arc;

use aegis_decision::digest::Digest;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::auth::Caller;
use super::pieces::{NotTaken, pieces};
use super::telling::{Ended, Sources, Telling};
use super::{Control, Refusal};

/// Query of the feed.
#[derive(Debug, Deserialize)]
pub struct Resume {
    /// Digest of the bundle that the sidecar has: it is not sent again.
    #[serde(default)]
    bundle: Option<Digest>,
}

/// `GET /v1/feed`. Ends when the agent's token does: the sidecar connects again with a new one. Ends also when its pod
/// opens newer ones, see [`super::feeds`], and when it is read too slowly.
pub async fn stream(
    State(control): State<Arc<Control>>,
    Caller(claims): Caller,
    Query(resume): Query<Resume>,
) -> Result<Response, Refusal> {
    let views = control.hub.subscribe(&claims.agent.uid).ok_or(Refusal::UnknownAgent)?;
    let open = control.feeds.open(&claims.pod.uid);
    let sources =
        Sources { keys: Arc::clone(&control.keys), room: control.room.clone(), views, as_of: control.hub.as_of() };
    let (lines, stream) = pieces();
    let reader = lines.clone();
    let telling = Telling::new(sources, lines, resume.bundle);
    let until = claims.exp;
    tokio::spawn(async move {
        let life = until.duration_since(Timestamp::now()).unsigned_abs();
        tokio::select! {
            () = tokio::time::sleep(life) => {}
            () = control.drain.begun() => {}
            () = open.displaced() => {}
            () = reader.gone() => {}
            ended = telling.run() => {
                if ended == Ended::NotTaken(NotTaken::TooSlow) {
                    control.metrics.feed_too_slow();
                }
                tracing::debug!(error = %ended, "feed ended");
            }
        }
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response())
}
