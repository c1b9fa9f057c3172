//! What the agents' calls came to, as the load in each pod tells it on standard output and the kubelet keeps it: read
//! from the log files, since nothing else of the cluster has to work for that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// Times that an agent makes a call at most that waits for a person.
pub const TRIES: u64 = 5;

/// Kinds of calls, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Read,
    Draft,
    Commit,
    /// A Commit that a person must approve.
    Held,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Read, Self::Draft, Self::Commit, Self::Held];

    /// Whether its decision is durable before it is sent, and before it is answered.
    pub fn writes(self) -> bool {
        self != Self::Read
    }
}

/// One time that a call was made.
#[derive(Debug, Clone)]
pub struct Call {
    pub id: String,
    pub kind: Kind,
    pub attempt: u64,
    /// Milliseconds since 1970.
    pub began: u64,
    /// None while it is under way, and when the agent died meanwhile.
    pub end: Option<End>,
}

/// How it ended.
#[derive(Debug, Clone, Deserialize)]
pub struct End {
    pub status: Option<u16>,
    pub code: Option<String>,
    pub decision: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    kind: Kind,
    #[serde(default)]
    attempt: u64,
    began: Option<u64>,
    #[serde(flatten)]
    end: Option<End>,
}

impl Call {
    /// Whether it was told to come again: a person has yet to decide.
    fn waits(&self) -> bool {
        self.attempt < TRIES && self.end.as_ref().is_some_and(|end| end.status == Some(428))
    }

    /// In one word: `goes on` for what was done or waits for a person, else why not.
    pub fn came_to(&self) -> String {
        match &self.end {
            None | Some(End { status: None, .. }) => "no answer".to_owned(),
            Some(End { status: Some(200), .. }) => "goes on".to_owned(),
            Some(End { status: Some(428), .. }) if self.kind == Kind::Held => "goes on".to_owned(),
            Some(End { code: Some(code), .. }) => format!("`{code}`"),
            Some(End { status: Some(status), .. }) => status.to_string(),
        }
    }

    /// Whether it was done.
    pub fn is_done(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.status == Some(200))
    }
}

/// Everything that one agent told so far.
#[derive(Default)]
pub struct Diary {
    folder: PathBuf,
    /// Bytes of each file that were read.
    read: BTreeMap<PathBuf, usize>,
    calls: Vec<Call>,
    under_way: BTreeMap<(String, u64), usize>,
}

impl Diary {
    /// Of the container whose log files lie there.
    pub fn of(folder: PathBuf) -> Self {
        Self { folder, ..Self::default() }
    }

    /// Reads what came since the last time.
    pub fn read(&mut self) -> Result<&[Call]> {
        let folder = fs::read_dir(&self.folder).with_context(|| self.folder.display().to_string())?;
        let files: BTreeSet<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
        for file in files {
            let text = fs::read_to_string(&file)?;
            let done = self.read.get(&file).copied().unwrap_or_default();
            let new = text.get(done..).unwrap_or_default();
            let whole = new.rfind('\n').map_or(0, |end| end + 1);
            self.read.insert(file, done + whole);
            for line in new[..whole].lines() {
                self.take(line);
            }
        }
        Ok(&self.calls)
    }

    /// Takes one line of a container's log: time, stream, whether it is whole, text.
    fn take(&mut self, line: &str) {
        let text = line.splitn(4, ' ').nth(3).unwrap_or_default();
        let Ok(line) = serde_json::from_str::<Line>(text) else { return };
        let key = (line.id.clone(), line.attempt);
        if let Some(began) = line.began {
            self.under_way.insert(key, self.calls.len());
            self.calls.push(Call { id: line.id, kind: line.kind, attempt: line.attempt, began, end: None });
        } else if let Some(call) = self.under_way.remove(&key).and_then(|at| self.calls.get_mut(at)) {
            call.end = line.end;
        }
    }

    /// First tries that began in a time.
    pub fn first_tries(&self, from: u64, to: u64) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.attempt == 1 && (from..=to).contains(&call.began))
    }

    /// A first try that began in a time and is still under way, or waits for a person. What an agent that died had begun
    /// never ends.
    pub fn under_way(&self, from: u64, to: u64) -> Option<&Call> {
        let start = |call: &Call| call.id.split('-').next().map(str::to_owned);
        let newest = self.calls.last().and_then(start);
        self.first_tries(from, to).find(|call| {
            let last = self.last_wait(call);
            (last.end.is_none() || last.waits()) && start(call) == newest
        })
    }

    /// What a call came to; how long a person takes to decide makes no difference.
    pub fn came_to(&self, first: &Call) -> String {
        self.last_wait(first).came_to()
    }

    /// The try that followed the last answer to come again.
    fn last_wait<'a>(&'a self, call: &'a Call) -> &'a Call {
        let next = |call: &&'a Call| {
            let (id, attempt) = (&call.id, call.attempt + 1);
            call.waits().then(|| self.calls.iter().rfind(|one| one.id == *id && one.attempt == attempt)).flatten()
        };
        std::iter::successors(Some(call), next).last().unwrap_or(call)
    }

    /// All that was read.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }
}
