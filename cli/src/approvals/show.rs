//! `aegis approvals show`: one request, as a person needs to see it to decide.

use std::io::Write as _;

use aegis_crds::api::ApprovalRequest;
use aegis_crds::api::approval::{AskedBy, Execution, PreviewRow};
use anyhow::{Context as _, Result};
use kube::{Api, ResourceExt as _};

use super::{is_open, phase, phase_name, refusal};
use crate::args::ClusterArgs;
use crate::cluster::{self, Cluster};
use crate::io::Io;
use crate::output::{self, Answer, Format, row};

pub(super) async fn run(args: &ClusterArgs, name: &str, format: Format, io: &mut Io<'_>) -> Result<Answer> {
    let Cluster { client, namespace } = cluster::connect(args).await?;
    let request = get(&Api::namespaced(client, &namespace), name, &namespace).await?;
    if format == Format::Table {
        write!(io.out, "{}", text(&request))?;
        if is_open(&request) {
            write!(io.out, "\nDecide with: aegis approve {name} -n {namespace} --reason ..., or aegis deny\n")?;
        }
        io.out.flush()?;
    } else {
        output::document(format, &request, io)?;
    }
    Ok(Answer::Yes)
}

/// The stored request.
pub(super) async fn get(api: &Api<ApprovalRequest>, name: &str, namespace: &str) -> Result<ApprovalRequest> {
    let found = api.get_opt(name).await.map_err(refusal::in_words);
    found.with_context(|| format!("cannot read approval request {name} of namespace {namespace}"))?.with_context(|| {
        format!("there is no approval request {name} in namespace {namespace}; see aegis approvals list -n {namespace}")
    })
}

/// A request in words: who, on whose behalf, what would be sent, who decides, and where it stands. Ends with a line
/// break.
pub fn text(request: &ApprovalRequest) -> String {
    let mut text = String::new();
    let spec = &request.spec;
    let (agent, delegation, action) = (&spec.agent, &spec.delegation, &spec.action);
    row(&mut text, "request", &request.name_any());
    row(&mut text, "agent", &format!("{} version {}", agent.name, agent.version));
    row(&mut text, "on behalf of", &delegation.delegator);
    row(&mut text, "requested by", &spec.requester);
    row(&mut text, "delegation", &format!("{} (generation {})", delegation.name, delegation.generation));
    row(&mut text, "call", &format!("{} {} ({:?})", action.tool, action.operation, action.class));
    row(&mut text, "would send", &format!("{} {}", action.target.method, action.target.url));
    row(&mut text, "held at", &spec.requested_at.0.to_string());
    row(&mut text, "ends", &spec.expires_at.0.to_string());
    text.push('\n');
    text.push_str(&preview(&spec.preview));
    text.push('\n');
    for requirement in &spec.requirements {
        let duties: Vec<_> = requirement.separation_of_duties.iter().map(|duty| format!("{duty:?}")).collect();
        let but = if duties.is_empty() { String::new() } else { format!(", but not {}", duties.join(" or ")) };
        let asked: Vec<_> = requirement.asked_by.iter().map(asked_by).collect();
        row(&mut text, "decided by", &format!("{} of tier {}{but}", requirement.minimum, requirement.tier));
        row(&mut text, "asked for by", &asked.join(", "));
    }
    row(&mut text, "effect", &action.effect_digest);
    row(&mut text, "context", &action.context_digest);
    row(&mut text, "preview", &spec.preview_digest);
    text.push('\n');
    text.push_str(&standing(request));
    text
}

/// What would be sent, as the control service made it.
fn preview(rows: &[PreviewRow]) -> String {
    if rows.is_empty() {
        return "  The call has no arguments.\n".to_owned();
    }
    let cells = rows.iter().map(|row| [row.path.clone(), row.value.clone(), row.flags.join(", ")]);
    let table = output::table(["ARGUMENT OR FACT", "VALUE", "FLAGS"], cells);
    table.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}

/// Where it stands: phase, decision, execution.
pub(super) fn standing(request: &ApprovalRequest) -> String {
    let mut text = String::new();
    row(&mut text, "phase", phase_name(phase(request)));
    let changed = request.status.iter().flat_map(|status| &status.changed).cloned().collect::<Vec<_>>();
    if !changed.is_empty() {
        row(&mut text, "changed", &changed.join(", "));
    }
    match &request.spec.decision {
        None => row(&mut text, "decision", "none yet"),
        Some(decision) => {
            let by = decision.by.as_ref().map_or("nobody: the API server named no one", |by| &by.username);
            row(&mut text, "decision", &format!("{:?} by {by}", decision.verdict));
            if let Some(reason) = &decision.reason {
                row(&mut text, "reason", reason);
            }
            row(&mut text, "decided about", &decision.effect_digest);
        }
    }
    if let Some(status) = &request.status {
        if let Some(at) = &status.decided_at {
            row(&mut text, "seen at", &at.0.to_string());
        }
        row(&mut text, "execution", execution(status.execution.unwrap_or_default()));
        if let Some(claim) = &status.claim {
            row(&mut text, "claimed", &format!("{} by pod {}", claim.at.0, claim.pod));
        }
        if let Some(receipt) = &status.receipt {
            let answer = receipt.status.map(|status| format!(", HTTP {status}")).unwrap_or_default();
            let sent = if receipt.sent { "sent" } else { "nothing was sent" };
            row(&mut text, "receipt", &format!("{sent}{answer}, at {}", receipt.at.0));
            row(&mut text, "record", &receipt.record);
        }
    }
    text
}

fn execution(execution: Execution) -> &'static str {
    match execution {
        Execution::NotStarted => "not started",
        Execution::Claimed => "claimed: the call is being sent",
        Execution::Succeeded => "succeeded: the tool did it",
        Execution::Failed => "failed: the tool refused it, or nothing was sent",
        Execution::Indeterminate => "indeterminate: nobody knows whether the tool did it",
    }
}

fn asked_by(rule: &AskedBy) -> String {
    match &rule.reason {
        Some(reason) => format!("{}/{} ({reason})", rule.policy, rule.rule),
        None => format!("{}/{}", rule.policy, rule.rule),
    }
}
