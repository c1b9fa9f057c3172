//! The DNS stub that the agent's questions are redirected to. It answers for names that the agent may reach, with
//! addresses that the sidecar resolved and would dial itself; nothing that the agent asks is ever passed on (THR-4).
//!
//! [`answer`] decides from the question alone; here are the sockets, and their bounds. A thread of its own: a flood of
//! questions takes no time from calls, nor from the token.

pub mod answer;

use std::net::{SocketAddr, TcpListener as StdListener, UdpSocket as StdSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use self::answer::{Plan, Question};
use super::bucket::Bucket;
use crate::resolve::resolve;
use crate::worker::Shared;

/// Longest question that is read, in bytes (RFC 6891 makes 4096 usual).
const MAX_BYTES: usize = 4096;
/// Questions that are answered at once.
const MAX_QUESTIONS: usize = 64;
/// Connections over TCP at once.
const MAX_STREAMS: usize = 16;
/// Time for one exchange over TCP, and for one answer.
const TIME: Duration = Duration::from_secs(5);
/// Questions at once, of whatever kind.
const BURST: u32 = 400;
/// Questions a second.
const PER_SECOND: u32 = 200;

/// Sockets of one address.
#[derive(Debug)]
pub struct Bound {
    udp: StdSocket,
    tcp: StdListener,
}

/// Binds an address for UDP and TCP.
pub fn bind(address: SocketAddr) -> std::io::Result<Bound> {
    let domain = Domain::for_address(address);
    let udp = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    let tcp = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    tcp.set_reuse_address(true)?;
    for socket in [&udp, &tcp] {
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
    }
    tcp.listen(128)?;
    Ok(Bound { udp: udp.into(), tcp: tcp.into() })
}

/// Starts the stub's thread. The receiver is told when the drain has begun, and closed when the thread died.
pub fn spawn(bound: Vec<Bound>, shared: Arc<Shared>) -> std::io::Result<oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (done, ended) = oneshot::channel();
    std::thread::Builder::new().name("aegis-dns".to_owned()).spawn(move || {
        match runtime.block_on(serve(bound, shared)) {
            Ok(()) => {
                let _ = done.send(());
            }
            Err(error) => tracing::error!(%error, "dns stub cannot listen"),
        }
    })?;
    Ok(ended)
}

/// The stub.
struct Stub {
    shared: Arc<Shared>,
    resolver: Option<TokioResolver>,
    rate: Mutex<Bucket>,
    questions: Arc<Semaphore>,
}

async fn serve(bound: Vec<Bound>, shared: Arc<Shared>) -> std::io::Result<()> {
    let resolver = TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build).ok();
    let drain = shared.drain.clone();
    let stub = Arc::new(Stub {
        shared,
        resolver,
        rate: Mutex::new(Bucket::new(BURST, PER_SECOND, Instant::now())),
        questions: Arc::new(Semaphore::new(MAX_QUESTIONS)),
    });
    let streams = Arc::new(Semaphore::new(MAX_STREAMS));
    let mut serving = JoinSet::new();
    for Bound { udp, tcp } in bound {
        serving.spawn(datagrams(Arc::clone(&stub), Arc::new(UdpSocket::from_std(udp)?)));
        serving.spawn(connections(Arc::clone(&stub), TcpListener::from_std(tcp)?, Arc::clone(&streams)));
    }
    drain.begun().await;
    Ok(())
}

async fn datagrams(stub: Arc<Stub>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; MAX_BYTES];
    loop {
        let (bytes, peer) = match socket.recv_from(&mut buffer).await {
            Ok((length, peer)) => (buffer.get(..length).unwrap_or_default(), peer),
            Err(error) => {
                tracing::debug!(%error, "dns question not received");
                continue;
            }
        };
        // More would only wait: the agent asks again.
        let Ok(slot) = Arc::clone(&stub.questions).try_acquire_owned() else {
            stub.shared.metrics.asked("dropped");
            continue;
        };
        let (stub, socket, bytes) = (Arc::clone(&stub), Arc::clone(&socket), bytes.to_vec());
        tokio::spawn(async move {
            if let Some(answer) = stub.answer(&bytes).await {
                let _ = socket.send_to(&answer, peer).await;
            }
            drop(slot);
        });
    }
}

async fn connections(stub: Arc<Stub>, listener: TcpListener, slots: Arc<Semaphore>) {
    loop {
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let stub = Arc::clone(&stub);
                tokio::spawn(async move {
                    // It ends when the agent ends it, when it is slow, or when it breaks.
                    while matches!(timeout(TIME, exchange(&stub, &mut stream)).await, Ok(Some(()))) {}
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// One question and its answer over TCP (RFC 1035, 4.2.2).
async fn exchange(stub: &Stub, stream: &mut TcpStream) -> Option<()> {
    let length = usize::from(stream.read_u16().await.ok()?);
    if length > MAX_BYTES {
        return None;
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.ok()?;
    let answer = stub.answer(&bytes).await?;
    let mut framed = u16::try_from(answer.len()).ok()?.to_be_bytes().to_vec();
    framed.extend(answer);
    stream.write_all(&framed).await.ok()
}

impl Stub {
    /// Answers one message; nothing for what is no question at all.
    async fn answer(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let question = Question::read(bytes)?;
        let now = Instant::now();
        let in_time = self.rate.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        let plan = match self.shared.state.view() {
            _ if !in_time => Plan::Limited,
            None => Plan::Failed,
            Some(view) => answer::plan(&question, &view, &self.shared.names, jiff::Timestamp::now(), now),
        };
        let (plan, addresses) = match plan {
            Plan::Resolve { ref host, allow_private } => {
                let resolving = resolve(self.resolver.as_ref(), host, 0, allow_private);
                match timeout(TIME, resolving).await {
                    Ok(Ok(found)) => (plan, found.iter().map(SocketAddr::ip).collect()),
                    Ok(Err(error)) => {
                        tracing::debug!(host, %error, "dns question not answered");
                        (Plan::Failed, Vec::new())
                    }
                    Err(_) => (Plan::Failed, Vec::new()),
                }
            }
            other => (other, Vec::new()),
        };
        self.shared.metrics.asked(plan.as_str());
        question.answered(&plan, &addresses)
    }
}
