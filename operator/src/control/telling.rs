//! What one connection of the feed tells its sidecar, and in which order. Grants and heartbeats go out at once. A bundle
//! goes out when there is room for it among those on their way ([`super::room`]); while it waits, all else goes on.

use std::sync::Arc;
use std::time::Duration;

use aegis_decision::digest::Digest;
use aegis_decision::feed::{Envelope, FeedItem, Grants};
use jiff::Timestamp;
use tokio::sync::watch;

use super::pieces::{NotTaken, Pieces};
use super::room::{Held, Room, Turn};
use crate::hub::{Published, View};
use crate::keys::Keys;

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What a connection tells from.
pub struct Sources {
    /// Keys that sign.
    pub keys: Arc<Keys>,
    /// Room for bundles.
    pub room: Room,
    /// What the sidecar should know.
    pub views: watch::Receiver<View>,
    /// How old that is.
    pub as_of: watch::Receiver<Option<Timestamp>>,
}

/// A connection, with what it was told.
pub struct Telling {
    sources: Sources,
    lines: Pieces,
    sequence: u64,
    bundle: Option<Digest>,
    grants: Option<Arc<Grants>>,
    turn: Option<Turn>,
}

/// Why nothing more is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The reader is gone or too slow.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// The operator itself ends.
    #[error("there are no views any more")]
    NoViews,
    /// Nothing can be signed.
    #[error("an item could not be signed")]
    Unsigned,
}

/// What an item begins with.
struct Head {
    agent_uid: String,
    sequence: u64,
    as_of: Timestamp,
}

impl Telling {
    /// A connection of a sidecar that has the bundle of this digest.
    pub fn new(sources: Sources, lines: Pieces, bundle: Option<Digest>) -> Self {
        Self { sources, lines, sequence: 0, bundle, grants: None, turn: None }
    }

    /// Tells until it cannot.
    pub async fn run(mut self) -> Ended {
        let Err(ended) = self.tell().await;
        ended
    }

    async fn tell(&mut self) -> Result<std::convert::Infallible, Ended> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        self.update().await?;
        loop {
            // In this order: what may have been taken away comes before a bundle.
            tokio::select! {
                biased;
                changed = self.sources.views.changed() => {
                    changed.map_err(|_| Ended::NoViews)?;
                    self.update().await?;
                }
                // What was confirmed anew is passed on at once: the sidecar's knowledge is as old as the last list, not
                // older.
                confirmed = self.sources.as_of.changed() => {
                    confirmed.map_err(|_| Ended::NoViews)?;
                    self.send(FeedItem::Heartbeat).await?;
                }
                _ = heartbeat.tick() => self.send(FeedItem::Heartbeat).await?,
                held = come(&mut self.turn) => self.send_bundle(held).await?,
            }
        }
    }

    /// Sends grants that differ from those that this connection was told, and gets in line for the bundle.
    async fn update(&mut self) -> Result<(), Ended> {
        let grants = Arc::clone(&self.sources.views.borrow_and_update().grants);
        if self.grants.as_ref() != Some(&grants) {
            self.send(FeedItem::Grants(Grants::clone(&grants))).await?;
            self.grants = Some(grants);
        }
        self.line_up();
        Ok(())
    }

    /// Has a place in line exactly while there is a bundle to be told. It is kept while it is good for the newest one.
    fn line_up(&mut self) {
        let room = &self.sources.room;
        let bytes = self.untold().map(|published| published.bundle.source_bytes());
        self.turn = match (bytes, self.turn.take()) {
            (None, _) => None,
            (Some(bytes), Some(turn)) if room.is_awaited(bytes, &turn) => Some(turn),
            (Some(bytes), _) => Some(room.turn(bytes)),
        };
    }

    /// The newest bundle, if the sidecar does not have it.
    fn untold(&self) -> Option<Arc<Published>> {
        let published = self.sources.views.borrow().bundle.clone()?;
        (self.bundle != Some(published.bundle.digest())).then_some(published)
    }

    /// Sends the newest bundle. The room is held until the connection has taken the line.
    async fn send_bundle(&mut self, mut given: Held) -> Result<(), Ended> {
        self.turn = None;
        let Some(published) = self.untold() else { return Ok(()) };
        if !self.sources.room.is_held(published.bundle.source_bytes(), &given) {
            drop(given);
            self.line_up();
            return Ok(());
        }
        let (head, keys) = (self.head().await?, Arc::clone(&self.sources.keys));
        let (version, digest) = (published.version, published.bundle.digest());
        let line = given.sign(move || {
            let source = Box::new(published.bundle.source().clone());
            head.line(FeedItem::Policy { version, digest, source }, &keys)
        });
        let line = line.await.ok_or(Ended::Unsigned)??;
        self.lines.put(&line).await?;
        self.bundle = Some(digest);
        drop((line, given));
        Ok(())
    }

    async fn send(&mut self, item: FeedItem) -> Result<(), Ended> {
        let line = self.head().await?.line(item, &self.sources.keys)?;
        Ok(self.lines.put(&line).await?)
    }

    async fn head(&mut self) -> Result<Head, Ended> {
        // Before the first confirmation nothing may look fresh.
        let as_of = loop {
            if let Some(as_of) = *self.sources.as_of.borrow_and_update() {
                break as_of;
            }
            self.sources.as_of.changed().await.map_err(|_| Ended::NoViews)?;
        };
        self.sequence = self.sequence.saturating_add(1);
        let agent_uid = self.sources.views.borrow().agent.uid.clone();
        Ok(Head { agent_uid, sequence: self.sequence, as_of })
    }
}

