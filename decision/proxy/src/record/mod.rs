//! Write-ahead: the decision is recorded before anything is sent, and durable before a Draft or Commit is.
//!
//! [`Recorder`] is the only maker of an [`AuditReceipt`], and [`crate::forward`] takes one by value: "forwarded without
//! a record" does not compile.
//!
//! ```compile_fail,E0451
//! let receipt = aegis_proxy::record::AuditReceipt { _private: () };
//! ```

pub mod compose;
mod room;
mod storage;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use aegis_decision::control::Head;
use aegis_decision::jws::{KeySet, SigningKey};
use aegis_decision::record::{ConnectionEndRecord, ConnectionRecord, DecisionRecord, OutcomeRecord, PodRef, Record};
use aegis_decision::segment::{Sealer, SegmentError};
use aegis_decision::tool::Class;
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use room::{Room, Taken};
pub use storage::{SegmentFile, Storage, StorageError};
pub use writer::WriterError;
use writer::{Job, Message, Writer};

use crate::metrics::Metrics;

/// Records that may wait for the writer, of [`Room::BYTES`] together with those that it has. More wait themselves, with
/// their calls.
const QUEUE: usize = 1024;
/// How long a record waits for its room and its place in the queue before it is refused.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it looks for them. The writer empties the queue by whole batches.
const LOOK: Duration = Duration::from_millis(1);

/// Proof that a decision is recorded as its class demands. Only [`Recorder::decision`] makes one; it is spent by sending.
#[derive(Debug)]
pub struct AuditReceipt {
    _private: (),
}

impl AuditReceipt {
    /// Spends it: one record, one request.
    pub(crate) fn spend(self) {
        let Self { _private: () } = self;
    }
}

/// The record was not kept: nothing may be sent on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record was not kept")]
pub struct NotWritable;

