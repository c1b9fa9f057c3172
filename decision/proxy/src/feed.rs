//! The feed: policy, grants and time from the control service, verified item by item.
//!
//! What cannot be verified changes nothing and ends the connection; the last good policy and grants stay, and their age
//! closes what must close.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aegis_decision::bundle::Bundle;
use aegis_decision::feed::{Change, FeedError, FeedState, MAX_ITEM_BYTES};
use aegis_decision::jws::KeySet;
use aegis_runtime::ready;
use aegis_runtime::shutdown::Drain;
use futures::stream::MapErr;
use futures::{StreamExt as _, TryStreamExt as _};
use http_body_util::BodyDataStream;
use hyper::body::{Bytes, Incoming};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

use crate::control::{Control, ControlFault, FeedStream};
use crate::identity::{Attested, jittered};
use crate::metrics::Metrics;
use crate::state::{Knowledge, Policy, State};

/// First pause after a lost connection.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause after a lost connection.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Longest silence: heartbeats come every 10 s.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a connection to the feed ended.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// It could not be opened.
    #[error(transparent)]
    Control(#[from] ControlFault),
    /// It broke, or a line is longer than an item may be.
    #[error("the feed broke")]
    Broke(#[from] LinesCodecError),
    /// Nothing came for too long.
    #[error("the feed was silent for {} s", SILENCE.as_secs())]
    Silent,
    /// The other side ended it.
    #[error("the feed ended")]
    Ended,
    /// An item that cannot be accepted.
    #[error(transparent)]
    Refused(#[from] FeedError),
    /// The thread that compiles bundles died.
    #[error("compiling was aborted")]
    Compiling,
}

/// Follows the feed.
pub struct Feed {
    /// Opens it.
    pub control: Arc<Control>,
    /// Gets what it says.
    pub state: Arc<State>,
    /// Says which agent this is.
    pub attested: watch::Receiver<Option<Attested>>,
    /// Metrics.
    pub metrics: Metrics,
}

/// What is still waited for.
pub struct Pending {
    /// The first policy.
    pub bundle: Option<ready::Handle>,
    /// The first grants.
    pub grants: Option<ready::Handle>,
}

impl Feed {
    /// Follows until `quiet`.
    pub async fn follow(mut self, mut pending: Pending, quiet: Drain) {
        tokio::select! {
            () = quiet.begun() => {}
            () = self.reconnect(&mut pending) => {}
        }
    }

    async fn reconnect(&mut self, pending: &mut Pending) {
        // The attestation says which agent this is; without one there is no token either.
        let uid = match self.attested.wait_for(Option::is_some).await {
            Ok(attested) => attested.as_ref().map(|attested| attested.attestation.agent.uid.clone()),
            Err(_) => return,
        };
        let Some(uid) = uid else { return };
        let mut feed = FeedState::new(uid);
        let mut pause = FIRST_PAUSE;
        loop {
            let before = feed.as_of();
            let lost = match self.connection(&mut feed, pending).await {
                // Another bundle is in use: the new connection reports its digest.
                Ok(()) => continue,
                Err(lost) => lost,
            };
            if feed.as_of() != before {
                pause = FIRST_PAUSE;
            }
            tracing::warn!(error = &lost as &dyn std::error::Error, "feed lost");
            sleep(jittered(pause, 0.5)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Follows one connection until it is lost, or until another bundle is in use.
    async fn connection(&self, feed: &mut FeedState, pending: &mut Pending) -> Result<(), Lost> {
        self.metrics.feed_connections.inc();
        let bearer = self.state.bearer();
        let in_use = self.state.policy().map(|policy| policy.bundle.digest());
        let FeedStream { body, keys, .. } = &mut self.control.feed(&bearer, in_use).await?;
        feed.connected();
        let mut lines = lines(body);
        loop {
            let line = timeout(SILENCE, lines.next()).await.map_err(|_| Lost::Silent)?.ok_or(Lost::Ended)??;
            if self.accept(feed, &line, keys, pending).await? {
                return Ok(());
            }
        }
    }

    /// Takes one line; tells whether another bundle is in use now.
    async fn accept(
        &self,
        feed: &mut FeedState,
        line: &str,
        keys: &KeySet,
        pending: &mut Pending,
    ) -> Result<bool, Lost> {
        let change = feed.accept(line, keys, Timestamp::now()).inspect_err(|_| {
            self.metrics.feed_refusals.inc();
        })?;
        let swapped = apply(change, &self.state, &self.metrics).await?;
        if let Some(as_of) = feed.as_of() {
            self.state.set_knowledge(Knowledge::AsOf(as_of));
        }
        if self.state.policy().is_some()
            && let Some(ready) = pending.bundle.take()
        {
            ready.release();
        }
        if self.state.has_grants()
            && let Some(ready) = pending.grants.take()
        {
            ready.release();
        }
        Ok(swapped)
    }
}

/// Applies an accepted change; tells whether the bundle was swapped. A bundle is compiled off the request path, and one
/// that does not compile leaves the last good one in use.
pub async fn apply(change: Change, state: &State, metrics: &Metrics) -> Result<bool, Lost> {
    match change {
        Change::Policy { version, digest, source } => {
            let compiled = tokio::task::spawn_blocking(move || Bundle::assemble(*source)).await;
            match compiled.map_err(|_| Lost::Compiling)? {
                Ok(bundle) => {
                    metrics.bundle_version.set(i64::try_from(version).unwrap_or(i64::MAX));
                    tracing::info!(version, %digest, rules = bundle.rule_count(), "bundle in use");
                    state.set_policy(Policy { bundle, version });
                    Ok(true)
                }
                Err(error) => {
                    metrics.bundles_rejected.inc();
                    tracing::error!(version, %digest, %error, "bundle does not compile; the last good one stays");
                    Ok(false)
                }
            }
        }
        Change::Grants(grants) => {
            tracing::debug!(
                standing = ?grants.standing.lifecycle,
                delegations = grants.delegations.len(),
                releases = grants.releases.len(),
                "grants"
            );
            state.set_grants(*grants);
            Ok(false)
        }
        Change::Nothing => Ok(false),
    }
}

/// The lines of a body, none longer than an item may be.
type Lines<'a> = FramedRead<StreamReader<BodyRead<'a>, Bytes>, LinesCodec>;
/// What it is read from.
type BodyRead<'a> = MapErr<BodyDataStream<&'a mut Incoming>, fn(hyper::Error) -> io::Error>;

fn lines(body: &mut Incoming) -> Lines<'_> {
    let read: BodyRead<'_> = BodyDataStream::new(body).map_err(io::Error::other);
    FramedRead::new(StreamReader::new(read), LinesCodec::new_with_max_length(MAX_ITEM_BYTES))
}
