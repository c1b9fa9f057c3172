//! The servers: four from `PyPI`, three of which also stand behind one from Debian. Each Python server writes down what it
//! understood (`upstreams/echo.py`), each front the request lines that it read.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::bed::Trial;
use crate::vector::Sent;

/// Time for a server to listen, and for a line to be written.
const WAIT: Duration = Duration::from_mins(1);

/// Name of a tool, and the front before the Python server, if there is one.
const TOOLS: [(&str, Option<&str>); 7] = [
    ("gunicorn", None),
    ("uvicorn", None),
    ("waitress", None),
    ("hypercorn", None),
    ("nginx", Some("gunicorn")),
    ("haproxy", Some("waitress")),
    ("apache", Some("hypercorn")),
];

/// One tool.
#[derive(Debug)]
pub struct Tool {
    pub name: &'static str,
    pub address: SocketAddr,
    front: bool,
}

/// All servers; they end with this.
#[derive(Debug)]
pub struct Upstreams {
    pub tools: Vec<Tool>,
    folder: TempDir,
    processes: Vec<Child>,
}

/// A request as a server understood it.
#[derive(Debug)]
pub struct Seen {
    pub sent: Sent,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Line {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Seen {
    /// The values of a header.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Upstreams {
    /// Starts all, and waits until they listen. What is missing fails the test.
    pub fn start() -> Self {
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ambiguity/upstreams");
        let environment = prepared(&files);
        let mut upstreams = Self { tools: tools(), folder: tempfile::tempdir().unwrap(), processes: Vec::new() };
        for (name, front) in TOOLS {
            let command = match front {
                None => upstreams.python(name, &environment, &files),
                Some(behind) => upstreams.front(name, behind, &files),
            };
            upstreams.launch(name, command);
        }
        let end = Instant::now() + WAIT;
        for (tool, process) in upstreams.tools.iter().zip(&mut upstreams.processes) {
            while TcpStream::connect(tool.address).is_err() {
                let ended = process.try_wait().unwrap();
                assert!(ended.is_none() && Instant::now() < end, "{} does not listen: {ended:?}", tool.name);
                std::thread::yield_now();
            }
        }
        upstreams
    }

    /// A server from `PyPI`.
    fn python(&self, name: &str, environment: &Path, files: &Path) -> Command {
        let address = self.address(name).to_string();
        let (host, port) = address.split_once(':').unwrap();
        let arguments: &[&str] = match name {
            "gunicorn" => &[
                "-m",
                "gunicorn",
                "echo:wsgi",
                "-b",
                &address,
                "-k",
                "gthread",
                "--threads",
                "8",
                "--no-control-socket",
                "--keep-alive",
                "60",
            ],
            "uvicorn" => &[
                "-m",
                "uvicorn",
                "echo:asgi",
                "--host",
                host,
                "--port",
                port,
                "--http",
                "httptools",
                "--log-level",
                "warning",
            ],
            "hypercorn" => &["-m", "hypercorn", "echo:asgi", "-b", &address],
            _ => &["-m", "echo", &address],
        };
        let mut command = supervised(environment.join("bin/python"));
        command.args(arguments).env("PYTHONPATH", files).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("SEEN", self.file("seen.jsonl"));
        command
    }

    /// A server from Debian, with its configuration.
    fn front(&self, name: &str, behind: &str, files: &Path) -> Command {
        let (template, program, option): (_, _, &[&str]) = match name {
            "nginx" => ("nginx.conf", "nginx", &["-c"]),
            "haproxy" => ("haproxy.cfg", "haproxy", &["-db", "-f"]),
            _ => ("apache.conf", "apache2", &["-DFOREGROUND", "-f"]),
        };
        let text = std::fs::read_to_string(files.join(template)).unwrap();
        let text = text.replace("@FOLDER@", self.folder.path().to_str().unwrap());
        let text = text.replace("@LISTEN@", &self.address(name).to_string());
        std::fs::write(self.file(template), text.replace("@BEHIND@", &self.address(behind).to_string())).unwrap();
        let mut command = supervised(program);
        command.args(option).arg(self.file(template));
        command
    }

    fn launch(&mut self, name: &str, mut command: Command) {
        // HAProxy's lines are its standard output; what others say there helps when they do not start.
        let out =
            File::create(self.file(&format!("{name}.{}", if name == "haproxy" { "lines" } else { "out" }))).unwrap();
        let command = command.current_dir(self.folder.path()).process_group(0).stdin(Stdio::null()).stdout(out);
        let errors = File::create(self.file(&format!("{name}.err"))).unwrap();
        let child = command.stderr(errors).spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        self.processes.push(child);
    }

    fn address(&self, name: &str) -> SocketAddr {
        self.tools.iter().find(|tool| tool.name == name).unwrap().address
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes each server a tool of the agent, with a base path that names it.
    pub fn become_tools(&self, trial: &mut Trial) {
        let names: Vec<_> = self.tools.iter().map(|tool| tool.name.to_owned()).collect();
        let operation = |name: &str, class: &str, method: &str, path: &str| json!({"name": name, "class": class, "timeoutSeconds": 30, "http": {"method": method, "path": path}});
        let mut read = operation("notes.get", "Read", "GET", "/notes/{id}");
        read["http"]["query"] = json!([{"name": "fields", "repeated": true}]);
        let mut commit = operation("payments.create", "Commit", "POST", "/payments/{id}");
        commit["arguments"] = json!({"type": "object", "required": ["amount", "to", "id"]});
        let operations = json!([read, operation("notes.create", "Draft", "POST", "/notes"), commit]);
        let tool = |tool: &Tool| {
            serde_json::from_value(json!({
                "name": tool.name, "uid": tool.name, "allowPrivateAddresses": true,
                "endpoint": {"scheme": "http", "host": tool.address.ip().to_string(), "port": tool.address.port(),
                    "basePath": format!("/{}", tool.name)},
                "headers": [{"name": "x-company", "value": "7"}],
                "limits": {"requestBytes": 4096, "responseBytes": 100_000, "concurrency": 64},
                "operations": operations,
            }))
            .unwrap()
        };
        trial.source.tools = self.tools.iter().map(tool).collect();
        let policy = json!({"name": "desk", "tools": names, "rules": [
            {"name": "notes", "operations": ["notes.get", "notes.create"], "effect": "Allow"},
            {"name": "ceiling", "operations": ["payments.create"], "effect": "Allow",
                "when": [{"field": "amount", "predicate": {"atMost": {"value": "100.00"}}}]},
        ]});
        trial.source.policies = vec![serde_json::from_value(policy).unwrap()];
        let grants = names.iter().map(|name| json!({"tool": name, "operations": ["*"]})).collect();
        trial.grants.delegations[0].grants = serde_json::from_value(serde_json::Value::Array(grants)).unwrap();
    }

    /// All that the Python servers understood, once it is at least so much.
    pub async fn seen(&self, count: usize) -> Vec<Seen> {
        let read = |line: &String| {
            let Line { method, target, headers, body } = serde_json::from_str(line).unwrap();
            let tool = target.split('/').nth(1).unwrap_or_default().to_owned();
            Seen { sent: Sent { tool, method, target, body }, headers }
        };
        self.lines("seen.jsonl", count).await.iter().map(read).collect()
    }

    /// Each front read the requests that the server behind it understood, and no other.
    pub async fn fronts_agree(&self, seen: &[Seen]) {
        for tool in self.tools.iter().filter(|tool| tool.front) {
            let behind = seen.iter().map(|seen| &seen.sent).filter(|sent| sent.tool == tool.name);
            let mut behind: Vec<_> =
                behind.map(|sent| format!("{} {} HTTP/1.1 200", sent.method, sent.target)).collect();
            let mut front = self.lines(&format!("{}.lines", tool.name), behind.len()).await;
            behind.sort_unstable();
            front.sort_unstable();
            assert_eq!(front, behind, "{}", tool.name);
        }
    }

    /// The lines of a file, once there are so many; fewer when they do not come.
    async fn lines(&self, name: &str, count: usize) -> Vec<String> {
        let end = Instant::now() + WAIT;
        loop {
            let text = std::fs::read_to_string(self.file(name)).unwrap();
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            if lines.len() >= count || Instant::now() > end {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Upstreams {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, _) in TOOLS {
                let said = std::fs::read_to_string(self.file(&format!("{name}.err"))).unwrap_or_default();
                let last: Vec<_> = said.lines().rev().take(4).collect();
                println!("{name} said last: {last:?}");
            }
        }
        for process in &mut self.processes {
            // The whole group: gunicorn and Apache have workers.
            let group = format!("-{}", process.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            let _ = process.wait();
        }
    }
}

/// A program that ends when the test does, however that ends.
fn supervised(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// An address of the loopback network that no other process has, as no other has this one's id.
fn tools() -> Vec<Tool> {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, 64 | (high & 63), middle, low);
    let tools = TOOLS.into_iter().zip(8001_u16..);
    tools.map(|((name, front), port)| Tool { name, address: (host, port).into(), front: front.is_some() }).collect()
}

/// The Python environment with the servers.
fn prepared(files: &Path) -> PathBuf {
    let output = Command::new(files.join("prepare.sh")).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "tests/ambiguity/upstreams/prepare.sh failed: its messages are above");
    let printed = String::from_utf8(output.stdout).unwrap();
    PathBuf::from(printed.lines().last().unwrap())
}
