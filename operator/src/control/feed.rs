//! The feed: one signed stream per connection. Whole states, not differences, so that a new connection needs no memory.

use std::sync::Arc;
use std::time::Duration;

use aegis_decision::digest::Digest;
use aegis_decision::feed::{Envelope, FeedItem, Grants};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::Stream;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::auth::Caller;
use super::{Control, Refusal};
use crate::hub::View;

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Items under way to a slow reader; then the connection waits.
const QUEUE: usize = 4;

/// Query of the feed.
#[derive(Debug, Deserialize)]
pub struct Resume {
    /// Digest of the bundle that the sidecar has: it is not sent again.
    #[serde(default)]
    bundle: Option<Digest>,
}

/// `GET /v1/feed`. Ends when the agent's token does: the sidecar connects again with a new one. Ends also when its pod
/// opens newer ones, see [`super::feeds`].
pub async fn stream(
    State(control): State<Arc<Control>>,
    Caller(claims): Caller,
    Query(resume): Query<Resume>,
) -> Result<Response, Refusal> {
    let views = control.hub.subscribe(&claims.agent.uid).ok_or(Refusal::UnknownAgent)?;
    let open = control.feeds.open(&claims.pod.uid);
    let (sender, receiver) = mpsc::channel(QUEUE);
    let reader = sender.clone();
    let connection = Connection {
        as_of: control.hub.as_of(),
        control,
        views,
        lines: sender,
        sequence: 0,
        bundle: resume.bundle,
        grants: None,
    };
    let until = claims.exp;
    tokio::spawn(async move {
        let life = until.duration_since(Timestamp::now()).unsigned_abs();
        let drain = connection.control.drain.clone();
        tokio::select! {
            () = tokio::time::sleep(life) => {}
            () = drain.begun() => {}
            () = open.displaced() => {}
            () = reader.closed() => {}
            _ = connection.run() => {}
        }
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines(receiver))).into_response())
}

fn lines(receiver: mpsc::Receiver<String>) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    use futures::StreamExt as _;
    ReceiverStream::new(receiver).map(|line| Ok(Bytes::from(line)))
}

struct Connection {
    control: Arc<Control>,
    views: watch::Receiver<View>,
    as_of: watch::Receiver<Option<Timestamp>>,
    lines: mpsc::Sender<String>,
    sequence: u64,
    bundle: Option<Digest>,
    grants: Option<Arc<Grants>>,
}

/// The reader is gone, or nothing can be signed.
struct Ended;

impl Connection {
    async fn run(mut self) -> Result<(), Ended> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        self.update().await?;
        loop {
            tokio::select! {
                changed = self.views.changed() => {
                    changed.map_err(|_| Ended)?;
                    self.update().await?;
                }
                _ = heartbeat.tick() => self.send(FeedItem::Heartbeat).await?,
                // What was confirmed anew is passed on at once: the sidecar's knowledge is as old as the last list, not older.
                confirmed = self.as_of.changed() => {
                    confirmed.map_err(|_| Ended)?;
                    self.send(FeedItem::Heartbeat).await?;
                }
            }
        }
    }

    /// Sends what differs from what this connection was told. Grants first: a suspension must not wait for a bundle.
    async fn update(&mut self) -> Result<(), Ended> {
        let view = self.views.borrow_and_update().clone();
        if self.grants.as_ref() != Some(&view.grants) {
            self.send(FeedItem::Grants(Grants::clone(&view.grants))).await?;
            self.grants = Some(Arc::clone(&view.grants));
        }
        if let Some(published) = &view.bundle {
            let digest = published.bundle.digest();
            if self.bundle != Some(digest) {
                let source = Box::new(published.bundle.source().clone());
                self.send(FeedItem::Policy { version: published.version, digest, source }).await?;
                self.bundle = Some(digest);
            }
        }
        Ok(())
    }

    async fn send(&mut self, item: FeedItem) -> Result<(), Ended> {
        // Before the first confirmation nothing may look fresh.
        let as_of = loop {
            if let Some(as_of) = *self.as_of.borrow_and_update() {
                break as_of;
            }
            self.as_of.changed().await.map_err(|_| Ended)?;
        };
        self.sequence = self.sequence.saturating_add(1);
        let agent_uid = self.views.borrow().agent.uid.clone();
        let envelope = Envelope { agent_uid, sequence: self.sequence, as_of, item };
        let mut line = envelope.sign(&self.control.keys.feed).map_err(|error| {
            tracing::error!(%error, "feed item not sent");
            Ended
        })?;
        line.push('\n');
        self.lines.send(line).await.map_err(|_| Ended)
    }
}
