//! The state machine, over every phase, execution and verdict.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::codes::Code;
use crate::decision::ContextParts;
use crate::digest::Digest;

fn at(seconds: i64) -> Timestamp {
    "2026-03-04T05:06:07Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn parts(rules: &[u8]) -> ContextParts {
    let same = Digest::of_bytes(b"same");
    ContextParts { rules: Digest::of_bytes(rules), registries: same, facts: same, delegation: same, tool: same }
}

/// Asked for at 0, to be decided by 7200, then usable for 900 s; the tool answers within 10 s.
fn pending() -> RequestView {
    RequestView {
        phase: Phase::Pending,
        execution: ExecutionPhase::NotStarted,
        decision: None,
        effect_digest: Digest::of_bytes(b"effect"),
        context: parts(b"1"),
        expires_at: at(7200),
        release_ttl_seconds: 900,
        decided_at: None,
        claim: None,
        timeout_seconds: 10,
        current_context: Some(parts(b"1")),
        agent_active: true,
        delegation_effective: true,
    }
}

fn decided(verdict: StoredVerdict) -> RequestView {
    let decision = Some(DecisionView { verdict, effect_digest: Digest::of_bytes(b"effect"), decider_allowed: true });
    RequestView { decision, ..pending() }
}

fn approved() -> RequestView {
    RequestView { phase: Phase::Approved, decided_at: Some(at(100)), ..decided(StoredVerdict::Approved) }
}

fn claimed() -> RequestView {
    RequestView { execution: ExecutionPhase::Claimed, claim: Some(ClaimView { at: at(200) }), ..approved() }
}

fn wait(seconds: i64) -> Step {
    Step::Nothing { check_again_at: Some(at(seconds)) }
}

const NEVER: Step = Step::Nothing { check_again_at: None };

#[test]
fn a_pending_request_waits_for_its_end() {
    assert_eq!(advance(&pending(), at(1)), wait(7200));
    assert_eq!(advance(&pending(), at(7200)), Step::SetExpired);
}

#[test]
fn a_verdict_counts_when_it_is_seen_in_time() {
    let (yes, no) = (decided(StoredVerdict::Approved), decided(StoredVerdict::Denied));
    assert_eq!(advance(&yes, at(50)), Step::SetApproved { decided_at: at(50) });
    assert_eq!(advance(&no, at(50)), Step::SetDenied { decided_at: at(50) });
    assert_eq!(advance(&yes, at(7200)), Step::SetExpired);
    assert_eq!(advance(&no, at(7200)), Step::SetExpired);
}

#[test]
fn a_verdict_about_another_effect_counts_for_nothing() {
    let mut view = decided(StoredVerdict::Approved);
    view.effect_digest = Digest::of_bytes(b"other");
    assert_eq!(advance(&view, at(50)), Step::SetVoid { reason: VoidReason::VerdictForOtherEffect });
}

#[test]
fn an_approval_by_somebody_who_may_not_decide_counts_for_nothing() {
    for mut view in [decided(StoredVerdict::Approved), approved()] {
        view.decision = Some(DecisionView {
            verdict: StoredVerdict::Approved,
            effect_digest: Digest::of_bytes(b"effect"),
            decider_allowed: false,
        });
        assert_eq!(advance(&view, at(50)), Step::SetVoid { reason: VoidReason::DeciderNotAllowed });
    }
}

#[test]
fn an_open_request_ends_with_its_agent_delegation_or_context() {
    for view in [pending(), decided(StoredVerdict::Approved), approved()] {
        let suspended = RequestView { agent_active: false, ..view.clone() };
        assert_eq!(advance(&suspended, at(150)), Step::SetVoid { reason: VoidReason::AgentNotActive });
        let revoked = RequestView { delegation_effective: false, ..view.clone() };
        assert_eq!(advance(&revoked, at(150)), Step::SetVoid { reason: VoidReason::DelegationEnded });
        let changed = RequestView { current_context: Some(parts(b"2")), ..view.clone() };
        assert_eq!(advance(&changed, at(150)), Step::SetStale { changed: vec!["rules"] });
        let unknown = RequestView { current_context: None, ..view.clone() };
        assert_eq!(advance(&unknown, at(150)), advance(&view, at(150)), "what is not known is not compared");
    }
}

