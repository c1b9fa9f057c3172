//! Decisions on any policy and any call: deterministic, explained, and never more than the rules, the delegations and the
//! agent's standing give.

use aegis_decision::agent::{Lifecycle, Mode, Standing};
use aegis_decision::approval::Release;
use aegis_decision::bundle::{Bundle, BundleSource};
use aegis_decision::contract::DecisionInput;
use aegis_decision::decide::{Evidence, decide_in_time};
use aegis_decision::decision::{Decision, DecisionOutput, Outcome, Truth, Verdict};
use aegis_decision::delegation::Delegation;
use aegis_decision::digest::Digest;
use aegis_decision::facts::FactSet;
use aegis_decision::json;
use aegis_decision::policy::{Effect, Policy, Rule};
use aegis_decision::rego::Worker;
use aegis_decision::tool::Class;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// All that one decision rests on: the form of this target's corpus.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scene {
    /// What the bundle is made from.
    pub source: BundleSource,
    /// Where the agent stands.
    pub standing: Standing,
    /// Delegations to it.
    pub delegations: Vec<Delegation>,
    /// The call.
    pub input: DecisionInput,
}

/// Panics where a decision contradicts itself, or a change that can only take away gives more.
pub fn check(bytes: &[u8]) {
    let _verdict = decided(bytes);
}

