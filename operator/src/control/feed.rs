//! The feed: one signed stream per connection. Whole states, not differences, so that a new connection needs no memory.

use std::sync::Arc;

use aegis_decision::digest::Digest;
use aegis_runtime::shutdown::Drain;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::auth::Caller;
use super::feeds::Open;
use super::pieces::{NotTaken, Pieces, pieces};
use super::telling::{Ended, Sources, Telling};
use super::{Control, Refusal};
use crate::metrics::Metrics;

/// Query of the feed.
#[derive(Debug, Deserialize)]
pub struct Resume {
    /// Digest of the bundle that the sidecar has: it is not sent again.
    #[serde(default)]
    bundle: Option<Digest>,
}

/// What a feed lives by.
struct Life {
    open: Open,
    drain: Drain,
    until: Timestamp,
    metrics: Metrics,
}

/// Why a feed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum End {
    /// A sidecar connects again with a new token.
    #[error("the agent's token ended")]
    Expired,
    /// A sidecar connects again, to another replica.
    #[error("this replica ends")]
    Draining,
    /// See [`super::feeds`].
    #[error("its pod opened newer feeds")]
    Displaced,
    /// Its connection ended. The HTTP server reads while it answers: it need not write to notice.
    #[error("the reader is gone")]
    Gone,
    /// Nothing more can be told.
    #[error(transparent)]
    Ended(Ended),
}

/// `GET /v1/feed`. Ends when the agent's token does: the sidecar connects again with a new one. Ends also when its pod
/// opens newer ones, see [`super::feeds`], when its connection ends, and when it is read too slowly.
pub async fn stream(
    State(control): State<Arc<Control>>,
    Caller(claims): Caller,
    Query(resume): Query<Resume>,
) -> Result<Response, Refusal> {
    let views = control.hub.subscribe(&claims.agent.uid).ok_or(Refusal::UnknownAgent)?;
    let sources =
        Sources { keys: Arc::clone(&control.keys), room: control.room.clone(), views, as_of: control.hub.as_of() };
    let life = Life {
        open: control.feeds.open(&claims.pod.uid),
        drain: control.drain.clone(),
        until: claims.exp,
        metrics: control.metrics.clone(),
    };
    Ok(answer(sources, resume.bundle, life))
}

