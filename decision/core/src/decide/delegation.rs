//! Step 2: under whose authority a call is made.

use jiff::Timestamp;

use super::refusal::Refusal;
use crate::agent::Agent;
use crate::call::ToolCall;
use crate::codes::Code;
use crate::decision::DelegationRef;
use crate::delegation::{Delegation, DelegationState};

/// Most names that a sentence lists.
const NAMED_AT_MOST: usize = 8;

/// The delegation of a call: the one that it names, else the only one in force that grants the operation.
pub(super) fn choose<'a>(
    agent: &Agent,
    call: &ToolCall,
    delegations: &'a [Delegation],
    now: Timestamp,
) -> Result<&'a Delegation, Box<Refusal>> {
    let own = delegations.iter().filter(|delegation| delegation.agent == agent.name);
    let granting = own.filter(|delegation| delegation.grants(&call.tool, &call.operation));
    match &call.delegation {
        Some(name) => {
            named(call, name, &granting.filter(|delegation| delegation.name == *name).collect::<Vec<_>>(), now)
        }
        None => only(call, &granting.collect::<Vec<_>>(), now),
    }
}

/// As the output names it.
pub(super) fn reference(delegation: &Delegation) -> DelegationRef {
    DelegationRef {
        name: delegation.name.clone(),
        uid: delegation.uid.clone(),
        generation: delegation.generation,
        delegator: delegation.delegator.clone(),
        requester: delegation.requester().to_owned(),
        workflow: delegation.workflow.clone(),
    }
}

/// The same words whether the name is unknown, another agent's, or grants something else: a name is no way to find out
/// what exists.
fn named<'a>(
    call: &ToolCall,
    name: &str,
    granting: &[&'a Delegation],
    now: Timestamp,
) -> Result<&'a Delegation, Box<Refusal>> {
    match granting {
        [delegation] => match delegation.state(now) {
            DelegationState::Effective => Ok(delegation),
            state => Err(not_in_force(call, delegation, state)),
        },
        // Names are unique in a namespace. Two of one name are a fault, and nobody knows which one was meant.
        [_, _, ..] => Err(ambiguous(call, granting)),
        [] => Err(refusal(
            Code::NoDelegation,
            format!(
                "{}: delegation {name} does not exist for this agent or does not grant this operation",
                call.operation
            ),
        )),
    }
}

fn only<'a>(call: &ToolCall, granting: &[&'a Delegation], now: Timestamp) -> Result<&'a Delegation, Box<Refusal>> {
    let in_state = |wanted| granting.iter().copied().filter(move |delegation| delegation.state(now) == wanted);
    let effective: Vec<_> = in_state(DelegationState::Effective).collect();
    match effective.as_slice() {
        [delegation] => return Ok(delegation),
        [] => {}
        _ => return Err(ambiguous(call, &effective)),
    }
    // Of several that do not help, the one that says most about what to do: renew, wait, ask.
    let expired = in_state(DelegationState::Expired).max_by_key(|delegation| (delegation.expires_at, &delegation.name));
    let coming = in_state(DelegationState::NotYet).min_by_key(|delegation| (delegation.not_before, &delegation.name));
    let revoked = in_state(DelegationState::Revoked).min_by_key(|delegation| &delegation.name);
    Err(match expired.or(coming).or(revoked) {
        Some(delegation) => not_in_force(call, delegation, delegation.state(now)),
        None => refusal(
            Code::NoDelegation,
            format!("{}: no delegation to this agent grants this operation of tool {}", call.operation, call.tool),
        ),
    })
}

fn not_in_force(call: &ToolCall, delegation: &Delegation, state: DelegationState) -> Box<Refusal> {
    let (operation, name) = (&call.operation, &delegation.name);
    match state {
        DelegationState::Expired => {
            let detail =
                format!("{operation}: delegation {name} ended at {}; a new one is needed", delegation.expires_at);
            refusal(Code::DelegationExpired, detail)
        }
        DelegationState::NotYet => {
            let detail = format!("{operation}: delegation {name} begins at {}; try again then", delegation.not_before);
            refusal(Code::DelegationNotYet, detail)
        }
        DelegationState::Revoked => {
            refusal(Code::DelegationRevoked, format!("{operation}: delegation {name} was revoked; a new one is needed"))
        }
        DelegationState::Effective => {
            refusal(Code::NoDelegation, format!("{operation}: delegation {name} cannot be used"))
        }
    }
}

fn ambiguous(call: &ToolCall, delegations: &[&Delegation]) -> Box<Refusal> {
    let mut names: Vec<_> = delegations.iter().map(|delegation| delegation.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(NAMED_AT_MOST);
    names.truncate(NAMED_AT_MOST);
    let list = names.join(", ");
    let list = if more > 0 { format!("{list} and {more} more") } else { list };
    let mut refusal = refusal(
        Code::AmbiguousDelegation,
        format!("{}: several delegations grant it: {list}; name one in the header Aegis-Delegation", call.operation),
    );
    refusal.allowed = Some(format!("Aegis-Delegation: one of {list}"));
    refusal
}

fn refusal(code: Code, detail: String) -> Box<Refusal> {
    Box::new(Refusal::plain(code, detail))
}
