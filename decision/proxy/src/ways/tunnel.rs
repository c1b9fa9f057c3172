//! A connection to a host of `Agent.egress`: let through by its name, recorded before and after, and ended as soon as it
//! would not be let through any more (INV-41). What is said on it is not judged, but where it begins with TLS, the server
//! name must be the host that it was opened for (INV-36).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_decision::codes::Code;
use aegis_decision::record::{ConnectionVerdict, Ended, ErrorClass, Way};
use bytes::BytesMut;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::route;
use super::site::Site;
use super::sniff;
use crate::record::compose::{self, Connection, ConnectionEnd};
use crate::record::{EndRoom, Recorder};
use crate::resolve::resolve;
use crate::worker::{Shared, Worker};

/// Time to resolve the host and to connect to it.
const DIAL_TIME: Duration = Duration::from_secs(10);
/// Time without a byte after which a tunnel is ended.
const IDLE_TIME: Duration = Duration::from_hours(1);
/// How often it is looked at whether it is idle, or allowed no longer because something expired.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes that are carried at once.
const BUFFER: usize = 16 * 1024;

/// Bytes both ways: to the host itself, or to it through the gateway.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that was let through, and reached.
pub struct Tunnel {
    shared: Arc<Shared>,
    recorder: Recorder,
    /// Id of its record.
    pub id: String,
    site: Site,
    upstream: Box<dyn Stream>,
    began: Instant,
    /// For the record of its end.
    room: EndRoom,
    _slot: OwnedSemaphorePermit,
}

/// A connection that was not let through, or not reached.
#[derive(Debug)]
pub struct Refused {
    /// Id of its record.
    pub id: String,
    /// Why.
    pub code: Code,
    /// One sentence.
    pub detail: String,
}

/// Why carrying bytes stopped before both sides ended it.
enum Stop {
    Broken,
    /// It begins with TLS for another host.
    Misdirected,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// Judges and records a connection, and dials its host.
pub async fn open(worker: &Worker, way: Way, site: Site) -> Result<Tunnel, Refused> {
    let shared = &worker.shared;
    let id = compose::new_id();
    let Some((recorder, view)) = shared.recorder.get().cloned().zip(shared.state.view()) else {
        return Err(refused(id, Code::NotReady));
    };
    let judged = route::egress(&view, &site, Timestamp::now()).and_then(|entry| {
        let slot = Arc::clone(&worker.tunnels).try_acquire_owned().map_err(|_| Code::TooManyCalls)?;
        shared.names.admit(entry, &site.host, Instant::now())?;
        Ok((entry, slot))
    });
    let (entry, slot) = match judged {
        Ok(judged) => judged,
        Err(code) => return Err(refuse(shared, way, id, Some(&site), site.port, code)),
    };
    let about = Connection {
        id: id.clone(),
        way,
        host: Some(site.host.clone()),
        port: site.port,
        verdict: ConnectionVerdict::Allow,
        code: None,
        detail: None,
        reason: Some(entry.reason.clone()),
    };
    let Ok(room) = recorder.connection_opened(compose::connection(&recorder, &view, about)).await else {
        return Err(refused(id, Code::RecordNotWritable));
    };
    shared.metrics.connected(way, None);
    let began = Instant::now();
    // A private address is never what an egress entry means: services of the cluster are tools.
    let dialling = async {
        if let Some(relay) = &worker.relay {
            let tunnel = relay.tunnel(&site).await;
            let tunnel = tunnel.map_err(|error| (ErrorClass::Connect, error.to_string()))?;
            return Ok(Box::new(TokioIo::new(tunnel)) as Box<dyn Stream>);
        }
        let addresses = resolve(worker.upstream.resolver(), &site.host, site.port, false).await;
        let addresses = addresses.map_err(|error| (ErrorClass::Resolve, error.to_string()))?;
        let stream = TcpStream::connect(addresses.as_slice()).await;
        let stream = stream.map_err(|_| (ErrorClass::Connect, "the host does not take the connection".to_owned()))?;
        let _ = stream.set_nodelay(true);
        Ok(Box::new(stream) as Box<dyn Stream>)
    };
    let dialled = timeout(DIAL_TIME, dialling).await;
    let dialled = dialled.unwrap_or_else(|_| Err((ErrorClass::Timeout, "no connection in time".to_owned())));
    match dialled {
        Ok(upstream) => {
            shared.metrics.tunnels.inc();
            Ok(Tunnel { shared: Arc::clone(shared), recorder, id, site, upstream, began, room, _slot: slot })
        }
        Err((error, detail)) => {
            let end = ConnectionEnd { error: Some(error), ..ConnectionEnd::new(&id, Ended::NotConnected) };
            recorder.connection_end(compose::connection_end(&recorder, end, began.elapsed()), room);
            shared.metrics.disconnected(Ended::NotConnected, 0, 0);
            Err(Refused { detail: format!("{}: {detail}", site.host), ..refused(id, Code::UpstreamUnreachable) })
        }
    }
}

/// Records a connection that is refused. A flood of captured ones is recorded in sums.
pub fn refuse(shared: &Shared, way: Way, id: String, site: Option<&Site>, port: u16, code: Code) -> Refused {
    shared.metrics.connected(way, Some(code));
    let mut refused = refused(id, code);
    let Some((recorder, view)) = shared.recorder.get().zip(shared.state.view()) else { return refused };
    if code == Code::TunnelToTool
        && let Some(site) = site
    {
        let mut tools = view.policy.bundle.source().tools.iter();
        if let Some(tool) = tools.find(|tool| route::is_at(tool, site)) {
            let variable = tool.name.to_ascii_uppercase().replace('-', "_");
            let hint = format!("call it by its base URL, in AEGIS_TOOL_{variable}_URL");
            refused.detail = format!("{site} is the tool {}: {hint}", tool.name);
        }
    }
    let about = Connection {
        id: refused.id.clone(),
        way,
        host: site.map(|site| site.host.clone()),
        port,
        verdict: ConnectionVerdict::Deny,
        code: Some(code),
        detail: Some(refused.detail.clone()),
        reason: None,
    };
    let record = compose::connection(recorder, &view, about);
    let record = match way {
        Way::Connect => Some(record),
        Way::Captured => shared.refusals.take(record, Instant::now()),
    };
    if let Some(record) = record
        && recorder.connection_refused(record.clone()).is_err()
    {
        if way == Way::Captured {
            shared.refusals.put_back(record);
        }
        return Refused {
            detail: Code::RecordNotWritable.cause().to_owned(),
            code: Code::RecordNotWritable,
            ..refused
        };
    }
    refused
}

fn refused(id: String, code: Code) -> Refused {
    Refused { id, code, detail: code.cause().to_owned() }
}

impl Tunnel {
    /// Carries bytes until an end, and records it. `first` was read from the agent already and is for this host; without
    /// it, the first bytes are looked at here.
    pub async fn carry(mut self, agent: impl AsyncRead + AsyncWrite, first: Option<Vec<u8>>) {
        let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
        let (mut from_agent, mut to_agent) = tokio::io::split(agent);
        let (mut from_host, mut to_host) = tokio::io::split(&mut self.upstream);
        let up = async {
            let first = match first {
                Some(first) => first,
                None => checked(&mut from_agent, &self.site.host).await?,
            };
            to_host.write_all(&first).await?;
            sent.fetch_add(length(&first), Ordering::Relaxed);
            copy(&mut from_agent, &mut to_host, &sent).await
        };
        let down = copy(&mut from_host, &mut to_agent, &received);
        let (ended, code) = tokio::select! {
            carried = async { tokio::try_join!(up, down) } => match carried {
                Ok(_) => (Ended::Closed, None),
                Err(Stop::Broken) => (Ended::Broken, None),
                Err(Stop::Misdirected) => (Ended::Policy, Some(Code::Misdirected)),
            },
            ended = allowed_no_longer(&self.shared, &self.site, &sent, &received) => ended,
            () = self.shared.drain.begun() => (Ended::Drain, None),
        };
        let (sent_bytes, received_bytes) = (sent.into_inner(), received.into_inner());
        let end = ConnectionEnd { code, sent_bytes, received_bytes, ..ConnectionEnd::new(&self.id, ended) };
        self.recorder.connection_end(compose::connection_end(&self.recorder, end, self.began.elapsed()), self.room);
        self.shared.metrics.tunnels.dec();
        self.shared.metrics.disconnected(ended, sent_bytes, received_bytes);
        tracing::debug!(host = self.site.host, ended = ended.as_str(), "tunnel ended");
    }

