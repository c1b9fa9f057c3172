//! What is measured has a core for itself, and all else shares another one. A process inherits the core of who starts it,
//! so this one moves before it starts anything, and each measured process is moved when it runs.

use std::fs;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The two cores.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    measured: usize,
    rest: usize,
}

impl Cores {
    /// The first two that this process may use.
    ///
    /// # Errors
    /// When there is only one: then nothing can be said about anything.
    pub fn find() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut found = (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false));
        match (found.next(), found.next()) {
            (Some(measured), Some(rest)) => Ok(Self { measured, rest }),
            _ => bail!("this needs two cores"),
        }
    }

    /// Moves this thread, and whatever it starts, away from the core that is measured.
    pub fn leave(&self) -> Result<()> {
        place(Pid::from_raw(0), self.rest).context("cannot choose a core")
    }

    /// Moves every thread of a process to the core that is measured.
    pub fn give(&self, process: u32) -> Result<()> {
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let name = thread?.file_name();
            let thread = name.to_str().context("a thread's name is its number")?.parse()?;
            match place(Pid::from_raw(thread), self.measured) {
                // It ended meanwhile.
                Err(Errno::ESRCH) => {}
                placed => placed.with_context(|| format!("cannot move thread {thread}"))?,
            }
        }
        Ok(())
    }
}

fn place(thread: Pid, core: usize) -> nix::Result<()> {
    let mut only = CpuSet::new();
    only.set(core)?;
    sched_setaffinity(thread, &only)
}
