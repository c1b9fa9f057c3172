//! Finding the caller's request by uid, and reading it now.

use aegis_crds::api::ApprovalRequest;
use aegis_decision::token::AgentClaims;
use kube::{Api, ResourceExt as _};

use super::{Control, Refusal};

/// The request of that uid, read from the API server now, if it is the caller's.
pub async fn read(
    control: &Control,
    claims: &AgentClaims,
    uid: &str,
) -> Result<(Api<ApprovalRequest>, ApprovalRequest), Refusal> {
    let known = control.stores.requests.find(|request| request.uid().as_deref() == Some(uid));
    let known = known.ok_or(Refusal::UnknownRequest)?;
    let namespace = known.namespace().unwrap_or_default();
    if namespace != claims.agent.namespace {
        return Err(Refusal::UnknownRequest);
    }
    let api: Api<ApprovalRequest> = Api::namespaced(control.client.clone(), &namespace);
    let request = api.get_opt(&known.name_any()).await?.ok_or(Refusal::UnknownRequest)?;
    if request.uid().as_deref() != Some(uid) || request.spec.agent.uid != claims.agent.uid {
        return Err(Refusal::UnknownRequest);
    }
    Ok((api, request))
}
