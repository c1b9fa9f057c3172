//! Write-ahead: the decision is recorded before anything is sent, and durable before a Draft or Commit is.
//!
//! [`Recorder`] is the only maker of an [`AuditReceipt`], and [`crate::forward`] takes one by value: "forwarded without
//! a record" does not compile. Room for the record of how it ended is taken before as well, see [`Intent`].
//!
//! ```compile_fail,E0451
//! let receipt = aegis_proxy::record::AuditReceipt { _private: () };
//! ```

pub mod compose;
mod intent;
mod renewal;
mod room;
mod storage;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, Thread};
use std::time::Duration;

use aegis_decision::control::Head;
use aegis_decision::jws::{KeySet, SigningKey};
use aegis_decision::record::{ConnectionEndRecord, ConnectionRecord, DecisionRecord, OutcomeRecord, PodRef, Record};
use aegis_decision::segment::{Sealer, SegmentError};
use aegis_decision::tool::Class;
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

pub use intent::{EndRoom, Intent, OutcomeRoom};
use renewal::{Renewal, Renewed};
use room::{Room, Taken};
pub use storage::{SegmentFile, Storage, StorageError};
pub use writer::WriterError;
use writer::{Job, Message, Writer};

use crate::metrics::Metrics;

/// How long a record waits for all that it takes of the [`Room`] before it is refused.
const PATIENCE: Duration = Duration::from_secs(1);

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
    /// Bounded by the room: every record in it has taken its share.
    messages: Sender<Message>,
    room: Room,
    renewal: Renewal,
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
    let (messages, receiver) = channel();
    let renewal = Renewal::default();
    let writable = Arc::new(AtomicBool::new(true));
    let (head, heads) = watch::channel(None);
    let (done, ended) = oneshot::channel();
    let attested = sealer.attestation();
    let pod = PodRef { name: attested.pod.name.clone(), uid: attested.pod.uid.clone() };
    let writer = Writer {
        sealer,
        storage,
        messages: receiver,
        renewal: renewal.clone(),
        writable: Arc::clone(&writable),
        head,
        metrics,
    };
    let thread = thread::Builder::new().name("aegis-records".to_owned()).spawn(move || {
        let _ = done.send(writer.run());
    })?;
    let (writer, room) = (thread.thread().clone(), Room::new());
    let recorder = Recorder { messages, room, renewal, writer, writable, pod, began: Instant::now() };
    Ok(Begun { recorder, head: heads, ended })
}

impl Recorder {
    /// Takes room for the record of a decision that lets a call go, and for that of its outcome. Waits for it for a second
    /// at most, in the order of coming.
    pub async fn prepare(&self, record: DecisionRecord, class: Class) -> Result<Intent, NotWritable> {
        self.fails_at_once_unless(class != Class::Read)?;
        let (record, until) = (Record::Decision(Box::new(record)), Instant::now() + PATIENCE);
        // That which is kept longest is taken first: who waits for it holds nothing that others wait for.
        let outcome = self.room.take_for_outcome(until).await.ok_or(NotWritable)?;
        let room = self.room_for(&record, until).await?;
        Ok(Intent { record, class, room, outcome: OutcomeRoom(outcome) })
    }

    /// Records a decision. For a Draft or Commit it returns when the record is durable, for a Read when it is queued.
    pub async fn decision(&self, intent: Intent) -> Result<(AuditReceipt, OutcomeRoom), NotWritable> {
        let Intent { record, class, room, outcome } = intent;
        self.put(record, class != Class::Read, room).await?;
        Ok((AuditReceipt { _private: () }, outcome))
    }

    /// Records a decision that gives no leave to send. For a Draft or Commit it returns when the record is durable: whoever
    /// kills the sidecar right after a refusal must not be able to take its evidence away.
    pub async fn refusal(&self, record: DecisionRecord) -> Result<(), NotWritable> {
        let durable = matches!(record.decision.class, Some(Class::Draft | Class::Commit));
        self.fails_at_once_unless(durable)?;
        let record = Record::Decision(Box::new(record));
        let room = self.room_for(&record, Instant::now() + PATIENCE).await?;
        self.put(record, durable, room).await
    }

