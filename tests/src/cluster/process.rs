//! Our own programs beside the cluster: started through `aegis-testbed supervise`, so that none outlives this process, however it ends.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use super::diagnostics::tail;
use super::eventually::eventually;

/// What to run.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    log: PathBuf,
    place: Place,
}

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine.
    Here,
    /// In the namespaces of a bed's node, by the node's process.
    Node(u32),
    /// In the network namespace of a bed's outside world, by a process in it.
    Ext(u32),
}

impl ProcessSpec {
    /// A program whose standard output and error are appended to `log`.
    pub fn new(program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: None,
            log: log.into(),
            place: Place::Here,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment. The rest is inherited, but for `KUBECONFIG`: a program acts as who it is told to be, never as the developer.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs it elsewhere.
    #[must_use]
    pub fn place(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// Runs it in a folder.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }
}

/// What can be sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Asks it to drain and end.
    Terminate,
    /// As Ctrl-C does.
    Interrupt,
    /// Ends it at once, whatever it is doing.
    Kill,
    /// Freezes it until [`Signal::Continue`]: a hanging peer.
    Stop,
    /// Lets it go on after [`Signal::Stop`].
    Continue,
}

impl Signal {
    /// The name that the supervisor takes.
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// A running program. Dropping it kills it and everything it started.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    log: PathBuf,
    supervisor: Mutex<Child>,
    /// The line on which signals are asked for; its end is the process's end.
    line: Mutex<Option<ChildStdin>>,
}

/// The supervisor's first line.
#[derive(Deserialize)]
struct Started {
    pid: u32,
}

impl Process {
    /// Starts a program and returns as soon as it runs, which does not mean that it is ready.
    ///
    /// # Errors
    /// When the program cannot be run, with the reason.
    pub async fn spawn(spec: ProcessSpec) -> Result<Self> {
        let binary = crate::tools::testbed().await?;
        tokio::task::spawn_blocking(move || spawn(binary, spec)).await?
    }

    /// The program's process id (not its supervisor's).
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The file that holds its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All that it has printed so far.
    pub fn logs(&self) -> Result<String> {
        let content = std::fs::read(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&content).into_owned())
    }

    /// Sends a signal. The process may still be there when this returns.
    ///
    /// # Errors
    /// When the process has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let line = line.as_mut().with_context(|| format!("{} was ended", self.name))?;
        writeln!(line, "{}", signal.name()).with_context(|| format!("{} has ended by itself", self.name))
    }

    /// Kills it as a crash of the machine would: nothing is drained, nothing is flushed.
    pub fn kill9(&self) -> Result<()> {
        self.signal(Signal::Kill)
    }

    /// Asks it to drain and end.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::Terminate)
    }

    /// Its exit status if it has ended: what it exited with, or 128 + N when signal N ended it (137 after [`Process::kill9`]).
    pub fn exit_status(&self) -> Result<Option<i32>> {
        let ended = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).try_wait()?;
        // A supervisor that was killed itself has taken the process with it.
        Ok(ended.map(|status| status.code().unwrap_or(137)))
    }

    /// Waits for its end and returns its exit status as [`Process::exit_status`] does.
    pub async fn wait_exit(&self, within: Duration) -> Result<i32> {
        eventually(&format!("the end of {}", self.name), within, async || self.exit_status()?.context("it still runs"))
            .await
    }

    /// Waits until it has printed a line that holds `text`, and returns that line.
    ///
    /// # Errors
    /// When it ends without having printed it, or when time is over, with the end of its log.
    pub async fn wait_for_log(&self, text: &str, within: Duration) -> Result<String> {
        let outcome = eventually(&format!("{} to print {text:?}", self.name), within, async || {
            // Asked for before the log is read, so that what it prints at its very end is not missed.
            let ended = self.exit_status()?;
            match (self.logs()?.lines().find(|line| line.contains(text)), ended) {
                (Some(line), _) => Ok(Ok(line.to_owned())),
                (None, Some(status)) => {
                    Ok(Err(anyhow!("{} ended with status {status} before it printed {text:?}", self.name)))
                }
                (None, None) => bail!("not printed"),
            }
        })
        .await;
        outcome
            .and_then(std::convert::identity)
            .with_context(|| format!("the end of {}:\n{}", self.log.display(), tail(&self.log)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.line.lock().unwrap_or_else(PoisonError::into_inner).take());
        // The supervisor has killed the process when it ends, which takes milliseconds.
        let _ = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

fn spawn(binary: &Path, spec: ProcessSpec) -> Result<Process> {
    let ProcessSpec { program, arguments, environment, folder, log, place } = spec;
    let name =
        program.file_name().map_or_else(|| program.display().to_string(), |name| name.to_string_lossy().into_owned());
    // The supervisor may run in another folder.
    let log = std::path::absolute(log)?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(binary);
    match place {
        Place::Here => command.arg("supervise"),
        Place::Node(pid) => command.args(["exec", "--node", &pid.to_string()]),
        Place::Ext(pid) => command.args(["exec", "--ext", &pid.to_string()]),
    };
    command.arg("--log").arg(&log).arg("--").arg(&program).args(arguments);
    command.env_remove("KUBECONFIG").envs(environment);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let mut supervisor = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    let line = supervisor.stdin.take();
    let (Some(stdout), Some(mut stderr)) = (supervisor.stdout.take(), supervisor.stderr.take()) else {
        bail!("the supervisor was started without pipes");
    };
    let mut printed = String::new();
    BufReader::new(stdout).read_line(&mut printed)?;
    let Ok(Started { pid }) = serde_json::from_str(&printed) else {
        drop(line);
        let mut complaint = String::new();
        stderr.read_to_string(&mut complaint)?;
        let status = supervisor.wait()?;
        bail!("cannot start {} ({status}): {}", program.display(), complaint.trim());
    };
    Ok(Process { name, pid, log, supervisor: Mutex::new(supervisor), line: Mutex::new(line) })
}
