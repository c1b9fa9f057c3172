//! The running server: `aegis-testbed up` as a child whose standard input we hold open. When that closes, be it by drop or by the end of this process in
//! whatever way, the bed ends all its components and removes its files.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use tokio::sync::OnceCell;

use super::options::Options;
use super::ready::{Ready, User};

/// A Kubernetes API server with its etcd and controllers, and the means to use it. Dropping it ends it.
#[derive(Debug)]
pub struct Cluster {
    pub(super) ready: Ready,
    pub(super) binary: &'static Path,
    /// None for a cluster that somebody else runs.
    pub(super) bed: Option<Child>,
    /// Held open as long as the bed is to live.
    pub(super) line: Mutex<Option<Line>>,
    /// What the bed has said on standard error: the reason why a component ended.
    pub(super) complaints: Arc<Mutex<String>>,
    pub(super) listener: Option<JoinHandle<()>>,
}

/// Where commands go, and their answers come from.
#[derive(Debug)]
pub(super) struct Line {
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Cluster {
    /// Builds the bed's binary if need be, starts a server and returns when it can be used.
    ///
    /// # Errors
    /// Says why the build or a component failed, with the end of that component's log.
    pub async fn start(options: Options) -> Result<Self> {
        // An error means that the process has a provider already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let binary = crate::tools::testbed().await?;
        tokio::task::spawn_blocking(move || start(binary, &options)).await?
    }

    /// The one server that all tests of this process share; each takes a namespace of its own. Started by the first that asks.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start(Options::default())).await
    }

    /// What the bed said about itself: its address, files and processes.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// A user as the server will name them in admission and in the audit log.
    pub fn user(&self, name: &str) -> Result<&User> {
        self.ready
            .users
            .iter()
            .find(|user| user.name == name)
            .with_context(|| format!("this cluster has no user {name:?}"))
    }

    /// What the bed has complained about so far; empty as long as all components live.
    pub fn complaints(&self) -> String {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the bed to do something (tests/cluster/README.md lists what) and returns its answer.
    ///
    /// # Errors
    /// What the bed says, or that it has ended.
    pub fn command(&self, command: &str) -> Result<serde_json::Value> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let line = line.as_mut().context("there is no test bed, or it was ended")?;
        writeln!(line.commands, "{command}")?;
        line.commands.flush()?;
        let mut answer = String::new();
        line.answers.read_line(&mut answer)?;
        let answer: serde_json::Value = serde_json::from_str(&answer)
            .with_context(|| format!("the test bed's answer to {command:?}: {answer:?}"))?;
        match answer.get("error").and_then(serde_json::Value::as_str) {
            Some(error) => bail!("test bed: {command}: {error}"),
            None => Ok(answer),
        }
    }

    /// Kills the bed itself, as a crash would: what it started must be gone soon all the same. The cluster is of no use
    /// any more.
    pub fn kill_bed(mut self) -> Result<()> {
        self.bed.as_mut().context("there is no test bed")?.kill().context("cannot kill the test bed")
    }

    fn end(&mut self) {
        drop(self.line.lock().unwrap_or_else(PoisonError::into_inner).take());
        // The bed kills its components without asking them, so this takes a tenth of a second.
        let _ = self.bed.as_mut().map(Child::wait);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end();
    }
}

fn start(binary: &'static Path, options: &Options) -> Result<Cluster> {
    let mut bed = Command::new(binary)
        .arg("up")
        .args(options.arguments())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    let line = bed.stdin.take();
    let (Some(stdout), Some(stderr)) = (bed.stdout.take(), bed.stderr.take()) else {
        bail!("the test bed was started without pipes");
    };
    let complaints = Arc::new(Mutex::new(String::new()));
    let listener = listen(stderr, Arc::clone(&complaints));

    let mut printed = String::new();
    let mut answers = BufReader::new(stdout);
    let read = answers.read_line(&mut printed);
    let parsed = read.map_err(anyhow::Error::from).and_then(|_| Ok(serde_json::from_str(&printed)?));
    match parsed {
        Ok(ready) => {
            let line = Mutex::new(line.map(|commands| Line { commands, answers }));
            Ok(Cluster { ready, binary, bed: Some(bed), line, complaints, listener: Some(listener) })
        }
        Err(unread) => {
            drop(line);
            let status = bed.wait()?;
            // Only after this has everything been heard.
            let _ = listener.join();
            let said = complaints.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Err(unread.context(format!("the test bed did not start ({status}): {}", said.trim())))
        }
    }
}

/// Collects what a pipe says, line by line, until it closes.
fn listen(pipe: impl Read + Send + 'static, heard: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.push_str(&line);
            heard.push('\n');
        }
    })
}
