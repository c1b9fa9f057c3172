//! `Delegation` to the core's delegation.

use std::collections::BTreeMap;

use aegis_decision::delegation::{Delegation, Grant};
use jiff::SignedDuration;
use kube::ResourceExt as _;

use super::{Invalid, dimension, text};
use crate::api;

/// Longest life of a delegation.
const MAX_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The delegation.
///
/// `requestedBy` is stamped by the API server. An object that came from a server without it is invalid: the guards
/// were not in place. One that never was on a server counts as created by its delegator.
pub fn delegation(resource: &api::Delegation) -> Result<Delegation, Invalid> {
    let api::DelegationSpec {
        agent,
        requested_by,
        delegator,
        requester,
        workflow,
        purpose,
        request,
        inputs,
        grants,
        data,
        not_before,
        expires_at,
        revoked,
    } = &resource.spec;
    let uid = resource.uid().unwrap_or_default();
    let requested_by = match requested_by {
        Some(creator) => text::bounded(creator, 256, "spec.requestedBy")?,
        None if uid.is_empty() => delegator.clone(),
        None => return Err(Invalid::new("spec.requestedBy", "is missing; the API server stamps it at creation")),
    };
    if expires_at.0 <= not_before.0 {
        return Err(Invalid::new("spec.expiresAt", "does not lie after spec.notBefore"));
    }
    if expires_at.0.duration_since(not_before.0) > MAX_LIFE {
        return Err(Invalid::new("spec.expiresAt", "lies more than 90 days after spec.notBefore"));
    }
    if grants.is_empty() {
        return Err(Invalid::new("spec.grants", "is empty"));
    }
    Ok(Delegation {
        name: resource.name_any(),
        uid,
        generation: resource.metadata.generation.unwrap_or_default(),
        agent: text::label(agent, "spec.agent")?,
        requested_by,
        delegator: text::bounded(delegator, 256, "spec.delegator")?,
        requester: requester.as_deref().map(|name| text::bounded(name, 256, "spec.requester")).transpose()?,
        workflow: text::label(workflow, "spec.workflow")?,
        purpose: text::bounded(purpose, 512, "spec.purpose")?,
        request: request.as_deref().map(|text| text::bounded(text, 2048, "spec.request")).transpose()?,
        inputs: lower_inputs(inputs)?,
        data: dimension::bounds(data)?,
        grants: grants.iter().enumerate().map(|(at, grant)| lower_grant(grant, at)).collect::<Result<_, _>>()?,
        not_before: not_before.0,
        expires_at: expires_at.0,
        revoked: *revoked,
    })
}

fn lower_inputs(inputs: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Invalid> {
    let lower = |(name, value): (&String, &String)| {
        let value = text::bounded(value, 256, &format!("spec.inputs.{name}"))?;
        Ok((text::name(name, "spec.inputs")?, value))
    };
    inputs.iter().map(lower).collect()
}

fn lower_grant(grant: &api::delegation::Grant, at: usize) -> Result<Grant, Invalid> {
    let field = format!("spec.grants[{at}]");
    Ok(Grant {
        tool: text::label(&grant.tool, &format!("{field}.tool"))?,
        operations: text::operations(&grant.operations, &format!("{field}.operations"))?,
    })
}
