//! Aegis itself: from the body to the verdict, with all that it does on the way.

use aegis_decision::decide::decide;
use aegis_decision::decision::Outcome;

use crate::workload::{Desk, Request, Rules};

/// So many rules of these kinds, with standing and delegation of the agent.
pub fn desk(kinds: Rules, rules: usize) -> Desk {
    Desk::new(kinds, rules)
}

/// Whether the call may go: named, its schema checked, judged, with both digests.
pub fn allows(desk: &Desk, request: &Request) -> bool {
    let call = desk.bundle.name_call("bank", &request.http()).expect("the call is strict");
    let decision = decide(&desk.bundle, call, &desk.evidence(), desk.now);
    matches!(decision.outcome, Outcome::Allow(Some(_)))
}

/// A payment with this body.
pub fn request(body: &[u8]) -> Request {
    Request::new("/payments", body.to_vec())
}
