//! Connections on which a gateway has proven itself, and those that are kept for the next calls.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http1;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::KEPT_TIME;

/// Connections that are kept for the next calls by a safe method (RFC 9110, 9.2.1), per worker.
const KEPT: usize = 4;

/// A request to the gateway, with the call whole.
pub(super) type Call = Request<Full<Bytes>>;

/// A connection on which the gateway proved itself.
pub(super) struct Line {
    /// Requests go in here.
    pub sender: http1::SendRequest<Full<Bytes>>,
    driver: AbortOnDropHandle<()>,
    used: Instant,
}

impl Line {
    /// A new one, driven by this task.
    pub fn new(sender: http1::SendRequest<Full<Bytes>>, driver: AbortOnDropHandle<()>) -> Self {
        Self { sender, driver, used: Instant::now() }
    }

    /// Lets the connection live on without this handle.
    pub fn detach(self) {
        drop(self.driver.detach());
    }

    /// Whether the gateway surely takes another call on it: one that ends now waits longer than this.
    fn is_good(&self) -> bool {
        self.sender.is_ready() && !self.sender.is_closed() && self.used.elapsed() < KEPT_TIME
    }
}

/// Connections without a call.
#[derive(Default)]
pub(super) struct Idle(Mutex<Vec<Line>>);

impl Idle {
    /// One that is good.
    pub fn take(&self) -> Option<Line> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(Line::is_good);
        idle.pop()
    }

    /// Keeps one for the next call.
    pub fn keep(&self, mut line: Line) {
        line.used = Instant::now();
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(Line::is_good);
        if idle.len() < KEPT {
            idle.push(line);
        }
    }
}
