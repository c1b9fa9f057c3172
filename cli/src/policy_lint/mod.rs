//! `aegis policy lint`: what is wrong with resources, or was hardly meant.

mod sarif;

use std::fmt::Write as _;
use std::fs;

use aegis_crds::lint::{self, Finding, Severity};
use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::args::{Level, PolicyLintArgs};
use crate::io::Io;
use crate::output::{self, Answer, printable, row};
use crate::resources;

/// All findings, and how many count.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    findings: Vec<Finding>,
    errors: usize,
    warnings: usize,
    infos: usize,
    suppressed: usize,
}

/// Prints what was found. The answer is no where something is as bad as `--deny` says.
pub(crate) fn run(args: &PolicyLintArgs, io: &mut Io<'_>) -> Result<Answer> {
    let resources = resources::load(args.folder.path(), "default")?;
    let findings = lint::lint(&resources, args.at.unwrap_or(io.now));
    if let Some(file) = &args.sarif {
        let text = serde_json::to_string_pretty(&sarif::document(&findings)).context("cannot write SARIF")?;
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let report = Report::of(findings);
    output::print(args.output, &report, || report.text(), io)?;
    Ok(if report.denied(args.deny) { Answer::No } else { Answer::Yes })
}

impl Report {
    fn of(findings: Vec<Finding>) -> Self {
        let count =
            |severity| findings.iter().filter(|one| one.suppressed.is_none() && one.severity == severity).count();
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            infos: count(Severity::Info),
            suppressed: findings.iter().filter(|one| one.suppressed.is_some()).count(),
            findings,
        }
    }

    fn denied(&self, level: Level) -> bool {
        let least = match level {
            Level::Error => Severity::Error,
            Level::Warning => Severity::Warning,
            Level::Info => Severity::Info,
        };
        self.findings.iter().any(|one| one.suppressed.is_none() && one.severity >= least)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for finding in self.findings.iter().filter(|one| one.suppressed.is_none()) {
            let what = format!("{}[{}]: {}", finding.severity.as_str(), finding.id.id(), finding.subject);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", printable(&what));
            if let Some(file) = &finding.file {
                row(&mut text, "file", file);
            }
            let part = finding.part.as_ref().map(|part| format!(" ({part})")).unwrap_or_default();
            row(&mut text, "field", &format!("{}{part}", finding.field));
            row(&mut text, "found", &finding.message);
            row(&mut text, "do", finding.advice);
            text.push('\n');
        }
        let Self { errors, warnings, infos, suppressed, .. } = self;
        let _ = writeln!(text, "{errors} errors, {warnings} warnings, {infos} infos, {suppressed} suppressed");
        text
    }
}
