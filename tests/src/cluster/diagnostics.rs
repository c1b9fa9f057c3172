//! What the cluster knows about a namespace, gathered for the reader of a failed test.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::server::Cluster;

/// How many lines of each log, and of the audit log, are worth reading.
const LAST_LINES: usize = 40;
/// An audit line holds whole objects; a line is cut after so many characters.
const LINE_LENGTH: usize = 1500;

impl Cluster {
    /// Describes a namespace: its events, Aegis's objects with their status, the end of the given logs and of the components' logs, and the audit lines that
    /// name it. It blocks for the time of a few `kubectl` calls and never fails: what cannot be had is said in its place.
    pub fn dump(&self, namespace: &str, logs: &[PathBuf]) -> String {
        let mut text = format!("=== what the cluster knows about namespace {namespace} ===\n");
        section(
            &mut text,
            "events",
            &self.ask(&["get", "events", "--namespace", namespace, "--sort-by=.metadata.creationTimestamp"]),
        );
        section(&mut text, "pods", &self.ask(&["get", "pods", "--namespace", namespace, "--output=wide"]));
        // A selector must be given: this one selects every pod.
        let logs_of_all = ["logs", "--namespace", namespace, "--selector=!none", "--all-containers", "--prefix"];
        let last_lines = ["--tail=20", "--ignore-errors", "--max-log-requests=50"];
        section(&mut text, "logs of pods", &self.ask(&[&logs_of_all[..], &last_lines].concat()));
        section(&mut text, "objects of Aegis", &self.ask(&["get", "aegis", "--namespace", namespace, "--output=yaml"]));
        for log in logs {
            section(&mut text, &log.display().to_string(), &tail(log));
        }
        for component in self.ready.pids.keys() {
            let log = self.ready.logs.join(format!("{component}.log"));
            section(&mut text, &format!("log of {component}"), &tail(&log));
        }
        section(&mut text, "audit log", &self.audited(namespace));
        section(&mut text, "complaints of the test bed", &self.complaints());
        text
    }

    fn ask(&self, arguments: &[&str]) -> String {
        match self.kubectl_command("admin").args(["--request-timeout=10s"]).args(arguments).output() {
            Ok(output) => {
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
            }
            Err(error) => format!("(kubectl cannot be run: {error})"),
        }
    }

    fn audited(&self, namespace: &str) -> String {
        match self.audit_lines() {
            Ok(lines) => last(lines.iter().map(String::as_str).filter(|line| line.contains(namespace))),
            Err(error) => format!("({error:#})"),
        }
    }
}

fn section(text: &mut String, title: &str, content: &str) {
    let content = content.trim_end();
    // Writing to a String cannot fail.
    let _ = write!(text, "--- {title} ---\n{}\n", if content.is_empty() { "(nothing)" } else { content });
}

pub(super) fn tail(path: &Path) -> String {
    match std::fs::read(path) {
        Ok(content) => last(String::from_utf8_lossy(&content).lines()),
        Err(error) => format!("({error})"),
    }
}

fn last<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<_> = lines.collect();
    let kept = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
    let cut: Vec<_> = kept.map(|line| line.chars().take(LINE_LENGTH).collect::<String>()).collect();
    cut.join("\n")
}
