//! What became of people's approvals: none is spent where it is sure that the call cannot be sent.

use aegis_crds::api::ApprovalRequest;
use anyhow::{Result, ensure};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use super::calls::Kind;
use super::page::Row;
use super::scene::NAMESPACE;
use super::stage::Stage;

/// Where a held call comes to nothing but these, nothing of it may have been claimed.
const UNSENT: [&str; 4] = ["`not_ready`", "`record_not_writable`", "`stale`", "no answer"];

/// Checks every window of the table against the claims of its pod.
pub async fn none_is_spent_in_vain(stage: &Stage, rows: &[Row]) -> Result<()> {
    let requests: Api<ApprovalRequest> = Api::namespaced(stage.scene.node.cluster.admin().await?, NAMESPACE);
    let requests = requests.list(&ListParams::default()).await?.items;
    for (window, row) in stage.windows.iter().zip(rows) {
        let held = row.came_to.get(&Kind::Held);
        if !held.is_some_and(|all| all.iter().all(|one| UNSENT.contains(&one.as_str()))) {
            continue;
        }
        let Some(pod) = stage.lanes.get(window.lane).and_then(super::lane::Lane::uid) else { continue };
        for request in &requests {
            let claim = request.status.as_ref().and_then(|status| status.claim.as_ref()).filter(|it| it.pod == pod);
            let at = claim.and_then(|claim| u64::try_from(claim.at.0.as_millisecond()).ok());
            ensure!(
                // Kubernetes keeps whole seconds.
                at.is_none_or(|at| at < window.from || at + 1000 > window.to),
                "{}, {}: an approval was spent on a call that could not be sent: {}",
                row.fault,
                row.beside,
                request.name_any()
            );
        }
    }
    Ok(())
}
