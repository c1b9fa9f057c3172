//! A bundle with one module, and calls to it.

use aegis_decision::bundle::AssembleError;
use aegis_decision::decide::{self, Evidence};
use aegis_decision::decision::{Decision, DecisionOutput, Verdict};
use aegis_decision::facts::FactSet;
use aegis_decision::rego::{FUEL, Worker};
use serde_json::{Value, json};

use crate::support::situation::{Scene, Situation};

/// A module behind its two lines of head.
pub fn module(body: &str) -> String {
    format!("package aegis\n\n{body}\n")
}

/// The module as the only policy, and a call with these arguments.
pub fn scene(module: &str, arguments: &Value) -> Result<Scene, AssembleError> {
    let policy = json!({"name": "p", "rules": [], "registries": [], "rego": {"module": module, "tiers": ["manager"]}});
    let keys =
        json!({"rules": [], "policies": [policy], "tiers": ["manager"], "call": {"json": arguments.to_string()}});
    Situation::fixture().with(keys.as_object().unwrap()).scene()
}

/// What came out, and what it cost.
pub struct Asked {
    pub output: DecisionOutput,
    pub spent: u32,
}

/// Asks the module once, with a worker of its own.
pub fn ask(scene: &Scene) -> Asked {
    ask_by(&mut Worker::new(), scene)
}

/// Asks the module with this worker.
pub fn ask_by(worker: &mut Worker, scene: &Scene) -> Asked {
    let call = scene.bundle.call_of_input(&scene.input).expect("the call is named");
    let evidence = Evidence {
        standing: &scene.standing,
        delegations: &scene.delegations,
        facts: &FactSet::default(),
        run: None,
        releases: &[],
    };
    let at = scene.input.at;
    let decided = decide::decide_in_time(&scene.bundle, call, &evidence, at, worker, &|| false);
    let Decision { output, .. } = decided.expect("nothing stops it");
    let spent = worker.spent();
    assert!(spent <= FUEL);
    Asked { output, spent }
}

/// The reason of the verdict, of a call that a module denied.
pub fn denied(asked: &Asked) -> (String, String) {
    assert_eq!(asked.output.verdict, Verdict::Deny, "{:?}", asked.output);
    let rule = asked.output.rule.clone().expect("a rule denies");
    assert_eq!((rule.policy.as_str(), rule.rule.as_str()), ("p", "rego"));
    (rule.reason.expect("with a reason"), asked.output.detail.clone().expect("with a sentence"))
}
