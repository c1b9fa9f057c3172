//! The suite inside a pod of a cluster. The pod's own probe container runs as the agent's user, so it makes the attempts;
//! a sink outside, if there is one, counts.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Child, Command, Stdio};

use aegis_capture::techniques::{NOWHERE_V4, NOWHERE_V6, Place, TABLE};
use aegis_decision::probe::{Outcome, ProbeReport};
use anyhow::{Context, Result, ensure};

use crate::bed::said;
use crate::persona::Persona;
use crate::report::{Cell, Check, Level, Report};
use crate::sink::Frames;

/// Which pod, and where the sink is.
#[derive(clap::Args)]
pub struct Args {
    /// Namespace of the pod
    #[arg(long, short)]
    namespace: String,
    /// The pod
    #[arg(long)]
    pod: String,
    /// The container to run in, with the agent's user and hardening
    #[arg(long, default_value = "aegis-probe")]
    container: String,
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

/// Tries everything that can be tried from inside.
pub fn run(args: &Args) -> Result<Report> {
    let sink = args.sink_command.as_deref().map(start).transpose()?;
    let mut words = args.kubectl.split_whitespace();
    let mut command = Command::new(words.next().context("--kubectl is empty")?);
    command.args(words).args(["exec", "-n", &args.namespace, &args.pod, "-c", &args.container, "--", &args.probe]);
    command.args(["--once", "--json", "--sink-v4", &args.sink_v4.to_string(), "--sink-v6", &args.sink_v6.to_string()]);
    if !args.targets.is_empty() {
        command.args(["--targets", &args.targets.join(",")]);
    }
    let output = command.stdin(Stdio::null()).output().context("kubectl")?;
    // Exit code 2 says that something got out; kubectl passes it on. The report tells in either case.
    let report: ProbeReport = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no report from the pod ({}): {}", output.status, said(&output)))?;
    let mut checks = Vec::new();
    if let Some(sink) = sink {
        let frames = counted(sink)?;
        let passed = args.mediated || frames.count == 0;
        let detail = format!("{} {:?}", frames.count, frames.told);
        checks.push(Check { name: "frames at the sink", passed, detail });
    }
    let level = if args.mediated { Level::Mediated } else { Level::Captured };
    let cells = TABLE.iter().map(|technique| {
        let name = format!("BYP-{}", technique.number);
        let of = |outcome| report.attempts.iter().find(|a| a.technique == name && a.outcome == outcome);
        let telling = of(Outcome::GotOut).or_else(|| of(Outcome::Blocked)).or_else(|| of(Outcome::NotApplicable));
        let (outcome, detail) = match (telling, technique.place) {
            (Some(attempt), _) => (attempt.outcome, format!("{}: {}", attempt.target, attempt.detail)),
            (None, Place::Suite) => (Outcome::NotApplicable, "needs another process: bypass netns".to_owned()),
            (None, Place::Tools) => (Outcome::NotApplicable, "needs a hostile tool: the sidecar's tests".to_owned()),
            (None, _) => (Outcome::NotApplicable, "closed by admission: the guards' tests".to_owned()),
        };
        let (technique, name) = (technique.number, technique.name);
        let (persona, inside, frames) = (Persona::Hardened, outcome, Frames::default());
        Cell { technique, name, level, persona, inside, outcome, detail, frames }
    });
    Ok(Report { captured: None, cells: cells.collect(), checks })
}

fn start(command: &str) -> Result<Child> {
    Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {command}"))
}

fn counted(mut sink: Child) -> Result<Frames> {
    drop(sink.stdin.take());
    let output = sink.wait_with_output()?;
    ensure!(output.status.success(), "the sink ended with {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}