/// Why a segment cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The attestation does not fit the key.
    #[error("segment cannot be begun")]
    Segment(#[from] SegmentError),
    /// The file cannot be made.
    #[error("segment cannot be created")]
    Create(#[from] std::io::Error),
    /// The header cannot be kept.
    #[error("segment's header cannot be kept")]
    Header(#[from] StorageError),
}

/// Hands records to the writer.
#[derive(Debug, Clone)]
pub struct Recorder {
    messages: SyncSender<Message>,
    room: Room,
    /// Sleeps while a batch comes together, unless it is woken.
    writer: Thread,
    writable: Arc<AtomicBool>,
    pod: PodRef,
    began: Instant,
}

/// A segment that was begun.
pub struct Begun {
    /// For those who record.
    pub recorder: Recorder,
    /// The end of what is durable.
    pub head: watch::Receiver<Option<Head>>,
    /// How the writer ended.
    pub ended: oneshot::Receiver<Result<(), WriterError>>,
}

/// Begins a new epoch with a file of its own in `folder`.
pub fn begin(
    folder: &Path,
    key: SigningKey,
    attestation: &str,
    keys: &KeySet,
    metrics: Metrics,
) -> Result<Begun, OpenError> {
    let now = Timestamp::now();
    let epoch = format!("{}-{:08x}", now.strftime("%Y%m%dT%H%M%SZ"), rand::random::<u32>());
    let (sealer, header) = Sealer::open(key, epoch.as_str(), attestation, keys, now)?;
    let mut file = SegmentFile::create(folder, &format!("{epoch}.jsonl"))?;
    file.keep(&header)?;
    Ok(begin_in(file, sealer, metrics)?)
}

/// Begins an epoch whose header is kept already.
fn begin_in<S: Storage + 'static>(storage: S, sealer: Sealer, metrics: Metrics) -> std::io::Result<Begun> {
    let (messages, receiver) = sync_channel(QUEUE);
    let writable = Arc::new(AtomicBool::new(true));
    let (head, heads) = watch::channel(None);
    let (done, ended) = oneshot::channel();
    let attested = sealer.attestation();
    let pod = PodRef { name: attested.pod.name.clone(), uid: attested.pod.uid.clone() };
    let writer = Writer { sealer, storage, messages: receiver, writable: Arc::clone(&writable), head, metrics };
    let thread = thread::Builder::new().name("aegis-records".to_owned()).spawn(move || {
        let _ = done.send(writer.run());
    })?;
    let (writer, room) = (thread.thread().clone(), Room::new());
    let recorder = Recorder { messages, room, writer, writable, pod, began: Instant::now() };
    Ok(Begun { recorder, head: heads, ended })
}

impl Recorder {
    /// Records a decision. For a Draft or Commit it returns when the record is durable, for a Read when it is queued.
    pub async fn decision(&self, record: DecisionRecord, class: Class) -> Result<AuditReceipt, NotWritable> {
        self.keep(Record::Decision(Box::new(record)), class != Class::Read).await?;
        Ok(AuditReceipt { _private: () })
    }

    /// Records a decision that gives no leave to send. For a Draft or Commit it returns when the record is durable: whoever
    /// kills the sidecar right after a refusal must not be able to take its evidence away.
    pub async fn refusal(&self, record: DecisionRecord) -> Result<(), NotWritable> {
        let durable = matches!(record.decision.class, Some(Class::Draft | Class::Commit));
        self.keep(Record::Decision(Box::new(record)), durable).await
    }

    /// Records how a call ended. Kept even while decisions are refused: it tells of something that happened.
    pub async fn outcome(&self, record: OutcomeRecord, class: Class) -> Result<(), NotWritable> {
        self.put(Record::Outcome(Box::new(record)), class != Class::Read).await
    }

    /// Records what was decided about a connection: queued, as a Read is.
    pub fn connection(&self, record: ConnectionRecord) -> Result<(), NotWritable> {
        if !self.is_writable() {
            return Err(NotWritable);
        }
        self.queue(Record::Connection(Box::new(record)))
    }

    /// Records how a connection ended. Kept even while decisions are refused: it tells of something that happened.
    pub fn connection_end(&self, record: ConnectionEndRecord) {
        if self.queue(Record::ConnectionEnd(Box::new(record))).is_err() {
            tracing::error!("end of a connection not recorded");
        }
    }

    fn queue(&self, record: Record) -> Result<(), NotWritable> {
        let room = self.room.take(&record).ok_or(NotWritable)?;
        self.hand(Message::Record(Job { record, room, waiter: None })).map_err(|_| NotWritable)
    }

    async fn keep(&self, record: Record, durable: bool) -> Result<(), NotWritable> {
        // Whoever waits learns from the writer itself, which so finds out when the disk is writable again.
        if !durable && !self.is_writable() {
            return Err(NotWritable);
        }
        self.put(record, durable).await
    }

    /// Queues a record, and waits until it is durable where that is wanted.
    async fn put(&self, record: Record, durable: bool) -> Result<(), NotWritable> {
        let (waiter, done) = oneshot::channel();
        let until = Instant::now() + PATIENCE;
        let room = self.room_for(&record, until).await?;
        let mut message = Message::Record(Job { record, room, waiter: durable.then_some(waiter) });
        while let Err(error) = self.hand(message) {
            message = match error {
                TrySendError::Full(message) if Instant::now() < until => message,
                TrySendError::Full(_) | TrySendError::Disconnected(_) => return Err(NotWritable),
            };
            sleep(LOOK).await;
        }
        if durable { done.await.map_err(|_| NotWritable) } else { Ok(()) }
    }

    /// Waits for the room that the record takes until it is kept.
    async fn room_for(&self, record: &Record, until: Instant) -> Result<Taken, NotWritable> {
        loop {
            match self.room.take(record) {
                Some(room) => return Ok(room),
                None if Instant::now() < until => sleep(LOOK).await,
                None => return Err(NotWritable),
            }
        }
    }

    /// Puts it in the queue, and wakes the writer where it may not wait for company.
    fn hand(&self, message: Message) -> Result<(), TrySendError<Message>> {
        let urgent = message.is_urgent();
        self.messages.try_send(message)?;
        if urgent {
            self.writer.unpark();
        }
        Ok(())
    }

    /// Whether the last batch was kept. While not, what needs a record fails for sure; a refusal that is recorded finds
    /// out when that is over.
    pub fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Acquire)
    }

    /// Writes a renewed attestation of the record key.
    pub fn attest(&self, attestation: String, keys: Arc<KeySet>) -> Result<(), NotWritable> {
        self.hand(Message::Attest(attestation, keys)).map_err(|_| NotWritable)
    }

    /// Seals what is queued and ends the writer. Nothing can be recorded afterwards.
    pub fn close(&self) {
        // A full queue is drained by the writer; a writer that is gone needs no word.
        let (messages, writer) = (self.messages.clone(), self.writer.clone());
        tokio::task::spawn_blocking(move || {
            let sent = messages.send(Message::Close);
            writer.unpark();
            sent
        });
    }

    /// The pod, as attested.
    pub fn pod(&self) -> &PodRef {
        &self.pod
    }

    /// Microseconds since the epoch began.
    pub fn monotonic_micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