    /// Records how a call ended. Kept even while decisions are refused: it tells of something that happened, and has its
    /// room since before. Of a Draft or Commit, an error says that the record is not durable yet; it is written with the
    /// next batch that can be, and lost only with the writer.
    pub async fn outcome(&self, record: OutcomeRecord, class: Class, room: OutcomeRoom) -> Result<(), NotWritable> {
        self.put(Record::Outcome(Box::new(record)), class != Class::Read, room.0).await
    }

    /// Records a connection that is opened: queued, as a Read is. Gives the room for the record of its end.
    pub async fn connection_opened(&self, record: ConnectionRecord) -> Result<EndRoom, NotWritable> {
        self.fails_at_once_unless(false)?;
        let (record, until) = (Record::Connection(Box::new(record)), Instant::now() + PATIENCE);
        let end = self.room.take_for_end(until).await.ok_or(NotWritable)?;
        let room = self.room_for(&record, until).await?;
        self.put(record, false, room).await?;
        Ok(EndRoom(end))
    }

    /// Records connections that are refused: queued, where there is room at once.
    pub fn connection_refused(&self, record: ConnectionRecord) -> Result<(), NotWritable> {
        self.fails_at_once_unless(false)?;
        let record = Record::Connection(Box::new(record));
        let room = self.room.take_now(Room::weigh(&record)).ok_or(NotWritable)?;
        self.give(Message::Record(Job { record, room, waiter: None }))
    }

    /// Records how a connection ended. Kept even while decisions are refused: it tells of something that happened, and has
    /// its room since before.
    pub fn connection_end(&self, record: ConnectionEndRecord, room: EndRoom) {
        let record = Record::ConnectionEnd(Box::new(record));
        if self.give(Message::Record(Job { record, room: room.0, waiter: None })).is_err() {
            tracing::error!("end of a connection not recorded: the writer has ended");
        }
    }

    /// What nobody waits for is refused while records are not writable. Whoever waits learns from the writer itself, which
    /// so finds out when the disk is writable again.
    fn fails_at_once_unless(&self, durable: bool) -> Result<(), NotWritable> {
        if durable || self.is_writable() { Ok(()) } else { Err(NotWritable) }
    }

    /// Waits for what the record takes until it is kept. It is weighed once.
    async fn room_for(&self, record: &Record, until: Instant) -> Result<Taken, NotWritable> {
        self.room.take(Room::weigh(record), until).await.ok_or(NotWritable)
    }

    /// Queues a record, and waits until it is durable where that is wanted.
    async fn put(&self, record: Record, durable: bool, room: Taken) -> Result<(), NotWritable> {
        let (waiter, done) = oneshot::channel();
        self.give(Message::Record(Job { record, room, waiter: durable.then_some(waiter) }))?;
        if durable { done.await.map_err(|_| NotWritable) } else { Ok(()) }
    }

    /// Puts it in the queue, and wakes the writer where it may not wait for company. Fails only where the writer has ended.
    fn give(&self, message: Message) -> Result<(), NotWritable> {
        let urgent = message.is_urgent();
        self.messages.send(message).map_err(|_| NotWritable)?;
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

    /// Writes a renewed attestation of the record key, with the next batch that can be kept, unless a newer one comes first.
    pub fn attest(&self, attestation: String, keys: Arc<KeySet>) {
        if self.renewal.put(Renewed { attestation, keys }) {
            // A writer that has ended needs none.
            let _ = self.give(Message::Renewed);
        }
    }

    /// Seals what is queued and ends the writer. Nothing can be recorded afterwards.
    pub fn close(&self) {
        // A writer that has ended needs no word.
        let _ = self.give(Message::Close);
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
