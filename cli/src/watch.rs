//! Doing something again whenever a file of resources changes.
//!
//! Changes are only signals: what changed is not kept, so however many come, one waits. The watch begins before the first
//! run, so no change is lost in between.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context as _, Result};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::io::Io;
use crate::output::{self, Answer};
use crate::resources::is_resource_file;

/// An editor writes a file in several steps; a run starts once it has been quiet for so long.
const QUIET: Duration = Duration::from_millis(50);
/// Most steps that are waited for: a file that is written without end does not keep a run from starting.
const MAX_STEPS: usize = 100;

/// Files of a folder, or the one file, being watched.
struct Watched {
    changes: Receiver<()>,
    /// Ends the watch when it is dropped.
    _watcher: RecommendedWatcher,
}

/// Runs, and runs again after every change, until `max_runs` are done or the process is interrupted. An error of a run is
/// printed and waits for the next change like an answer. Returns the answer of the last run.
pub(crate) fn repeat<'a>(
    path: &Path,
    ignored: Option<&Path>,
    max_runs: Option<u32>,
    io: &mut Io<'a>,
    mut run: impl FnMut(&mut Io<'a>) -> Result<Answer>,
) -> Result<Answer> {
    let watched = Watched::of(path, ignored)?;
    let mut done: u32 = 0;
    loop {
        let answer = run(io);
        done = done.saturating_add(1);
        if max_runs.is_some_and(|most| done >= most) {
            return answer;
        }
        if let Err(error) = answer {
            output::report(&error, io);
        }
        writeln!(io.err, "Waiting for changes under {} ...", path.display())?;
        io.err.flush()?;
        watched.change()?;
    }
}

impl Watched {
    fn of(path: &Path, ignored: Option<&Path>) -> Result<Self> {
        let unwatchable = || format!("cannot watch {}", path.display());
        let whole = path.canonicalize().with_context(unwatchable)?;
        // An editor may replace a file by another of its name, so a file is watched by way of its folder.
        let (folder, only) = if whole.is_dir() {
            (whole.clone(), None)
        } else {
            (whole.parent().unwrap_or(&whole).to_owned(), Some(whole.clone()))
        };
        let (sender, changes) = sync_channel(1);
        let filter = Filter { only, ignored: ignored.map(absolute) };
        let mut watcher = notify::recommended_watcher(move |event| {
            if filter.counts(&event) {
                signal(&sender);
            }
        })
        .with_context(unwatchable)?;
        let mode = if whole.is_dir() { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        watcher.watch(&folder, mode).with_context(unwatchable)?;
        Ok(Self { changes, _watcher: watcher })
    }

    /// Waits for a change, and for the quiet after it.
    fn change(&self) -> Result<()> {
        self.changes.recv().context("the watch ended")?;
        for _ in 0..MAX_STEPS {
            match self.changes.recv_timeout(QUIET) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }
}

/// One signal waits at most; another says nothing more.
fn signal(sender: &SyncSender<()>) {
    let _ = sender.try_send(());
}

struct Filter {
    only: Option<PathBuf>,
    /// A file that the run itself writes.
    ignored: Option<PathBuf>,
}

impl Filter {
    /// Whether something may have changed. Reading is no change; where the watch lost count, everything may have.
    fn counts(&self, event: &notify::Result<Event>) -> bool {
        let Ok(event) = event else { return true };
        if event.need_rescan() {
            return true;
        }
        !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(|path| self.is_of(path))
    }

    fn is_of(&self, path: &Path) -> bool {
        // Whatever has no end of its own may be a folder that came or went.
        let read = is_resource_file(path) || path.extension().is_none();
        read && self.ignored.as_deref() != Some(path) && self.only.as_deref().is_none_or(|only| only == path)
    }
}

fn absolute(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (parent.canonicalize(), path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use notify::event::{AccessKind, CreateKind, Flag, ModifyKind};

    use super::*;

    fn filter(only: Option<&str>, ignored: Option<&str>) -> Filter {
        Filter { only: only.map(PathBuf::from), ignored: ignored.map(PathBuf::from) }
    }

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(PathBuf::from(path))
    }

    #[test]
    fn reading_and_other_files_are_no_change() {
        let modify = EventKind::Modify(ModifyKind::Any);
        let all = filter(None, Some("/p/out.json"));
        assert!(all.counts(&Ok(event(modify, "/p/a.yaml"))));
        assert!(all.counts(&Ok(event(EventKind::Create(CreateKind::Folder), "/p/new"))));
        assert!(!all.counts(&Ok(event(EventKind::Access(AccessKind::Any), "/p/a.yaml"))));
        assert!(!all.counts(&Ok(event(modify, "/p/a.yaml.swp"))));
        assert!(!all.counts(&Ok(event(modify, "/p/out.json"))), "what a run writes does not start the next one");
        assert!(!filter(Some("/p/a.yaml"), None).counts(&Ok(event(modify, "/p/b.yaml"))));
    }

    #[test]
    fn a_watch_that_lost_count_runs_again() {
        let all = filter(None, None);
        assert!(all.counts(&Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))));
        assert!(all.counts(&Err(notify::Error::generic("queue"))));
    }

    #[test]
    fn a_file_that_changes_is_seen_also_where_another_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, "1").unwrap();
        for watched in [folder.path(), file.as_path()] {
            let watched = Watched::of(watched, None).unwrap();
            fs::write(&file, "2").unwrap();
            watched.change().unwrap();
            fs::write(folder.path().join("b.tmp"), "3").unwrap();
            fs::rename(folder.path().join("b.tmp"), &file).unwrap();
            watched.change().unwrap();
        }
    }

    #[test]
    fn what_is_not_there_cannot_be_watched() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Watched::of(&folder.path().join("none"), None).is_err());
    }
}
