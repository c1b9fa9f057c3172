//! The one thread that writes records. It orders the records of all workers, seals them in batches, and is the only
//! part of the sidecar that blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use aegis_decision::control::Head;
use aegis_decision::record::Record;
use aegis_decision::segment::{Sealer, SegmentError};
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

use super::renewal::Renewal;
use super::room::Taken;
use super::storage::{Storage, StorageError};
use crate::metrics::Metrics;

/// A batch is sealed at so many records ...
const MAX_BATCH: usize = 64;
/// ... or after this time, or at once when somebody waits for it.
const MAX_DELAY: Duration = Duration::from_millis(5);
/// Without records, an empty batch at this interval bounds what could be cut off unseen (INV-26).
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What reaches the writer.
pub enum Message {
    /// A record.
    Record(Job),
    /// The record key is attested anew: see [`Renewal`].
    Renewed,
    /// Nothing more comes: seal and end.
    Close,
}

impl Message {
    /// Whether it is written at once, with what is there already.
    pub fn is_urgent(&self) -> bool {
        match self {
            Self::Record(job) => job.waiter.is_some(),
            Self::Renewed | Self::Close => true,
        }
    }
}

/// A record, and who waits for it.
pub struct Job {
    /// The record.
    pub record: Record,
    /// What it takes until it is kept, or given up.
    pub room: Taken,
    /// Told when it is durable; dropped when it is not.
    pub waiter: Option<oneshot::Sender<()>>,
}

/// Why the writer ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// What is on the disk is not known any more.
    #[error("records cannot be made durable")]
    Storage(#[source] StorageError),
    /// The end came before these could be written.
    #[error("{0} records could not be written before the end")]
    Lost(usize),
    /// A batch has no bytes.
    #[error("records cannot be sealed")]
    Sealing(#[from] SegmentError),
}

/// The writer of one epoch.
pub struct Writer<S> {
    /// Chains the batches.
    pub sealer: Sealer,
    /// Keeps them.
    pub storage: S,
    /// What is to be written.
    pub messages: Receiver<Message>,
    /// The newest attestation that is not written yet.
    pub renewal: Renewal,
    /// Whether the last batch was kept: while not, calls are refused without asking.
    pub writable: Arc<AtomicBool>,
    /// The end of what is durable.
    pub head: watch::Sender<Option<Head>>,
    /// Metrics.
    pub metrics: Metrics,
}

/// What was collected for one batch.
#[derive(Default)]
struct Collected {
    jobs: Vec<Job>,
    /// Somebody waits for it.
    urgent: bool,
    close: bool,
}

impl Collected {
    fn add(&mut self, message: Message) {
        self.urgent |= message.is_urgent();
        match message {
            Message::Record(job) => self.jobs.push(job),
            Message::Renewed => {}
            Message::Close => self.close = true,
        }
    }
}

impl<S: Storage> Writer<S> {
    /// Writes until told to end.
    pub fn run(mut self) -> Result<(), WriterError> {
        let mut carried = Vec::new();
        loop {
            let collected = self.collect(HEARTBEAT);
            let close = collected.close;
            carried = self.write(carried, collected)?;
            if close {
                return if carried.is_empty() { Ok(()) } else { Err(WriterError::Lost(carried.len())) };
            }
        }
    }

    /// Waits for something to write, then for a little more of it.
    ///
    /// While it waits for more it does not receive: each record would wake it, for the price of a small call. Whoever is in a
    /// hurry wakes it, see [`super::Recorder`].
    fn collect(&self, heartbeat: Duration) -> Collected {
        let mut collected = Collected::default();
        match self.messages.recv_timeout(heartbeat) {
            Ok(first) => collected.add(first),
            Err(RecvTimeoutError::Timeout) => return collected,
            Err(RecvTimeoutError::Disconnected) => collected.close = true,
        }
        let until = Instant::now() + MAX_DELAY;
        while !collected.close && collected.jobs.len() < MAX_BATCH {
            match self.messages.try_recv() {
                Ok(next) => collected.add(next),
                Err(TryRecvError::Empty) => {
                    let time = until.saturating_duration_since(Instant::now());
                    if collected.urgent || time.is_zero() {
                        break;
                    }
                    thread::park_timeout(time);
                }
                Err(TryRecvError::Disconnected) => collected.close = true,
            }
        }
        collected
    }

    /// Seals and keeps one batch. When it cannot be kept, the chain goes back to where it was; what gives leave to send
    /// is refused, what tells of something that happened already is carried into the next batch.
    fn write(
        &mut self,
        carried: Vec<(Record, Taken)>,
        collected: Collected,
    ) -> Result<Vec<(Record, Taken)>, WriterError> {
        let before = self.sealer.clone();
        let renewed = self.renewal.take().and_then(|renewed| {
            let attested = self.sealer.attest(&renewed.attestation, &renewed.keys);
            attested.inspect_err(|error| tracing::error!(%error, "renewed attestation is not usable")).ok()?;
            Some(renewed)
        });
        let mut told = Vec::new();
        let mut keep_on_failure = Vec::new();
        // Of records that are given up on failure; their room is free at the end.
        let mut rooms = Vec::new();
        let mut count = 0_u64;
        for (record, room) in carried {
            self.sealer.push(record.clone())?;
            count = count.saturating_add(1);
            keep_on_failure.push((record, room));
        }
        for Job { record, room, waiter } in collected.jobs {
            let happened = waiter.is_none() || matches!(record, Record::Outcome(_));
            let copy = happened.then(|| record.clone());
            match self.sealer.push(record) {
                Ok(_) => {
                    count = count.saturating_add(1);
                    match copy {
                        Some(copy) => keep_on_failure.push((copy, room)),
                        None => rooms.push(room),
                    }
                    told.extend(waiter);
                }
                // It has no form: nobody gets leave for it. Dropping the waiter says so.
                Err(error) => tracing::error!(%error, "record is not usable"),
            }
        }
        let now = Timestamp::now();
        let started = Instant::now();
        let kept = if self.sealer.attestation().covers(now) {
            let bytes = self.sealer.seal(now)?;
            self.storage.keep(&bytes)
        } else {
            Err(StorageError::Refused(std::io::Error::other("the record key's attestation has expired")))
        };
        match kept {
            Ok(()) => {
                // Who is told that a record is kept finds its room free.
                drop((keep_on_failure, rooms));
                self.writable.store(true, Ordering::Release);
                self.metrics.synced(count, started.elapsed());
                self.head.send_replace(Some(self.sealer.head()));
                for waiter in told {
                    let _ = waiter.send(());
                }
                Ok(Vec::new())
            }
            Err(error @ StorageError::Refused(_)) => {
                self.writable.store(false, Ordering::Release);
                self.metrics.record_failures.inc();
                tracing::error!(error = &error as &dyn std::error::Error, "records are not writable");
                // An attestation that does not cover this time, and was refused for it, is no better the next time.
                if let Some(renewed) = renewed
                    && self.sealer.attestation().covers(now)
                {
                    self.renewal.put_back(renewed);
                }
                self.sealer = before;
                drop(rooms);
                Ok(keep_on_failure)
            }
            Err(error) => {
                self.writable.store(false, Ordering::Release);
                Err(WriterError::Storage(error))
            }
        }
    }
}
