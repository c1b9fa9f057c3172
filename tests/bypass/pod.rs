//! The suite inside a pod of a cluster. Containers with the probe program make the attempts, each as the persona that it
//! runs as: the pod's own probe container is the hardened one. A sink outside, if there is one, counts.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Child, ChildStdout, Command, Stdio};

use aegis_capture::techniques::{NOWHERE_V4, NOWHERE_V6, Place, TABLE, Technique};
use aegis_decision::probe::{Outcome, ProbeReport};
use anyhow::{Context, Result, ensure};

use crate::bed::said;
use crate::persona::Persona;
use crate::report::{Cell, Check, Level, Report};
use crate::sink::{COUNTING, Frames};

/// Which pod, and where the sink is.
#[derive(clap::Args)]
pub struct Args {
    /// Namespace of the pod
    #[arg(long, short)]
    namespace: String,
    /// The pod
    #[arg(long)]
    pod: String,
    /// The container to run in, with the agent's user and hardening: persona A
    #[arg(long, default_value = "aegis-probe")]
    container: String,
    /// A container of the probe's image that runs as root with the runtime's capabilities: persona B
    #[arg(long, value_name = "CONTAINER")]
    root: Option<String>,
    /// A container of the probe's image that runs as another user: persona C
    #[arg(long, value_name = "CONTAINER")]
    neighbour: Option<String>,
    /// The sidecar's user, where its sockets do not tell
    #[arg(long)]
    sidecar_uid: Option<u32>,
    /// The probe program there
    #[arg(long, default_value = "/aegis-probe")]
    probe: String,
    /// The kubectl program, with options, such as "kubectl --context test"
    #[arg(long, default_value = "kubectl")]
    kubectl: String,
    /// An address that counts what arrives
    #[arg(long, default_value_t = NOWHERE_V4)]
    sink_v4: Ipv4Addr,
    /// An address that counts what arrives
    #[arg(long, default_value_t = NOWHERE_V6)]
    sink_v6: Ipv6Addr,
    /// A shell command that starts `bypass sink` where the sink is; its input is closed when all is tried
    #[arg(long)]
    sink_command: Option<String>,
    /// Further addresses that must not be reached, as host:port: node, other pods
    #[arg(long, value_delimiter = ',')]
    targets: Vec<String>,
    /// The pod has no ruleset: report what gets out, and do not call it a failure
    #[arg(long)]
    mediated: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Tries everything that can be tried from inside, as every persona that has a container.
pub fn run(args: &Args) -> Result<Report> {
    let level = if args.mediated { Level::Mediated } else { Level::Captured };
    let mut report = Report { captured: None, cells: Vec::new(), checks: Vec::new() };
    for (persona, container) in [
        (Persona::Hardened, Some(&args.container)),
        (Persona::DefaultRoot, args.root.as_ref()),
        (Persona::Neighbour, args.neighbour.as_ref()),
    ] {
        let Some(container) = container else { continue };
        let sink = args.sink_command.as_deref().map(Counting::start).transpose()?;
        let found = attempts(args, container)?;
        if let Some(sink) = sink {
            let frames = sink.end()?;
            let passed = args.mediated || frames.count == 0;
            let detail = format!("{} as {} {:?}", frames.count, persona.label(), frames.told);
            report.checks.push(Check { name: "frames at the sink", passed, detail, frames: Some(frames) });
        }
        report.cells.extend(TABLE.iter().map(|technique| cell(technique, level, persona, &found)));
    }
    Ok(report)
}

fn attempts(args: &Args, container: &str) -> Result<ProbeReport> {
    let mut words = args.kubectl.split_whitespace();
    let mut command = Command::new(words.next().context("--kubectl is empty")?);
    command.args(words).args(["exec", "-n", &args.namespace, &args.pod, "-c", container, "--", &args.probe]);
    command.args(["--once", "--json", "--sink-v4", &args.sink_v4.to_string(), "--sink-v6", &args.sink_v6.to_string()]);
    if let Some(uid) = args.sidecar_uid {
        command.args(["--sidecar-uid", &uid.to_string()]);
    }
    if !args.targets.is_empty() {
        command.args(["--targets", &args.targets.join(",")]);
    }
    let output = command.stdin(Stdio::null()).output().context("kubectl")?;
    // Exit code 2 says that something got out; kubectl passes it on. The report tells in either case.
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no report from container {container} ({}): {}", output.status, said(&output)))
}

fn cell(technique: &Technique, level: Level, persona: Persona, found: &ProbeReport) -> Cell {
    let name = format!("BYP-{}", technique.number);
    let of = |outcome| found.attempts.iter().find(|a| a.technique == name && a.outcome == outcome);
    let telling = of(Outcome::GotOut).or_else(|| of(Outcome::Blocked)).or_else(|| of(Outcome::NotApplicable));
    let (outcome, detail) = match (telling, technique.place) {
        (Some(attempt), _) => (attempt.outcome, format!("{}: {}", attempt.target, attempt.detail)),
        (None, Place::Inside | Place::Sidecar) => (Outcome::NotApplicable, "no target was given".to_owned()),
        (None, Place::Suite) => (Outcome::NotApplicable, "needs another process: bypass netns".to_owned()),
        (None, Place::Tools) => (Outcome::NotApplicable, "needs a hostile tool: the sidecar's tests".to_owned()),
        (None, Place::Admission) => (Outcome::NotApplicable, "closed by admission: the guards' tests".to_owned()),
    };
    let (technique, name) = (technique.number, technique.name);
    Cell { technique, name, level, persona, inside: outcome, outcome, detail, frames: Frames::default() }
}

/// A sink that counts.
struct Counting {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Counting {
    /// Returns when it counts: an attempt before that would not be seen.
    fn start(command: &str) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn().with_context(|| format!("start {command}"))?;
        let mut said = BufReader::new(child.stdout.take().context("stdout")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        ensure!(line.trim() == COUNTING, "the sink said {line:?} instead of {COUNTING:?}: {command}");
        Ok(Self { child, said })
    }

    fn end(mut self) -> Result<Frames> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.said.read_to_string(&mut text)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the sink ended with {status}");
        Ok(serde_json::from_str(&text)?)
    }
}