impl Head {
    /// The signed line of an item, its end included.
    fn line(self, item: FeedItem, keys: &Keys) -> Result<String, Ended> {
        let Self { agent_uid, sequence, as_of } = self;
        let envelope = Envelope { agent_uid, sequence, as_of, item };
        let mut line = envelope.sign(&keys.feed).map_err(|error| {
            tracing::error!(%error, "feed item not sent");
            Ended::Unsigned
        })?;
        line.reserve_exact(1);
        line.push('\n');
        Ok(line)
    }
}

/// Returns when there is room for who waits; else never.
async fn come(turn: &mut Option<Turn>) -> Held {
    match turn {
        Some(turn) => turn.come().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use aegis_decision::agent::{Agent, Lifecycle, Mode, Standing};
    use aegis_decision::bundle::{Bundle, BundleSource};
    use aegis_decision::egress::Level;
    use aegis_decision::jws::{Purpose, SigningKey};
    use aegis_decision::tool::Class;
    use futures::{FutureExt as _, Stream, StreamExt as _};
    use prometheus_client::registry::Registry;

    use super::super::pieces::{Cut, pieces};
    use super::*;
    use crate::hub::Hub;
    use crate::metrics::Metrics;

    const UID: &str = "uid-buyer";

    fn agent(version: &str) -> Agent {
        Agent {
            namespace: "shop".to_owned(),
            name: "buyer".to_owned(),
            uid: UID.to_owned(),
            tenant: "acme".to_owned(),
            business_unit: "office".to_owned(),
            owner: "Purchasing".to_owned(),
            version: version.to_owned(),
            ceiling: Class::Commit,
            service_account: "buyer-sa".to_owned(),
            max_staleness_seconds: 60,
            token_ttl_seconds: 300,
            level: Level::Mediated,
            egress: Vec::new(),
            mode: Mode::Enforce,
        }
    }

    fn published(version: u64, of_agent: &str) -> Arc<Published> {
        let source = BundleSource {
            agent: agent(of_agent),
            tools: Vec::new(),
            policies: Vec::new(),
            registries: Vec::new(),
            tiers: Vec::new(),
        };
        Arc::new(Published { version, bundle: Bundle::assemble(source).unwrap().into() })
    }

    fn view(lifecycle: Lifecycle, bundle: &Arc<Published>) -> View {
        let standing = Standing { lifecycle, review: None };
        View {
            agent: Arc::new(agent("1")),
            workload_bound: true,
            bundle: Some(Arc::clone(bundle)),
            grants: Arc::new(Grants { standing, delegations: Vec::new(), releases: Vec::new(), probe_requested: None }),
        }
    }

    fn keys() -> Arc<Keys> {
        let key = |purpose, seed| SigningKey::from_seed(purpose, &[seed; 32]);
        Arc::new(Keys {
            tokens: key(Purpose::Tokens, 1),
            attestations: key(Purpose::Attestations, 2),
            feed: key(Purpose::Feed, 3),
            releases: key(Purpose::Releases, 4),
        })
    }

    struct Scene {
        hub: Hub,
        room: Room,
    }

    impl Scene {
        /// The agent's first view is known, and how old it is.
        fn new(bundle: &Arc<Published>) -> Self {
            let hub = Hub::default();
            hub.publish(view(Lifecycle::Active, bundle));
            hub.confirm(Timestamp::UNIX_EPOCH);
            Self { hub, room: Room::of(8, Metrics::new(&mut Registry::default())) }
        }

        fn connect(&self, has: Option<Digest>) -> impl Stream<Item = Result<bytes::Bytes, Cut>> + use<> {
            let views = self.hub.subscribe(UID).unwrap();
            let sources = Sources { keys: keys(), room: self.room.clone(), views, as_of: self.hub.as_of() };
            let (lines, stream) = pieces();
            tokio::spawn(Telling::new(sources, lines, has).run());
            stream
        }

        /// All room is taken until what this returns is dropped.
        fn fill(&self) -> Held {
            self.room.turn(usize::MAX).come().now_or_never().unwrap()
        }
    }

    /// The next item. Lines are short here: each is one piece.
    async fn next(stream: &mut (impl Stream<Item = Result<bytes::Bytes, Cut>> + Unpin)) -> FeedItem {
        let piece = stream.next().await.unwrap().unwrap();
        let line = std::str::from_utf8(&piece).unwrap().trim_end();
        Envelope::verify(line, &keys().public().unwrap()).unwrap().item
    }

    /// The next item that says something, after few heartbeats.
    async fn news(stream: &mut (impl Stream<Item = Result<bytes::Bytes, Cut>> + Unpin)) -> FeedItem {
        for _ in 0..100 {
            match next(stream).await {
                FeedItem::Heartbeat => {}
                item => return item,
            }
        }
        panic!("nothing but heartbeats");
    }

    fn lifecycle(item: FeedItem) -> Lifecycle {
        let FeedItem::Grants(grants) = item else { panic!("{item:?}") };
        grants.standing.lifecycle
    }

    #[tokio::test(start_paused = true)]
    async fn with_no_room_left_grants_and_heartbeats_go_on_and_the_bundle_comes_when_there_is_room() {
        let bundle = published(1, "1");
        let scene = Scene::new(&bundle);
        let full = scene.fill();
        let mut stream = Box::pin(scene.connect(None));
        assert_eq!(lifecycle(next(&mut stream).await), Lifecycle::Active);
        for _ in 0..3 {
            assert_eq!(next(&mut stream).await, FeedItem::Heartbeat);
        }
        scene.hub.publish(view(Lifecycle::Suspended, &bundle));
        assert_eq!(lifecycle(news(&mut stream).await), Lifecycle::Suspended);
        assert_eq!(next(&mut stream).await, FeedItem::Heartbeat);

        drop(full);
        let item = news(&mut stream).await;
        let FeedItem::Policy { version, digest, .. } = item else { panic!("{item:?}") };
        assert_eq!((version, digest), (1, bundle.bundle.digest()));
        assert_eq!(scene.room.left(), 8, "what was taken leaves room");
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_bundles_only_the_newest_is_told_and_none_that_the_sidecar_has() {
        let (first, second) = (published(1, "1"), published(2, "2"));
        let scene = Scene::new(&first);
        let full = scene.fill();
        let mut new = Box::pin(scene.connect(None));
        let mut known = Box::pin(scene.connect(Some(first.bundle.digest())));
        for stream in [&mut new, &mut known] {
            assert_eq!(lifecycle(next(stream).await), Lifecycle::Active);
        }
        // Now both lack one.
        scene.hub.publish(view(Lifecycle::Suspended, &second));
        for stream in [&mut new, &mut known] {
            assert_eq!(lifecycle(news(stream).await), Lifecycle::Suspended);
        }
        // When the first counts again, the one that has it lacks none.
        scene.hub.publish(view(Lifecycle::Active, &first));
        assert_eq!(lifecycle(news(&mut known).await), Lifecycle::Active);
        drop(known);
        scene.hub.publish(view(Lifecycle::Registered, &second));
        drop(full);
        let told = loop {
            if let FeedItem::Policy { version, .. } = news(&mut new).await {
                break version;
            }
        };
        assert_eq!(told, 2);
        assert_eq!(next(&mut new).await, FeedItem::Heartbeat);
    }
}