#[test]
fn a_denial_is_told_even_when_the_agent_was_suspended() {
    let view = RequestView { agent_active: false, ..decided(StoredVerdict::Denied) };
    assert_eq!(advance(&view, at(50)), Step::SetDenied { decided_at: at(50) });
}

#[test]
fn an_unclaimed_release_ends_by_time() {
    assert_eq!(advance(&approved(), at(999)), wait(1000));
    assert_eq!(advance(&approved(), at(1000)), Step::SetExpired);
    let timeless = RequestView { decided_at: None, ..approved() };
    assert_eq!(advance(&timeless, at(101)), Step::SetExpired, "it does not stay usable for ever");
}

#[test]
fn a_claim_without_outcome_becomes_indeterminate() {
    assert_eq!(advance(&claimed(), at(239)), wait(240));
    assert_eq!(advance(&claimed(), at(240)), Step::SetIndeterminate);
    let suspended = RequestView { agent_active: false, delegation_effective: false, ..claimed() };
    assert_eq!(advance(&suspended, at(201)), wait(240), "a call that was sent is not unsent by a suspension");
    let half = RequestView { execution: ExecutionPhase::NotStarted, ..claimed() };
    assert_eq!(advance(&half, at(1000)), Step::SetIndeterminate, "a claim is a claim, whatever the execution says");
}

#[test]
fn what_has_ended_stays() {
    for phase in [Phase::Denied, Phase::Expired, Phase::Stale, Phase::Void] {
        assert_eq!(advance(&RequestView { phase, ..decided(StoredVerdict::Approved) }, at(1)), NEVER);
    }
    for execution in [ExecutionPhase::Succeeded, ExecutionPhase::Failed, ExecutionPhase::Indeterminate] {
        assert_eq!(advance(&RequestView { execution, ..claimed() }, at(100_000)), NEVER);
    }
}

#[test]
fn a_repeat_of_an_open_call_joins_or_replaces() {
    for view in [pending(), decided(StoredVerdict::Approved), approved()] {
        assert_eq!(answer_for_repeat(&view, true, at(150)), Repeat::Join);
        assert_eq!(answer_for_repeat(&view, false, at(150)), Repeat::Replace);
    }
}

#[test]
fn a_repeat_first_settles_what_has_ended() {
    assert_eq!(answer_for_repeat(&pending(), true, at(7200)), Repeat::Settle(Step::SetExpired));
    assert_eq!(answer_for_repeat(&approved(), true, at(1000)), Repeat::Settle(Step::SetExpired));
    let denied = decided(StoredVerdict::Denied);
    assert_eq!(answer_for_repeat(&denied, true, at(5)), Repeat::Settle(Step::SetDenied { decided_at: at(5) }));
    assert_eq!(answer_for_repeat(&claimed(), true, at(240)), Repeat::Settle(Step::SetIndeterminate));
}

#[test]
fn a_repeat_of_an_ended_call() {
    for same in [true, false] {
        let denied = RequestView { phase: Phase::Denied, ..decided(StoredVerdict::Denied) };
        assert_eq!(answer_for_repeat(&denied, same, at(7199)), Repeat::Refuse(Code::ApprovalDenied));
        assert_eq!(answer_for_repeat(&denied, same, at(7200)), Repeat::New);
        for phase in [Phase::Expired, Phase::Stale, Phase::Void] {
            assert_eq!(answer_for_repeat(&RequestView { phase, ..pending() }, same, at(1)), Repeat::New);
        }
        for (execution, answer) in [
            (ExecutionPhase::Claimed, Repeat::Refuse(Code::InFlight)),
            (ExecutionPhase::Succeeded, Repeat::Refuse(Code::DuplicateEffect)),
            (ExecutionPhase::Indeterminate, Repeat::Refuse(Code::OutcomeUnknown)),
            (ExecutionPhase::Failed, Repeat::New),
        ] {
            assert_eq!(answer_for_repeat(&RequestView { execution, ..claimed() }, same, at(201)), answer);
        }
    }
}

#[test]
fn no_edge_goes_back() {
    // Every pair of states that is a step forward: none has a way back, over any number of steps.
    let states: Vec<_> = Phase::ALL
        .into_iter()
        .flat_map(|phase| ExecutionPhase::ALL.into_iter().map(move |execution| (phase, execution)))
        .collect();
    let edge = |from: usize, to: usize| from != to && is_forward(states[from], states[to]);
    let mut reach: Vec<Vec<bool>> =
        (0..states.len()).map(|from| (0..states.len()).map(|to| edge(from, to)).collect()).collect();
    for via in 0..states.len() {
        for from in 0..states.len() {
            for to in 0..states.len() {
                reach[from][to] |= reach[from][via] && reach[via][to];
            }
        }
    }
    for (state, row) in reach.iter().enumerate() {
        assert!(!row[state], "{:?} can be reached from itself", states[state]);
    }
}

