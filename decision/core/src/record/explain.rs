//! A record in plain words: the text of `aegis why`.

use std::fmt::Write as _;

use super::connection::{ConnectionEndRecord, ConnectionRecord, ConnectionVerdict, Ended, Way};
use super::decision::{AgentRef, DecisionRecord};
use super::outcome::{OutcomeRecord, RecordedExecution};
use crate::decision::{RuleRef, Sanitized, Truth, Verdict, Would};
use crate::disguise::printable;

/// Explains one call: who, on whose behalf, what, when, which rule, what failed, what would pass, the approval, the
/// outcome. Ends with a line break. Contains no value but those that the record keeps in clear.
pub fn explain(record: &DecisionRecord, outcome: Option<&OutcomeRecord>) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write_decision(&mut text, record);
    let _ = write_outcome(&mut text, record, outcome);
    text
}

/// Explains one connection: who, where to, how it came in, why it was let through or not, how it ended. Ends with a line
/// break.
pub fn explain_connection(record: &ConnectionRecord, end: Option<&ConnectionEndRecord>) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write_connection(&mut text, record);
    let _ = write_end(&mut text, record, end);
    text
}

fn write_connection(out: &mut String, record: &ConnectionRecord) -> std::fmt::Result {
    let to = match &record.host {
        Some(host) => format!("{host}, port {}", record.port),
        None => format!("a host that it did not name, port {}", record.port),
    };
    let what = match record.verdict {
        ConnectionVerdict::Allow => "was allowed to connect",
        ConnectionVerdict::Deny => "was not allowed to connect",
    };
    writeln!(out, "{}", printable(&format!("Agent {} {what} to {to}.", record.agent.name)))?;
    writeln!(out)?;
    row(out, "connection", &record.id)?;
    row(out, "when", &record.time.to_string())?;
    row(out, "agent", &agent(&record.agent))?;
    row(out, "pod", &record.pod.name)?;
    let way = match record.way {
        Way::Connect => "CONNECT to the sidecar",
        Way::Captured => "dialled by the agent, captured",
    };
    row(out, "way in", way)?;
    if let Some(code) = record.code {
        row(out, "reason", &format!("{code}: {}", record.detail.as_deref().unwrap_or(code.cause())))?;
    }
    optional(out, "allowed for", record.reason.as_deref())?;
    if record.count > 1 {
        row(out, "stands for", &format!("{} connections, of which this is the last", record.count))?;
    }
    row(out, "policy", &format!("version {}, {}", record.bundle_version, record.bundle))
}

fn write_end(out: &mut String, record: &ConnectionRecord, end: Option<&ConnectionEndRecord>) -> std::fmt::Result {
    let Some(end) = end else {
        return match record.verdict {
            ConnectionVerdict::Allow => row(out, "end", "not recorded: still open, or the sidecar stopped"),
            ConnectionVerdict::Deny => row(out, "end", "nothing was sent"),
        };
    };
    let words = match end.ended {
        Ended::Closed => "both sides ended it",
        Ended::Broken => "it broke",
        Ended::Policy => "ended by Aegis: it was allowed no longer",
        Ended::Idle => "ended by Aegis: nothing was said on it for an hour",
        Ended::Drain => "the sidecar stopped",
        Ended::NotConnected => "the host could not be reached",
    };
    let details: Vec<&str> =
        end.code.map(crate::codes::Code::as_str).into_iter().chain(end.error.map(super::ErrorClass::as_str)).collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    row(out, "end", &format!("{words}{details}, at {}", end.time))?;
    row(out, "bytes", &format!("{} sent, {} received", end.sent_bytes, end.received_bytes))
}

fn agent(agent: &AgentRef) -> String {
    format!(
        "{}/{} version {} (tenant {}, business unit {})",
        agent.namespace, agent.name, agent.version, agent.tenant, agent.business_unit
    )
}