/// The answer whose body is the feed of a sidecar that has the bundle of this digest.
fn answer(sources: Sources, has: Option<Digest>, life: Life) -> Response {
    let (lines, stream) = pieces();
    let reader = lines.clone();
    let telling = Telling::new(sources, lines, has);
    tokio::spawn(async move {
        let end = life.end(telling, &reader).await;
        if end == End::Ended(Ended::NotTaken(NotTaken::TooSlow)) {
            life.metrics.feed_too_slow();
        }
        tracing::debug!(reason = %end, "feed ended");
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response()
}

impl Life {
    /// Tells until the feed's end.
    async fn end(&self, telling: Telling, reader: &Pieces) -> End {
        let left = self.until.duration_since(Timestamp::now()).unsigned_abs();
        // In this order: without a reader the telling ends, too.
        tokio::select! {
            biased;
            () = tokio::time::sleep(left) => End::Expired,
            () = self.drain.begun() => End::Draining,
            () = self.open.displaced() => End::Displaced,
            () = reader.gone() => End::Gone,
            ended = telling.run() => End::Ended(ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use aegis_decision::agent::Lifecycle;
    use aegis_runtime::serve::{Limits, https};
    use aegis_runtime::tls::{Authority, ClientIdentity, client_config, server_config};
    use axum::Router;
    use axum::routing::get;
    use jiff::SignedDuration;
    use prometheus_client::registry::Registry;
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{sleep, timeout};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::super::fixture::{UID, keys, published, told, view};
    use super::super::{Feeds, Room};
    use super::*;
    use crate::hub::Hub;

    #[derive(Clone)]
    struct Scene {
        hub: Arc<Hub>,
        room: Room,
        feeds: Arc<Feeds>,
        drain: Drain,
        metrics: Metrics,
    }

    impl Scene {
        /// The agent's first view is known, and how old it is.
        fn new(registry: &mut Registry) -> Self {
            let metrics = Metrics::new(registry);
            let hub = Hub::default();
            hub.publish(view(Lifecycle::Active, &published(1, "1")));
            hub.confirm(Timestamp::UNIX_EPOCH);
            Self {
                hub: Arc::new(hub),
                room: Room::of(8, metrics.clone()),
                feeds: Feeds::new(metrics.clone()),
                drain: Drain::new(),
                metrics,
            }
        }

        fn sources(&self) -> Sources {
            let views = self.hub.subscribe(UID).unwrap();
            Sources { keys: keys(), room: self.room.clone(), views, as_of: self.hub.as_of() }
        }

        /// That of a feed of one pod, whose token is good for some minutes.
        fn life(&self) -> Life {
            Life {
                open: self.feeds.open("uid-pod"),
                drain: self.drain.clone(),
                until: Timestamp::now() + SignedDuration::from_mins(5),
                metrics: self.metrics.clone(),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_that_ends_says_why() {
        let scene = Scene::new(&mut Registry::default());
        // Nobody reads.
        let end = async |life: Life| {
            let (lines, _stream) = pieces();
            let reader = lines.clone();
            life.end(Telling::new(scene.sources(), lines, None), &reader).await
        };
        assert_eq!(end(scene.life()).await, End::Ended(Ended::NotTaken(NotTaken::TooSlow)));
        assert_eq!(end(Life { until: Timestamp::now(), ..scene.life() }).await, End::Expired);
        let (first, _newer) = (scene.life(), [scene.life(), scene.life()]);
        assert_eq!(end(first).await, End::Displaced);

        let (lines, stream) = pieces();
        let reader = lines.clone();
        drop(stream);
        assert_eq!(scene.life().end(Telling::new(scene.sources(), lines, None), &reader).await, End::Gone);
        scene.drain.begin();
        assert_eq!(end(scene.life()).await, End::Draining);
    }

    /// A server of nothing but feeds.
    struct Server {
        address: SocketAddr,
        connector: TlsConnector,
    }

    impl Server {
        async fn new(scene: Scene) -> Self {
            let feed = move || std::future::ready(answer(scene.sources(), None, scene.life()));
            let router = Router::new().route("/v1/feed", get(feed));
            let authority = Authority::generate("test", Duration::from_hours(1)).unwrap();
            let leaf = authority.leaf(&["127.0.0.1".to_owned()], Duration::from_hours(1)).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let tls = Arc::new(server_config(&leaf).unwrap());
            tokio::spawn(https(listener, tls, router, Limits::default(), Drain::new()));
            let identity = ClientIdentity::generate().unwrap();
            let tls = client_config(authority.certificate_pem(), &identity).unwrap();
            Self { address, connector: TlsConnector::from(Arc::new(tls)) }
        }

        /// A connection on which a feed has begun.
        async fn open(&self) -> TlsStream<TcpStream> {
            let stream = TcpStream::connect(self.address).await.unwrap();
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let mut stream = self.connector.connect(name, stream).await.unwrap();
            stream.write_all(b"GET /v1/feed HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut status = [0; 15];
            stream.read_exact(&mut status).await.unwrap();
            assert_eq!(&status, b"HTTP/1.1 200 OK");
            stream
        }
    }

    /// Returns when a metric has this value. Before the next heartbeat, so nothing is written meanwhile.
    async fn until(registry: &Registry, metric: &str, value: &str) {
        let change = async {
            while told(registry, metric) != value {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(5), change).await.unwrap_or_else(|_| panic!("{metric} is not {value}"));
    }

    #[tokio::test]
    async fn a_feed_that_waits_for_room_ends_soon_after_its_client_hung_up() {
        let mut registry = Registry::default();
        let scene = Scene::new(&mut registry);
        let _full = scene.room.turn("uid-other", usize::MAX).come().await;
        let server = Server::new(scene).await;
        for says_so in [true, false] {
            let mut client = server.open().await;
            until(&registry, "aegis_operator_feeds_waiting", "1").await;
            if says_so {
                client.shutdown().await.unwrap();
            } else {
                drop(client);
            }
            until(&registry, "aegis_operator_feeds", "0").await;
            until(&registry, "aegis_operator_feeds_waiting", "0").await;
        }
    }
}
