//! The file behind a segment: appended to, synced, and cut back when an append fails.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// Why bytes were not kept.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Nothing of them stays; it may be tried again (disk full, quota).
    #[error("cannot write")]
    Refused(#[source] io::Error),
    /// What is on the disk is not known any more. Never retried: an fsync that failed once may lie the next time
    /// (TRAP-5, INV-27).
    #[error("cannot sync")]
    Fatal(#[source] io::Error),
}

/// Keeps bytes durably, in order.
pub trait Storage: Send {
    /// Returns when the bytes are durable, after those of every call before.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), StorageError>;
}

/// A segment file.
#[derive(Debug)]
pub struct SegmentFile {
    file: File,
    kept: u64,
}

impl SegmentFile {
    /// Creates a new file, and makes its name durable as well.
    pub fn create(folder: &Path, name: &str) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let file = OpenOptions::new().write(true).create_new(true).open(folder.join(name))?;
        File::open(folder)?.sync_all()?;
        Ok(Self { file, kept: 0 })
    }
}

impl Storage for SegmentFile {
    fn keep(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        if let Err(error) = self.file.write_all(bytes) {
            // Half a batch must not stay in front of the next one.
            self.file.set_len(self.kept).map_err(StorageError::Fatal)?;
            self.file.seek(SeekFrom::Start(self.kept)).map_err(StorageError::Fatal)?;
            return Err(StorageError::Refused(error));
        }
        self.file.sync_data().map_err(StorageError::Fatal)?;
        self.kept = self.kept.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}
