//! How long a worker lets a Rego module work, and the machines that it keeps for them.
//!
//! What a module may cost is bounded in units of work, the same everywhere; this is the bound on time, for a machine that
//! is slow or busy. Its hit says nothing about the call: the agent gets 503 `policy_timeout` and may repeat it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use aegis_decision::bundle::Bundle;
use aegis_decision::call::ToolCall;
use aegis_decision::decide::{self, Evidence};
use aegis_decision::decision::Decision;
use aegis_decision::rego::{OutOfTime, Worker};
use jiff::Timestamp;

/// Time that the modules of one call have together, but in tests.
pub const REGO_TIME: Duration = Duration::from_millis(10);
/// Time that a plan has for all of its steps: their modules keep the worker from other calls no longer than those of ten
/// calls could.
pub const PLAN_TIME: Duration = Duration::from_millis(100);

thread_local! {
    /// A call stays on its worker's thread, and so do the machines that judge it.
    static MACHINES: RefCell<Worker> = RefCell::new(Worker::new());
}

/// Makes this worker's machines for a tool, where they are not made yet. Not of any call's time: else large registries
/// could use it up at every call.
pub fn prepare(bundle: &Bundle, tool: &str) {
    MACHINES.with_borrow_mut(|machines| machines.prepare(bundle, tool));
}

/// Judges a call on this worker's machines, within `limit`.
pub fn decide(
    bundle: &Bundle,
    call: ToolCall,
    evidence: &Evidence<'_>,
    now: Timestamp,
    limit: Duration,
) -> Result<Decision, OutOfTime> {
    prepare(bundle, &call.tool);
    MACHINES.with_borrow_mut(|machines| {
        let began = Instant::now();
        let stop = || began.elapsed() >= limit;
        decide::decide_in_time(bundle, call, evidence, now, machines, &stop)
    })
}

/// What is left of the time that the modules of several calls have together.
#[derive(Debug)]
pub struct Together(Duration);

impl Together {
    /// So much for all of them.
    pub fn new(whole: Duration) -> Self {
        Self(whole)
    }

    /// Judges one of the calls as [`decide`] does, within what is left and no longer than `limit`.
    pub fn decide(
        &mut self,
        bundle: &Bundle,
        call: ToolCall,
        evidence: &Evidence<'_>,
        now: Timestamp,
        limit: Duration,
    ) -> Result<Decision, OutOfTime> {
        prepare(bundle, &call.tool);
        let began = Instant::now();
        let decided = decide(bundle, call, evidence, now, limit.min(self.0));
        self.0 = self.0.saturating_sub(began.elapsed());
        decided
    }
}

#[cfg(test)]
mod tests {
    use aegis_decision::agent::Standing;
    use aegis_decision::bundle::BundleSource;
    use aegis_decision::contract::DecisionInput;
    use aegis_decision::decision::Verdict;
    use aegis_decision::delegation::Delegation;
    use aegis_decision::facts::FactSet;
    use aegis_decision::json;
    use aegis_decision::rego::ModuleSource;
    use serde::Deserialize;

    use super::*;

    /// What the corpus of decisions keeps.
    #[derive(Deserialize)]
    struct Scene {
        source: BundleSource,
        standing: Standing,
        delegations: Vec<Delegation>,
        input: DecisionInput,
    }

    /// A module that goes a thousand rounds, and denies what is not bought.
    const MODULE: &str = r#"package aegis

verdicts contains {"effect": "Deny", "reason": "r", "message": "m"} if {
    some a in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    some b in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    some c in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    a + b + c == input.arguments.amount
}
"#;

    fn scene() -> (Bundle, ToolCall, Scene) {
        let scene = include_bytes!("../../../fuzz/corpus/decision/case-combination-0.json");
        let mut scene: Scene = json::read(scene).unwrap();
        scene.source.policies[0].rego = Some(ModuleSource { module: MODULE.to_owned().into(), tiers: Vec::new() });
        let bundle = Bundle::assemble(scene.source.clone()).unwrap();
        let call = bundle.call_of_input(&scene.input).unwrap();
        (bundle, call, scene)
    }

    fn judged_by<T>(judge: impl FnOnce(&Bundle, ToolCall, &Evidence<'_>, Timestamp) -> T) -> T {
        let (bundle, call, scene) = scene();
        let (standing, delegations, facts) = (&scene.standing, &scene.delegations, &FactSet::default());
        judge(&bundle, call, &Evidence { standing, delegations, facts, run: None, releases: &[] }, scene.input.at)
    }

    fn judged(limit: Duration) -> Result<Decision, OutOfTime> {
        judged_by(|bundle, call, evidence, now| decide(bundle, call, evidence, now, limit))
    }

    #[test]
    fn time_that_is_over_is_no_decision_and_leaves_nothing_behind() {
        assert_eq!(judged(Duration::ZERO).unwrap_err(), OutOfTime);
        // The same machines judge the next call as if nothing had been.
        let decision = judged(Duration::from_mins(10)).unwrap();
        assert_eq!(decision.output.verdict, Verdict::Allow);
        assert_eq!(judged(Duration::ZERO).unwrap_err(), OutOfTime);
    }

    #[test]
    fn calls_that_share_a_time_use_it_up() {
        let mut time = Together::new(PLAN_TIME);
        let _ = judged_by(|bundle, call, evidence, now| time.decide(bundle, call, evidence, now, REGO_TIME));
        assert!(time.0 < PLAN_TIME, "{time:?}");
        let mut over = Together::new(Duration::ZERO);
        let undecided = judged_by(|bundle, call, evidence, now| over.decide(bundle, call, evidence, now, REGO_TIME));
        assert_eq!(undecided.unwrap_err(), OutOfTime);
    }
}
