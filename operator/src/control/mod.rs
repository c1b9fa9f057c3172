//! The control service: what the sidecars of this cluster call, over TLS with their own client keys.
//!
//! Every replica serves; nothing here rests on leadership. What a sidecar may do is bound to its agent's uid, which its
//! token names; the token is bound to the key of the TLS connection.

mod approvals;
mod auth;
mod claim;
mod compiled;
mod error;
mod feed;
mod feeds;
#[cfg(test)]
mod fixture;
mod heads;
mod outcome;
mod per_name;
mod pieces;
mod probe;
mod requests;
mod room;
mod telling;
mod token;
mod trials;

use std::sync::Arc;
use std::time::Duration;

use aegis_crds::mesh::Settings;
use aegis_decision::jws::KeySet;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use kube::Client;

use crate::approvals::Released;
use crate::guards::Guards;
use crate::hub::Hub;
use crate::keys::Keys;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::owned::Fences;
use crate::report::Events;
use crate::stores::{Changes, Stores};
use crate::trials::Trials;

pub use auth::AUDIENCE;
pub use compiled::Compiled;
pub use error::Refusal;
pub use feeds::Feeds;
pub use heads::Heads;
pub use per_name::Turns;
pub use room::Room;

/// Time for one request.
const HANDLING: Duration = Duration::from_secs(30);
/// Largest body of a request. A held call with its facts is the largest: the tool's own limit is lower.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// Largest form of a token exchange, which anyone may send: a service account token has some 2 KiB.
const MAX_TOKEN_FORM: usize = 32 * 1024;
/// Largest report of trials: one of as many policies as it may name, with the longest names and counts, has some 48 KiB.
const MAX_TRIALS: usize = 64 * 1024;

/// What every handler needs.
pub struct Control {
    /// The API server.
    pub client: Client,
    /// Signing keys.
    pub keys: Arc<Keys>,
    /// Their public halves.
    pub public: KeySet,
    /// Feeds that are open.
    pub feeds: Arc<Feeds>,
    /// Room for bundles on their way to sidecars.
    pub room: Room,
    /// What sidecars should know.
    pub hub: Arc<Hub>,
    /// What the API server holds, as last seen.
    pub stores: Stores,
    /// What to look at again.
    pub changes: Arc<Changes>,
    /// Guards in the API server.
    pub guards: Guards,
    /// Releases that are out.
    pub released: Arc<Released>,
    /// Heads of record files.
    pub heads: Heads,
    /// How trials go.
    pub trials: Trials,
    /// Whether this replica writes.
    pub leadership: Leadership,
    /// What came of the objects that agents own.
    pub fences: Fences,
    /// What the pods of agents must look like.
    pub mesh: Arc<Settings>,
    /// Events.
    pub events: Events,
    /// Metrics.
    pub metrics: Metrics,
    /// Trust domain in subjects.
    pub trust_domain: String,
    /// Organisation in tokens.
    pub org: String,
    /// Issuer of tokens.
    pub issuer: String,
    /// Open requests that one agent may have.
    pub max_open_approvals: usize,
    /// Held while an agent's requests are counted and one is opened.
    pub opening: Turns,
    /// Held while a held call of an agent is judged.
    pub judging: Turns,
    /// Bundles to judge held calls with.
    pub compiled: Compiled,
    /// The drain of the process: long streams end with it.
    pub drain: aegis_runtime::shutdown::Drain,
}

/// The routes.
pub fn router(control: Arc<Control>) -> Router {
    let exchange = post(token::exchange)
        .layer::<_, std::convert::Infallible>(DefaultBodyLimit::max(MAX_TOKEN_FORM))
        .layer(Extension(token::Turnstile::default()));
    let counts = post(trials::take).layer::<_, std::convert::Infallible>(DefaultBodyLimit::max(MAX_TRIALS));
    Router::new()
        .route("/v1/token", exchange)
        .route("/v1/feed", get(feed::stream))
        .route("/v1/approvals", post(approvals::submit))
        .route("/v1/approvals/{uid}/claim", post(claim::claim))
        .route("/v1/approvals/{uid}/outcome", post(outcome::report))
        .route("/v1/probe", post(probe::report))
        .route("/v1/heads", post(heads::put).get(heads::list))
        .route("/v1/trials", counts)
        .route("/jwks.json", get(jwks))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(in_time))
        .with_state(control)
}

/// Bounds the time from a request's headers to the head of its answer, its body's arrival included: a slow sender must
/// not hold a connection that a sidecar needs. The feed's stream begins at once and is not cut by this.
async fn in_time(request: Request, next: Next) -> Result<Response, Refusal> {
    tokio::time::timeout(HANDLING, next.run(request)).await.map_err(|_| Refusal::TooSlow)
}

/// A text that a pod sent, for the log: bounded, printable.
fn loggable(text: &str) -> String {
    text.chars().filter(|char| char.is_ascii_graphic() || *char == ' ').take(128).collect()
}

async fn jwks(axum::extract::State(control): axum::extract::State<Arc<Control>>) -> Json<KeySet> {
    Json(control.public.clone())
}