    /// Ends it before anything was carried.
    pub fn abandon(self) {
        let end = ConnectionEnd::new(&self.id, Ended::Broken);
        self.recorder.connection_end(compose::connection_end(&self.recorder, end, self.began.elapsed()), self.room);
        self.shared.metrics.tunnels.dec();
        self.shared.metrics.disconnected(Ended::Broken, 0, 0);
    }
}

/// Reads the first bytes. Any protocol may come, but TLS for no other host.
async fn checked(agent: &mut (impl AsyncRead + Unpin), host: &str) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if agent.read_buf(&mut bytes).await? == 0 {
            return Ok(bytes);
        }
        match sniff::is_for(&bytes, host) {
            Some(true) => return Ok(bytes),
            Some(false) => return Err(Stop::Misdirected),
            None => {}
        }
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    count: &AtomicU64,
) -> Result<(), Stop> {
    let mut buffer = BytesMut::with_capacity(BUFFER);
    loop {
        buffer.clear();
        if from.read_buf(&mut buffer).await? == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        to.write_all(&buffer).await?;
        count.fetch_add(length(&buffer), Ordering::Relaxed);
    }
}

/// Returns when the connection must end: its host or its agent is allowed no longer, or it is idle.
async fn allowed_no_longer(
    shared: &Shared,
    site: &Site,
    sent: &AtomicU64,
    received: &AtomicU64,
) -> (Ended, Option<Code>) {
    let mut changes = shared.state.changes();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut carried, mut since) = (0, Instant::now());
    loop {
        // Read before the wait: a change in between is seen by the next round.
        let judged = match shared.state.view() {
            Some(view) => route::egress(&view, site, Timestamp::now()).map(|_| ()),
            None => Err(Code::NotReady),
        };
        if let Err(code) = judged {
            return (Ended::Policy, Some(code));
        }
        let now_carried = sent.load(Ordering::Relaxed).saturating_add(received.load(Ordering::Relaxed));
        if now_carried != carried {
            (carried, since) = (now_carried, Instant::now());
        } else if since.elapsed() >= IDLE_TIME {
            return (Ended::Idle, None);
        }
        tokio::select! {
            told = changes.changed() => if told.is_err() { return (Ended::Drain, None) },
            _ = looks.tick() => {}
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