fn views() -> impl Strategy<Value = RequestView> {
    let state = (
        prop::sample::select(&Phase::ALL[..]),
        prop::sample::select(&ExecutionPhase::ALL[..]),
        prop::option::of((any::<bool>(), any::<bool>())),
    );
    let times = (prop::option::of(-10_i64..8000), prop::option::of(-10_i64..8000), 0_u32..2000, 0_u32..100);
    let world = (any::<bool>(), any::<bool>(), prop::option::of(any::<bool>()));
    (state, times, world).prop_map(|((phase, execution, decision), (decided, claim, ttl, timeout), world)| {
        let started = phase == Phase::Approved && execution != ExecutionPhase::NotStarted;
        RequestView {
            phase,
            execution: if started { execution } else { ExecutionPhase::NotStarted },
            decision: decision.map(|(yes, same)| DecisionView {
                verdict: if yes { StoredVerdict::Approved } else { StoredVerdict::Denied },
                effect_digest: Digest::of_bytes(if same { b"effect" } else { b"other!" }),
                decider_allowed: true,
            }),
            decided_at: decided.map(at),
            claim: claim.filter(|_| started).map(|seconds| ClaimView { at: at(seconds) }),
            release_ttl_seconds: ttl,
            timeout_seconds: timeout,
            agent_active: world.0,
            delegation_effective: world.1,
            current_context: world.2.map(|same| parts(if same { b"1" } else { b"2" })),
            ..pending()
        }
    })
}

fn written(view: &RequestView, step: &Step) -> RequestView {
    let (phase, execution) = step.after(view.phase, view.execution);
    let decided_at = match step {
        Step::SetApproved { decided_at } | Step::SetDenied { decided_at } => Some(*decided_at),
        _ => view.decided_at,
    };
    RequestView { phase, execution, decided_at, ..view.clone() }
}

proptest! {
    #[test]
    fn every_step_is_forward_and_they_end(view in views(), now in -100_i64..10_000) {
        let mut view = view;
        for _ in 0..4 {
            let step = advance(&view, at(now));
            let next = written(&view, &step);
            if let Step::Nothing { check_again_at } = step {
                prop_assert!(check_again_at.is_none_or(|time| time > at(now)), "it does not spin");
                return Ok(());
            }
            let (from, to) = ((view.phase, view.execution), (next.phase, next.execution));
            prop_assert!(from != to && is_forward(from, to), "{:?} -> {:?}", from, to);
            view = next;
        }
        prop_assert!(false, "more than three steps at one time");
    }

    #[test]
    fn nothing_is_approved_without_a_matching_verdict_in_time(view in views(), now in -100_i64..10_000) {
        if let Step::SetApproved { decided_at } = advance(&view, at(now)) {
            let decision = view.decision.unwrap();
            prop_assert_eq!(decision.verdict, StoredVerdict::Approved);
            prop_assert_eq!(decision.effect_digest, view.effect_digest);
            prop_assert!(view.agent_active && view.delegation_effective);
            prop_assert!(decided_at == at(now) && at(now) < view.expires_at);
        }
    }

    #[test]
    fn time_alone_changes_the_answer_only_when_it_said_so(view in views(), now in -100_i64..10_000, wait in 0_i64..10_000) {
        if let Step::Nothing { check_again_at } = advance(&view, at(now)) {
            let later = at(now + wait);
            if check_again_at.is_none_or(|time| later < time) {
                prop_assert_eq!(advance(&view, later), Step::Nothing { check_again_at });
            }
        }
    }

    #[test]
    fn a_claimed_call_is_never_sent_again(view in views(), same: bool, now in -100_i64..10_000) {
        if view.is_claimed() && view.execution != ExecutionPhase::Failed {
            let answer = answer_for_repeat(&view, same, at(now));
            prop_assert!(matches!(answer, Repeat::Refuse(_) | Repeat::Settle(Step::SetIndeterminate)), "{:?}", answer);
        }
    }
}