/// The same; gives the verdict, where there is a scene and its bundle can be made.
pub fn decided(bytes: &[u8]) -> Option<Verdict> {
    let scene: Scene = json::read(bytes).ok()?;
    let bundle = match Bundle::assemble(scene.source.clone()) {
        Ok(bundle) => bundle,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let Decision { outcome, output } = scene.decide(&bundle, &[]);
    assert_eq!(scene.decide(&bundle, &[]).output, output, "judged twice");
    coherent(&bundle, outcome, &output);
    reordered(&scene, &bundle, &output);
    taken_away(&scene, &output);
    released(&scene, &bundle, &output);
    Some(output.verdict)
}

impl Scene {
    /// What is decided with this worker's machines; none for what is no call.
    #[allow(dead_code)] // The target of decisions has no use for it.
    pub fn asked(&self, bundle: &Bundle, worker: &mut Worker) -> Option<DecisionOutput> {
        let call = bundle.call_of_input(&self.input).ok()?;
        let facts = FactSet::default();
        let evidence = Evidence {
            standing: &self.standing,
            delegations: &self.delegations,
            facts: &facts,
            run: None,
            releases: &[],
        };
        let decided = decide_in_time(bundle, call, &evidence, self.input.at, worker, &|| false);
        Some(decided.expect("nothing stops it").output)
    }

    fn decide(&self, bundle: &Bundle, releases: &[Release]) -> Decision {
        bundle.decide_input(&self.input, &self.standing, &self.delegations, releases)
    }

    /// The output in another situation; none where its bundle cannot be made.
    fn with(&self, change: impl FnOnce(&mut Self)) -> Option<DecisionOutput> {
        let mut scene = self.clone();
        change(&mut scene);
        let bundle = Bundle::assemble(scene.source.clone()).ok()?;
        Some(scene.decide(&bundle, &[]).output)
    }
}

/// Outcome and output are one decision, and what it rests on is in the output.
fn coherent(bundle: &Bundle, outcome: Outcome, output: &DecisionOutput) {
    let agrees = match &outcome {
        Outcome::Allow(_) => output.verdict == Verdict::Allow && output.code.is_none(),
        Outcome::Hold => output.verdict == Verdict::Hold && !output.requirements.is_empty(),
        Outcome::Deny(code) => output.verdict == Verdict::Deny && output.code == Some(*code),
        // There is no release here.
        Outcome::AllowOnce(_) => false,
        Outcome::Propose => output.verdict == Verdict::Propose && output.class > Some(Class::Read),
    };
    assert!(agrees && output.code.is_some() == output.detail.is_some(), "{outcome:?} and {output:?}");
    assert_eq!(output.bundle, bundle.digest());
    let text = serde_json::to_string(output).expect("an output is JSON");
    assert_eq!(serde_json::from_str::<DecisionOutput>(&text).ok().as_ref(), Some(output), "written and read again");

    if output.verdict != Verdict::Deny {
        let some = |effect: &str, is: fn(Truth) -> bool| {
            output.rules.iter().any(|rule| rule.effect == effect && is(rule.truth))
        };
        assert!(some("Allow", |truth| truth == Truth::True), "no Allow rule is true");
        assert!(!some("Deny", |truth| truth != Truth::False), "a Deny rule is not false");
        assert!(output.delegation.is_some(), "no delegation");
    }
    if let Outcome::Allow(Some(permit)) = outcome {
        let tool = bundle.tool(permit.tool()).expect("the tool of the permit");
        let base =
            format!("{}://{}{}/", tool.endpoint.scheme.as_str(), tool.endpoint.authority(), tool.endpoint.base_path);
        let emitted = permit.into_emitted();
        assert!(emitted.url.starts_with(&base), "{} is not at {base}", emitted.url);
    }
}

/// The order of resources is nothing; the order of rules is nothing to the verdict.
fn reordered(scene: &Scene, bundle: &Bundle, output: &DecisionOutput) {
    let mut source = scene.source.clone();
    source.tools.reverse();
    source.policies.reverse();
    source.registries.reverse();
    source.tiers.reverse();
    let other = Bundle::assemble(source).expect("the same resources in another order");
    assert_eq!(other.digest(), bundle.digest());
    assert_eq!(&scene.decide(&other, &[]).output, output, "resources in another order");

    let reversed = scene.with(|scene| scene.source.policies.iter_mut().for_each(|policy| policy.rules.reverse()));
    let reversed = reversed.expect("the same rules in another order");
    assert_eq!((reversed.verdict, reversed.code), (output.verdict, output.code), "rules in another order");
}

/// Each of these can only take away.
fn taken_away(scene: &Scene, output: &DecisionOutput) {
    let suspended = scene.with(|scene| scene.standing.lifecycle = Lifecycle::Suspended);
    assert!(suspended.is_some_and(|output| output.verdict == Verdict::Deny), "a suspended agent");
    let alone = scene.with(|scene| scene.delegations.clear());
    assert!(alone.is_some_and(|output| output.verdict == Verdict::Deny), "without a delegation");
    if scene.source.agent.mode != Mode::Enforce {
        // Policies have another effect, or none.
        return;
    }
    let denied = scene.with(|scene| scene.add_rule(Effect::Deny));
    assert!(denied.is_none_or(|output| output.verdict == Verdict::Deny), "under a rule that denies everything");
    let silent = scene.with(|scene| {
        for policy in &mut scene.source.policies {
            policy.rules.retain(|rule| rule.effect != Effect::Allow);
        }
    });
    assert!(silent.is_none_or(|output| output.verdict == Verdict::Deny), "without any Allow rule");

    let permissive = |output: &DecisionOutput| match output.verdict {
        Verdict::Deny => 0,
        Verdict::Hold => 1,
        Verdict::AllowOnce | Verdict::Allow | Verdict::Propose => 2,
    };
    let forgotten = scene.with(|scene| scene.input.run_view = None);
    assert!(forgotten.is_some_and(|forgotten| permissive(&forgotten) <= permissive(output)), "with its run forgotten");

    let tier = scene.source.tiers.first().map(|tier| tier.name.clone());
    if let Some(tier) = tier {
        let asked = scene.with(|scene| scene.add_rule(Effect::RequireApproval { tier, hold_seconds: 0 }));
        let expected = |asked: DecisionOutput| match output.verdict {
            Verdict::Allow => asked.verdict == Verdict::Hold,
            // One tier more may be one too many.
            Verdict::Hold => matches!(asked.verdict, Verdict::Hold | Verdict::Deny),
            Verdict::Deny => asked.verdict == Verdict::Deny,
            Verdict::AllowOnce | Verdict::Propose => false,
        };
        assert!(asked.is_none_or(expected), "under a rule that asks for everything");
    }
}

impl Scene {
    /// A policy with one rule about everything that the bundle has.
    fn add_rule(&mut self, effect: Effect) {
        let rule = Rule {
            name: "everything".to_owned(),
            operations: vec!["*".to_owned()],
            when: Vec::new(),
            effect,
            reason: None,
            message: None,
        };
        self.source.policies.push(Policy {
            name: "added-by-the-check".to_owned(),
            tools: self.source.tools.iter().map(|tool| tool.name.clone()).collect(),
            agents: None,
            rules: vec![rule].into(),
            registries: Vec::new(),
            provenance: Vec::new(),
            rego: None,
            mode: aegis_decision::policy::Mode::Enforce,
            rollout: None,
        });
    }
}

/// A held call goes out once with the release for exactly this effect and context, and with no other.
fn released(scene: &Scene, bundle: &Bundle, output: &DecisionOutput) {
    if output.verdict != Verdict::Hold {
        return;
    }
    let (Some(effect), Some(context)) = (output.effect_digest, output.context_digest) else { return };
    let release = |effect, context, expires_at| Release {
        request_name: "apr".to_owned(),
        request_uid: "uid-of-apr".to_owned(),
        agent_uid: scene.source.agent.uid.clone(),
        effect_digest: effect,
        context_digest: context,
        expires_at,
    };
    let other = Digest::of_bytes(b"something else");
    let verdict = |release| scene.decide(bundle, &[release]).output.verdict;
    for wrong in [
        release(other, context, Timestamp::MAX),
        release(effect, other, Timestamp::MAX),
        release(effect, context, scene.input.at),
        Release { agent_uid: format!("{}-2", scene.source.agent.uid), ..release(effect, context, Timestamp::MAX) },
    ] {
        assert!(matches!(verdict(wrong), Verdict::Hold | Verdict::Deny), "released by another release");
    }
    // A call that names another approval is refused instead.
    let right = verdict(release(effect, context, Timestamp::MAX));
    assert!(matches!(right, Verdict::AllowOnce | Verdict::Deny), "not released by its own release: {right:?}");
}
