//! One running ERP: `tests/erp/serve.py` on a loopback port, alive as long as the pipe to its standard input is open.

use std::{
    fmt,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::URL_SAFE};
use serde::Deserialize;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::tools;

use super::{
    access::{self, AccessLine},
    books::{self, Books},
    fixture::{Fixture, script},
    ids::Ids,
    person::Person,
};

/// The longest wait for the first answer. It takes four seconds on an idle machine.
const START_DEADLINE: Duration = Duration::from_mins(2);
/// The longest wait for the end after the input was closed; the server gives its requests four seconds.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// A running ERP with a database of its own. Dropping it ends the process; when this process dies in any way, the kernel
/// closes the pipe and the ERP ends by itself.
///
/// The child is one of the standard library, not of tokio: an ERP may be shared by tests whose runtimes come and go.
pub struct Erp {
    base_url: String,
    /// Where people on this machine reach it.
    door: String,
    port: u16,
    dir: PathBuf,
    fixture: Fixture,
    ids: Ids,
    // Held open on purpose: its end is the server's end.
    stdin: Option<ChildStdin>,
    child: Child,
}

/// The first line that the server prints.
#[derive(Deserialize)]
struct Listening {
    port: u16,
}

impl Erp {
    /// Starts an ERP with the base data in `dir`, on a port that the kernel picks, and waits until it answers. If `dir`
    /// already holds an ERP, that one starts again with what it holds. One running ERP per folder.
    ///
    /// The first call on a machine installs Tryton, see [`Fixture::prepare`]. An error has the end of the server's log.
    pub async fn start(dir: &Path) -> Result<Self> {
        let fixture = Fixture::prepare().await?;
        let serve = Command::new(fixture.python());
        let mut erp = Self::launch(fixture, dir, serve, &[]).await?;
        erp.base_url = format!("http://127.0.0.1:{}/erp", erp.port);
        erp.door.clone_from(&erp.base_url);
        Ok(erp)
    }

    /// Starts an ERP in the outside world of a cluster's node, at `address` there: what a pod calls a company's own
    /// server. People on this machine reach it through the bed.
    pub async fn start_outside(dir: &Path, cluster: &Cluster, address: &str) -> Result<Self> {
        let fixture = Fixture::prepare().await?;
        let ext = cluster.ready().ext.as_ref().context("this cluster has no outside world")?;
        let mut serve = Command::new(tools::testbed().await?);
        serve.args(["exec", "--ext", &ext.pid.to_string(), "--"]).arg(fixture.python());
        let mut erp = Self::launch(fixture, dir, serve, &["--supervised", "--host", address]).await?;
        let forwarded = cluster.command(&format!("forward ext {address}:{}", erp.port))?;
        let door = forwarded.get("address").and_then(serde_json::Value::as_str).context("no forwarded address")?;
        erp.door = format!("http://{door}/erp");
        erp.base_url = format!("http://{address}:{}/erp", erp.port);
        Ok(erp)
    }

    async fn launch(fixture: Fixture, dir: &Path, mut serve: Command, arguments: &[&str]) -> Result<Self> {
        fixture.copy_into(dir)?;
        let ids = fs::read(dir.join("ids.json")).context("read ids.json")?;
        let ids = serde_json::from_slice(&ids).context("ids.json")?;

        let log = File::options().create(true).append(true).open(dir.join("server.log")).context("open server.log")?;
        let mut child = serve
            .arg(script("serve.py"))
            .arg(dir)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("start tests/erp/serve.py")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the ERP's output")?;
        let (base_url, door) = (String::new(), String::new());
        let mut erp = Self { base_url, door, port: 0, dir: dir.to_owned(), fixture, ids, stdin, child };
        let listening =
            first_line(stdout).await.with_context(|| format!("the ERP did not start: {}", erp.log_end()))?;
        erp.port = listening.port;
        Ok(erp)
    }

    /// `http://HOST:PORT/erp` as tools' endpoints name it: REST paths follow as `/rest/model/...`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The folder with database, keys, access log and server log.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The ids of the base data.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// The file that holds a user's REST key and nothing else, readable by its owner alone. `agent-erp` is the user whose
    /// key the sidecar brokers, `clerk` may do everything, `auditor` has no right to purchases or bank accounts.
    pub fn key_file(&self, user: &str) -> PathBuf {
        self.dir.join("keys").join(user)
    }

    /// A user's REST key: the value of `Authorization` is `bearer KEY`.
    pub fn key(&self, user: &str) -> Result<String> {
        let path = self.key_file(user);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    /// The value of the header `X-Tryton-Context`, which names the company.
    pub fn context_header(&self) -> String {
        URL_SAFE.encode(format!(r#"{{"company":{}}}"#, self.ids.company))
    }

    /// A person who uses the ERP directly with the key of this user.
    pub fn person(&self, user: &str) -> Result<Person> {
        Ok(self.person_with_key(&self.key(user)?))
    }

    /// A caller with any key, for showing what the ERP itself refuses.
    pub fn person_with_key(&self, key: &str) -> Person {
        Person::new(&self.door, key, self.context_header(), self.ids.clone())
    }

    /// What the ERP's own database holds now, read from its tables and not through the server.
    pub async fn books(&self) -> Result<Books> {
        books::read(&self.fixture, &self.dir).await
    }

    /// Every request that has reached this ERP and was answered, oldest first.
    pub fn requests(&self) -> Result<Vec<AccessLine>> {
        access::read(&self.dir)
    }

    /// Ends the server and waits until it is gone, so that its database is at rest.
    pub async fn stop(mut self) -> Result<()> {
        drop(self.stdin.take());
        let deadline = Instant::now() + STOP_DEADLINE;
        while self.child.try_wait().context("wait for the ERP")?.is_none() {
            if Instant::now() >= deadline {
                bail!("the ERP did not end within {STOP_DEADLINE:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.dir.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Erp {
    fn drop(&mut self) {
        // Both may fail only because the process has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for Erp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Erp").field("base_url", &self.base_url).field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Waits for the line that says on which port the server listens: from then on it answers. The reading thread ends with
/// the line or with the process.
async fn first_line(stdout: ChildStdout) -> Result<Listening> {
    let (send, receive) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line).map(|_| line);
        // The receiver is gone when the deadline has passed.
        let _ = send.send(read);
    });
    let line = tokio::time::timeout(START_DEADLINE, receive)
        .await
        .with_context(|| format!("no port within {START_DEADLINE:?}"))???;
    serde_json::from_str(&line).with_context(|| format!("first line {line:?} of the ERP"))
}
