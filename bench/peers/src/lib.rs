//! The decision's workload in other policy engines: regorus (interpreter and virtual machine), Cedar and CEL.
//!
//! Every engine is given the same rules, translated from the core's own form, one policy or expression for each: that is how
//! a person would write them. `tests/equal.rs` proves that all give the same verdict on the same calls; only then does
//! `benches/peers.rs` count.
//!
//! Deliberately absent: what Aegis does beyond the verdict (JSON Schema, delegations, digests, an explanation, a record).
//! Where it cannot be left out of a count, it stands on Aegis' side.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // What cannot be set up must stop the run where it stands.

pub mod aegis;
pub mod calls;
pub mod cedar;
pub mod cel;
pub mod rego;
#[path = "../../../decision/core/benches/workload/mod.rs"]
pub mod workload;

use aegis_decision::policy::{Effect, Rule};
use aegis_decision::registry::Registry;
use workload::Rules;

/// An engine with all rules loaded.
pub trait Peer {
    /// The call in the engine's own values.
    type Input;

    /// Reads the body of a call: strict JSON with the members of a payment.
    fn input(&self, body: &[u8]) -> Self::Input;

    /// Whether the call may go: an `Allow` rule is true, and no `Deny` rule.
    fn allows(&mut self, input: &Self::Input) -> bool;
}

/// The rules of the workload, and the registry that they look into.
pub struct Policy {
    pub rules: Vec<Rule>,
    pub suppliers: Registry,
}

impl Policy {
    /// So many rules of these kinds, as Aegis is given them.
    pub fn new(kinds: Rules, rules: usize) -> Self {
        let mut source = workload::source(kinds, rules);
        let policy = source.policies.pop().expect("the workload has a policy");
        let suppliers = source.registries.pop().expect("the workload has a registry");
        Self { rules: policy.rules.into_iter().collect(), suppliers }
    }
}

/// Whether a rule denies; the workload has no third effect.
fn denies(rule: &Rule) -> bool {
    match rule.effect {
        Effect::Allow => false,
        Effect::Deny => true,
        _ => panic!("{}: no peer holds a call or changes it", rule.name),
    }
}

/// A string literal, as all three languages write it.
fn literal(text: &str) -> String {
    assert!(
        text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{text:?} needs escapes that the languages do not share"
    );
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Several, with commas between.
fn literals(texts: impl IntoIterator<Item = String>) -> String {
    texts.into_iter().map(|text| literal(&text)).collect::<Vec<_>>().join(", ")
}
