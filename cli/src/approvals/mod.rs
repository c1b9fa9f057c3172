//! `aegis approvals`, `aegis approve`, `aegis deny`: the calls that wait for a person.

pub mod decide;
pub mod list;
mod refusal;
pub mod show;

use aegis_crds::api::ApprovalRequest;
use aegis_crds::api::approval::Phase;
use anyhow::Result;

use crate::args::{ApprovalsCommand, ClusterArgs};
use crate::io::Io;
use crate::output::Answer;

/// Runs `aegis approvals`.
pub(crate) async fn run(cluster: &ClusterArgs, command: ApprovalsCommand, io: &mut Io<'_>) -> Result<Answer> {
    match command {
        ApprovalsCommand::List { pending, all_namespaces, output } => {
            list::run(cluster, list::Wanted { pending, all_namespaces }, output, io).await
        }
        ApprovalsCommand::Show { name, output } => show::run(cluster, &name, output, io).await,
    }
}

/// Where a request stands. One without status was just made.
fn phase(request: &ApprovalRequest) -> Phase {
    request.status.as_ref().and_then(|status| status.phase).unwrap_or_default()
}

/// Whether a person can still decide: nobody has, and its phase is open.
fn is_open(request: &ApprovalRequest) -> bool {
    phase(request) == Phase::Pending && request.spec.decision.is_none()
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Approved => "Approved",
        Phase::Denied => "Denied",
        Phase::Expired => "Expired",
        Phase::Stale => "Stale",
        Phase::Void => "Void",
    }
}