fn write_decision(out: &mut String, record: &DecisionRecord) -> std::fmt::Result {
    let decision = &record.decision;
    writeln!(out, "{}", printable(&headline(record)))?;
    writeln!(out)?;
    row(out, "decision", &record.id)?;
    row(out, "when", &record.time.to_string())?;
    row(out, "agent", &agent(&record.agent))?;
    row(out, "pod", &record.pod.name)?;
    match &decision.delegation {
        Some(delegation) => {
            row(out, "on behalf of", &delegation.delegator)?;
            row(out, "requested by", &delegation.requester)?;
            row(out, "delegation", &format!("{} (workflow {})", delegation.name, delegation.workflow))?;
        }
        None => row(out, "on behalf of", "nobody: no delegation was used")?,
    }
    optional(out, "purpose", record.purpose.as_deref())?;
    optional(out, "run", record.run.as_deref())?;
    row(
        out,
        "call",
        &format!(
            "{} {}{}",
            decision.tool,
            decision.operation.as_deref().unwrap_or("(not a declared operation)"),
            decision.class.map(|class| format!(" ({})", class.as_str())).unwrap_or_default()
        ),
    )?;
    optional(out, "sent to", record.target.as_deref().filter(|_| forwarded(decision.verdict)))?;
    optional(out, "would go to", record.target.as_deref().filter(|_| !forwarded(decision.verdict)))?;
    for (path, value) in &record.values {
        row(out, "value", &format!("{path} = {}", String::from_utf8_lossy(&crate::json::emit(value))))?;
    }
    for Sanitized { field, action, rule } in &decision.sanitized {
        row(out, "sanitized", &format!("{field}: {action}, by {}", rule_name(rule)))?;
    }
    if let Some(rule) = &decision.rule {
        row(out, "rule", &rule_name(rule))?;
    }
    if let Some(code) = decision.code {
        row(out, "reason", &format!("{code}: {}", decision.detail.as_deref().unwrap_or(code.cause())))?;
    }
    for failed in &decision.failed {
        let mut line = format!("{} {}", failed.field, failed.check);
        if let Some(limit) = &failed.limit {
            write!(line, " {limit}")?;
        }
        if let Some(value) = &failed.value {
            write!(line, "; it was {value}")?;
        }
        if failed.indeterminate {
            line.push_str("; the field is missing or of another type");
        }
        row(out, "failed", &line)?;
    }
    for unknown in &decision.unknown_origins {
        let seen = match &unknown.first_seen {
            Some(place) => {
                format!("first seen in the answer of {} to {} at {}", place.tool, place.operation, place.path)
            }
            None => "seen in no earlier answer of the run".to_owned(),
        };
        row(out, "unknown origin", &format!("{}, {seen}", unknown.field))?;
    }
    if let Some(would) = &decision.would {
        write_would(out, would)?;
    }
    if !decision.nearest.is_empty() {
        let names: Vec<_> = decision.nearest.iter().map(rule_name).collect();
        row(out, "nearest rules", &names.join(", "))?;
    }
    optional(out, "would pass", decision.allowed.as_deref())?;
    // Of an allowed call only the rule that allowed it is kept.
    if !decision.rules.is_empty() && decision.verdict != Verdict::Allow {
        let count = |truth| decision.rules.iter().filter(|rule| rule.truth == truth).count();
        let (held, open) = (count(Truth::True), count(Truth::Indeterminate));
        row(out, "rules judged", &format!("{}: {held} held, {open} could not be told", decision.rules.len()))?;
    }
    for requirement in &decision.requirements {
        let tier = &requirement.tier;
        let by: Vec<_> = requirement.asked_by.iter().map(rule_name).collect();
        row(out, "approval by", &format!("tier {}, asked for by {}", tier.name, by.join(", ")))?;
    }
    if let Some(approval) = &record.approval {
        row(out, "request", &format!("{} ({})", approval.name, approval.uid))?;
        if !approval.approvers.is_empty() {
            row(out, "approved by", &approval.approvers.join(", "))?;
        }
    }
    if let Some(claim) = &record.claim {
        row(out, "claimed", &claim.at.to_string())?;
    }
    if let Some(version) = record.bundle_version {
        row(out, "policy", &format!("version {version}, {}", decision.bundle))?;
    }
    Ok(())
}

/// What is tried out, and what it would do.
fn write_would(out: &mut String, would: &Would) -> std::fmt::Result {
    let mut line = match would.verdict {
        Verdict::Allow | Verdict::AllowOnce | Verdict::Propose => "allow".to_owned(),
        Verdict::Hold => format!("ask {}", would.approvals.join(" and ")),
        Verdict::Deny => "refuse".to_owned(),
    };
    if let Some(rule) = &would.rule {
        write!(line, ", by {}", rule_name(rule))?;
    }
    if let (Some(code), true) = (would.code, would.verdict == Verdict::Deny) {
        write!(line, " ({code}: {})", would.detail.as_deref().unwrap_or(code.cause()))?;
    }
    row(out, "enforced would", &line)?;
    if would.policies.is_empty() {
        return Ok(());
    }
    row(out, "tried out", &would.policies.join(", "))
}

fn headline(record: &DecisionRecord) -> String {
    let decision = &record.decision;
    let what = match decision.verdict {
        Verdict::Allow => "was allowed to call",
        Verdict::AllowOnce => "was allowed, by an approval, to call once",
        Verdict::Hold => "needs an approval to call",
        Verdict::Deny => "was not allowed to call",
        Verdict::Propose => "proposed to call",
    };
    let operation = decision.operation.as_deref().unwrap_or("an operation that is not declared");
    format!("Agent {} {what} {operation} of {}.", record.agent.name, decision.tool)
}

fn write_outcome(out: &mut String, record: &DecisionRecord, outcome: Option<&OutcomeRecord>) -> std::fmt::Result {
    let Some(outcome) = outcome else {
        return match record.decision.verdict {
            Verdict::Allow | Verdict::AllowOnce => {
                row(out, "outcome", "not recorded: the sidecar stopped before it knew")
            }
            Verdict::Hold | Verdict::Deny | Verdict::Propose => row(out, "outcome", "nothing was sent"),
        };
    };
    let words = match outcome.execution {
        RecordedExecution::Succeeded => "the tool did it",
        RecordedExecution::Failed => "the tool refused it",
        RecordedExecution::NotSent => "nothing was sent",
        RecordedExecution::Indeterminate => "unknown: it was sent, and the answer does not tell",
    };
    let details: Vec<String> = outcome
        .status
        .map(|status| format!("HTTP {status}"))
        .into_iter()
        .chain(outcome.error.map(|error| error.as_str().to_owned()))
        .collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    row(out, "outcome", &format!("{words}{details}, at {}", outcome.time))
}

fn forwarded(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Allow | Verdict::AllowOnce)
}

fn rule_name(rule: &RuleRef) -> String {
    match &rule.reason {
        Some(reason) => format!("{rule} ({reason})"),
        None => rule.to_string(),
    }
}

// It goes to a terminal, and names come from a call.
fn row(out: &mut String, name: &str, value: &str) -> std::fmt::Result {
    writeln!(out, "  {name:<14} {}", printable(value))
}

fn optional(out: &mut String, name: &str, value: Option<&str>) -> std::fmt::Result {
    value.map_or(Ok(()), |value| row(out, name, value))
}
