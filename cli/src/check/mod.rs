//! `aegis check`: whether the installation stands, and what level of enforcement really holds for every pod.
//!
//! [`install`] looks at the installation, [`pods`] at agents and their pods; both are pure functions of what [`gather`]
//! read. Nothing is changed, but for `--probe`, which asks for a probe.

mod gather;
mod install;
mod pods;

use std::io::Write as _;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::args::CheckArgs;
use crate::cluster;
use crate::io::Io;
use crate::output::{self, Answer, Format};

/// How one check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Not wrong, but worth a look.
    Warning,
    /// Something that Aegis promises does not hold.
    Failed,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable id; docs/operate.md has an anchor of that name.
    pub id: &'static str,
    /// How it went.
    pub result: Verdict,
    /// What was found.
    pub message: String,
    /// What to do; empty when all is well.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub hint: &'static str,
}

impl Finding {
    fn ok(id: &'static str, message: impl Into<String>) -> Self {
        Self { id, result: Verdict::Ok, message: message.into(), hint: "" }
    }

    fn warning(id: &'static str, message: impl Into<String>, hint: &'static str) -> Self {
        Self { id, result: Verdict::Warning, message: message.into(), hint }
    }

    fn failed(id: &'static str, message: impl Into<String>, hint: &'static str) -> Self {
        Self { id, result: Verdict::Failed, message: message.into(), hint }
    }
}

/// Everything that the command found.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Report {
    checks: Vec<Finding>,
    pods: Vec<pods::Row>,
}

/// Runs the command.
pub(crate) async fn run(args: &CheckArgs, io: &mut Io<'_>) -> Result<Answer> {
    let cluster = cluster::connect(&args.cluster).await?;
    let scope = if args.all_namespaces { None } else { Some(cluster.namespace.as_str()) };
    let mut checks = install::checks(&gather::installation(&cluster.client, &args.system_namespace).await?, io.now);
    let mut rows = Vec::new();
    if !args.pre {
        let meshes = gather::meshes(&cluster.client, scope).await.context("cannot read agents and pods")?;
        if args.probe {
            gather::request_probes(&cluster.client, &meshes, io.now).await?;
            writeln!(io.err, "Probes were requested; they take some seconds. Run aegis check again to see them.")?;
        }
        rows = meshes.iter().flat_map(|mesh| pods::rows(mesh, io.now)).collect();
        checks.extend(pods::findings(&rows));
    }
    let report = Report { checks, pods: rows };
    match args.output {
        Format::Table => print(&report, args.all_namespaces, io)?,
        format => output::document(format, &report, io)?,
    }
    let failed = report.checks.iter().any(|finding| finding.result == Verdict::Failed);
    Ok(if failed { Answer::No } else { Answer::Yes })
}

fn print(report: &Report, with_namespace: bool, io: &mut Io<'_>) -> Result<()> {
    for finding in &report.checks {
        let mark = match finding.result {
            Verdict::Ok => "ok     ",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED ",
        };
        writeln!(io.out, "{mark}  {:<22} {}", finding.id, output::printable(&finding.message))?;
        if !finding.hint.is_empty() {
            writeln!(io.out, "{:33}{}", "", finding.hint)?;
        }
    }
    if !report.pods.is_empty() {
        writeln!(io.out)?;
        write!(io.out, "{}", pods::table(&report.pods, with_namespace))?;
    }
    Ok(io.out.flush()?)
}
