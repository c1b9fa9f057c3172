//! Files of records, as sidecars write them: those of a folder, and the decisions in them.

use std::fs;
use std::path::{Path, PathBuf};

use aegis_decision::record::{DecisionRecord, Record};
use anyhow::{Context as _, Result, ensure};

use crate::calls::{Line, Lines};
use crate::io::Io;
use crate::output::printable;
use crate::progress::Progress;

/// The files of a folder, ordered by name; the path itself where it is a file.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read {}", path.display());
    if fs::metadata(path).with_context(unreadable)?.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = fs::read_dir(path)
        .with_context(unreadable)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()
        .with_context(unreadable)?;
    files.retain(|path| path.is_file());
    files.sort();
    ensure!(!files.is_empty(), "{} holds no record files", path.display());
    Ok(files)
}

/// Gives `add` every decision record of a file or folder, and prints what it says about one. Answers how many lines are
/// longer than any record.
pub(crate) fn decisions(
    path: &Path,
    io: &mut Io<'_>,
    mut add: impl FnMut(DecisionRecord) -> Option<String>,
) -> Result<u64> {
    let mut too_long = 0_u64;
    for file in files(path)? {
        let mut lines = Lines::of(&file, io)?;
        let mut progress = Progress::of(io, lines.length);
        while let Some(line) = lines.next().with_context(|| format!("cannot read {}", file.display()))? {
            let record = match line {
                Line::Whole(bytes) => Record::from_bytes(bytes.trim_ascii_end()).ok(),
                Line::TooLong => {
                    too_long = too_long.saturating_add(1);
                    None
                }
            };
            progress.at(lines.bytes);
            // Other lines prove the records, or are of another kind.
            let Some(Record::Decision(record)) = record else { continue };
            if let Some(told) = add(*record) {
                progress.say(&mut io.err, &printable(&format!("{}: {told}", file.display())))?;
            }
        }
    }
    Ok(too_long)
}
