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
use crate::pause::{Pause, Taken};
use crate::state::{Knowledge, Policy, State};

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

/// Why a bundle that came is not used. The last good one stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Its line is longer than an item may be, and was not read.
    TooLong,
    /// Its source, or what would become of it, is larger than a bundle may be.
    TooLarge,
    /// It does not compile.
    Invalid,
    /// The thread that compiled it died.
    Aborted,
}

impl Rejection {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::TooLong, Self::TooLarge, Self::Invalid, Self::Aborted];

    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::Aborted => "aborted",
        }
    }
}

impl Lost {
    /// The bundle that was not used, if one ended the connection: nothing else is as long as an item may be.
    fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::Broke(LinesCodecError::MaxLineLengthExceeded) => Some(Rejection::TooLong),
            Self::Compiling => Some(Rejection::Aborted),
            Self::Control(_) | Self::Broke(_) | Self::Silent | Self::Ended | Self::Refused(_) => None,
        }
    }

    /// Whether an item ended the connection, and not the connection itself.
    fn is_of_an_item(&self) -> bool {
        matches!(self, Self::Refused(_)) || self.rejection().is_some()
    }
}

/// What came of an accepted item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It counts.
    Taken,
    /// It counts, and another bundle is in use.
    Swapped,
    /// It is a bundle that cannot be used. The last good one stays.
    Rejected,
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
        let mut pause = Pause::default();
        loop {
            let mut taken = Taken::default();
            let connection = self.connection(&mut feed, pending, &mut taken).await;
            if let Err(lost) = &connection
                && lost.is_of_an_item()
            {
                taken.item(false);
            }
            pause.ended(taken);
            // Otherwise another bundle is in use: the new connection reports its digest.
            if let Err(lost) = connection {
                if let Some(rejection) = lost.rejection() {
                    self.metrics.bundle_rejected(rejection);
                }
                tracing::warn!(error = &lost as &dyn std::error::Error, "feed lost");
                sleep(jittered(pause.begin(), 0.5)).await;
            }
        }
    }

    /// Follows one connection until it is lost, or until another bundle is in use.
    async fn connection(&self, feed: &mut FeedState, pending: &mut Pending, taken: &mut Taken) -> Result<(), Lost> {
        self.metrics.feed_connections.inc();
        let bearer = self.state.bearer();
        let in_use = self.state.policy().map(|policy| policy.bundle.digest());
        let FeedStream { body, keys, .. } = &mut self.control.feed(&bearer, in_use).await?;
        feed.connected();
        let mut lines = lines(body);
        loop {
            let line = timeout(SILENCE, lines.next()).await.map_err(|_| Lost::Silent)?.ok_or(Lost::Ended)??;
            let applied = self.accept(feed, &line, keys, pending).await?;
            taken.item(applied != Applied::Rejected);
            if applied == Applied::Swapped {
                return Ok(());
            }
        }
    }

    /// Takes one line, and tells what came of it.
    async fn accept(
        &self,
        feed: &mut FeedState,
        line: &str,
        keys: &KeySet,
        pending: &mut Pending,
    ) -> Result<Applied, Lost> {
        let change = feed.accept(line, keys, Timestamp::now()).inspect_err(|_| {
            self.metrics.feed_refusals.inc();
        })?;
        let applied = apply(change, &self.state, &self.metrics).await?;
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
        Ok(applied)
    }
}

/// Applies an accepted change. A bundle is compiled off the request path, and one that does not compile leaves the last
/// good one in use.
pub async fn apply(change: Change, state: &State, metrics: &Metrics) -> Result<Applied, Lost> {
    match change {
        Change::Policy { version, digest, source } => {
            let compiled = tokio::task::spawn_blocking(move || Bundle::assemble(*source)).await;
            match compiled.map_err(|_| Lost::Compiling)? {
                Ok(bundle) => {
                    metrics.bundle_version.set(i64::try_from(version).unwrap_or(i64::MAX));
                    tracing::info!(version, %digest, rules = bundle.rule_count(), "bundle in use");
                    state.set_policy(Policy { bundle, version });
                    Ok(Applied::Swapped)
                }
                Err(error) => {
                    metrics.bundle_rejected(if error.is_too_large() {
                        Rejection::TooLarge
                    } else {
                        Rejection::Invalid
                    });
                    tracing::error!(version, %digest, %error, "bundle does not compile; the last good one stays");
                    Ok(Applied::Rejected)
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
            Ok(Applied::Taken)
        }
        Change::Nothing => Ok(Applied::Taken),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_item_that_cannot_be_taken_keeps_the_pause_long() {
        let io = || io::Error::from(io::ErrorKind::ConnectionReset);
        for lost in [Lost::Broke(LinesCodecError::Io(io())), Lost::Silent, Lost::Ended] {
            assert!(!lost.is_of_an_item() && lost.rejection().is_none(), "{lost}");
        }
        let refused = Lost::Refused(FeedError::VersionReused);
        assert!(refused.is_of_an_item() && refused.rejection().is_none());
        for (lost, rejection) in [
            (Lost::Broke(LinesCodecError::MaxLineLengthExceeded), Rejection::TooLong),
            (Lost::Compiling, Rejection::Aborted),
        ] {
            assert!(lost.is_of_an_item(), "{lost}");
            assert_eq!(lost.rejection(), Some(rejection));
        }
    }
}
