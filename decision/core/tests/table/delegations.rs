//! Which delegation a call is judged under, written once more from docs/reference/decision.md: by what a person would look
//! at, one after the other.

use aegis_decision::codes::Code;
use aegis_decision::delegation::Delegation;

use crate::calls::Call;

/// Why the call has no delegation to be judged under; none: it has one.
pub fn refusal(call: &Call) -> Option<Code> {
    let mut granting = call.delegations.iter().filter(|one| one.agent == "clerk" && grants(one)).collect::<Vec<_>>();
    let at = call.input.at;
    let is_revoked = |one: &&&Delegation| one.revoked;
    let is_coming = |one: &&&Delegation| !one.revoked && at < one.not_before;
    let is_over = |one: &&&Delegation| !one.revoked && at >= one.not_before && at >= one.expires_at;
    let is_in_force = |one: &&&Delegation| !one.revoked && one.not_before <= at && at < one.expires_at;

    if let Some(name) = &call.input.delegation {
        granting.retain(|one| one.name == *name);
        if granting.len() > 1 {
            return Some(Code::AmbiguousDelegation);
        }
    }
    let any = |is: &dyn Fn(&&&Delegation) -> bool| granting.iter().any(|one| is(&one));
    match granting.iter().filter(is_in_force).count() {
        1 => None,
        2.. => Some(Code::AmbiguousDelegation),
        0 if any(&is_over) => Some(Code::DelegationExpired),
        0 if any(&is_coming) => Some(Code::DelegationNotYet),
        0 if any(&is_revoked) => Some(Code::DelegationRevoked),
        0 => Some(Code::NoDelegation),
    }
}

fn grants(delegation: &Delegation) -> bool {
    let names = |operations: &[String]| operations.iter().any(|operation| operation == "*" || operation == "write");
    delegation.grants.iter().any(|grant| grant.tool == "desk" && names(&grant.operations))
}
