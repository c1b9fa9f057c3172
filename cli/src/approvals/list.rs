//! `aegis approvals list`: the inbox.

use std::io::Write as _;

use aegis_crds::api::ApprovalRequest;
use aegis_crds::api::approval::Phase;
use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::{is_open, phase, phase_name, refusal};
use crate::args::ClusterArgs;
use crate::cluster::{self, Cluster};
use crate::io::Io;
use crate::output::{self, Answer, Format};

/// Requests that are asked for at a time.
const PAGE: u32 = 500;

/// Which requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Only those that wait for a decision.
    pub pending: bool,
    /// Those of all namespaces.
    pub all_namespaces: bool,
}

pub(super) async fn run(args: &ClusterArgs, wanted: Wanted, format: Format, io: &mut Io<'_>) -> Result<Answer> {
    let Cluster { client, namespace } = cluster::connect(args).await?;
    let (api, place): (Api<ApprovalRequest>, _) = if wanted.all_namespaces {
        (Api::all(client), "any namespace".to_owned())
    } else {
        (Api::namespaced(client, &namespace), format!("namespace {namespace}"))
    };
    let mut requests = all(&api, &place).await?;
    requests.retain(|request| !wanted.pending || is_open(request));
    sort(&mut requests);
    if format != Format::Table {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": requests});
        output::document(format, &list, io)?;
    } else if requests.is_empty() {
        writeln!(io.err, "No {} in {place}.", if wanted.pending { "request waits" } else { "approval requests" })?;
    } else {
        write!(io.out, "{}", table(&requests, wanted.all_namespaces, io.now))?;
        io.out.flush()?;
    }
    Ok(Answer::Yes)
}

async fn all(api: &Api<ApprovalRequest>, place: &str) -> Result<Vec<ApprovalRequest>> {
    let mut requests = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let answer = api.list(&page).await.map_err(refusal::in_words);
        let answer = answer.with_context(|| format!("cannot list the approval requests of {place}"))?;
        requests.extend(answer.items);
        match answer.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(requests),
        }
    }
}

/// Those that wait first, the one that ends first on top; then the newest.
pub fn sort(requests: &mut [ApprovalRequest]) {
    requests.sort_by_key(|request| {
        let open = is_open(request);
        let order = if open { request.spec.expires_at.0 } else { request.spec.requested_at.0 }.as_second();
        (!open, if open { order } else { order.saturating_neg() }, request.name_any())
    });
}

const HEADER: [&str; 8] = ["NAME", "AGENT", "TOOL", "OPERATION", "TIER", "AGE", "EXPIRES", "PHASE"];

/// The table of `aegis approvals list`. Ends with a line break.
pub fn table(requests: &[ApprovalRequest], with_namespace: bool, now: Timestamp) -> String {
    let cells = |request: &ApprovalRequest| {
        let spec = &request.spec;
        let tiers: Vec<&str> = spec.requirements.iter().map(|requirement| requirement.tier.as_str()).collect();
        let left = spec.expires_at.0.duration_since(now);
        let expires = match (is_open(request), left.is_positive()) {
            (true, true) => format!("in {}", short(left)),
            (true, false) => "over".to_owned(),
            (false, _) => "-".to_owned(),
        };
        [
            request.name_any(),
            spec.agent.name.clone(),
            spec.action.tool.clone(),
            spec.action.operation.clone(),
            tiers.join(","),
            short(now.duration_since(spec.requested_at.0)),
            expires,
            stage(request),
        ]
    };
    if with_namespace {
        let [name, agent, tool, operation, tier, age, expires, phase] = HEADER;
        let header = ["NAMESPACE", name, agent, tool, operation, tier, age, expires, phase];
        let rows = requests.iter().map(|request| {
            let [name, agent, tool, operation, tier, age, expires, phase] = cells(request);
            [request.namespace().unwrap_or_default(), name, agent, tool, operation, tier, age, expires, phase]
        });
        output::table(header, rows)
    } else {
        output::table(HEADER, requests.iter().map(cells))
    }
}

/// The phase; a verdict that the operator has not seen yet is told as well.
fn stage(request: &ApprovalRequest) -> String {
    let name = phase_name(phase(request));
    match &request.spec.decision {
        Some(decision) if phase(request) == Phase::Pending => {
            format!("{name} ({:?} by a person)", decision.verdict)
        }
        _ => name.to_owned(),
    }
}

/// A length of time in its two largest units, as kubectl writes ages.
fn short(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, 0) => format!("{hours}h"),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, 0, _) => format!("{days}d"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}
