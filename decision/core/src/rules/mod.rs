//! Rules: three-valued questions about a call, and what came of each.
//!
//! A policy is compiled once ([`CompiledPolicy::compile`]); every mistake in it is found then. Judging a call
//! ([`CompiledPolicy::evaluate`]) cannot fail: whatever cannot be told is [`Truth::Indeterminate`], which neither allows
//! nor lifts a denial. What a check's outcome *means* is decided elsewhere ([`crate::decide`]).
//!
//! The rules of one operation are compiled once more, together, into a table (`table`): it finds out whether a call may
//! simply go without a look at most of them. The plain evaluation explains, and is what the table must agree with.
//!
//! Decisions that the predicates share:
//! - *Missing* means that the path does not resolve. `null` is there, but has the wrong type for every predicate except
//!   `exists` and `absent`.
//! - A fact that could not be read is indeterminate for every predicate, `exists` and `absent` too: not knowing is not
//!   the same as knowing that there is nothing.
//! - `[*]` over an empty array is indeterminate and `[?]` false for every predicate, `exists` and `absent` too.
//! - A string is normalised before it is compared, on both sides. Numbers are exact decimals, never floats.
//! - A path inside a predicate (`equalsField`, a currency, a registry key) means the *same* element as the check's
//!   field, as far as both name the same list.
//!
//! Deliberately absent: combination of rules, regard for the agent's standing, anything that counts or remembers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::agent::Agent;
use crate::decision::{CheckOutcome, FailedCheck, Truth};
use crate::delegation::Delegation;
use crate::facts::FactSet;
use crate::json::Value;
use crate::path::Path;
use crate::policy::Rule;
use crate::registry::{Document, Entry, Registry};
use crate::run::RunView;
use crate::tool::{Class, Dimension};

mod automaton;
mod bounds;
mod compile;
mod equal;
mod error;
mod eval;
pub mod exact;
pub mod explain;
mod format;
mod host;
mod host_in;
mod host_name;
mod iban;
mod instant;
mod kleene;
mod lookups;
mod normal;
mod number;
mod predicate;
pub mod proof;
mod reach;
mod registry;
mod resolve;
mod run;
pub(crate) mod sanitizer;
mod spellings;
mod sum;
mod table;
mod tables;
mod text;
mod vat;
mod window;

pub(crate) use bounds::{outside, written as bound_as_check};
pub use compile::CompiledPolicy;
pub use error::{RuleError, RuleProblem};
pub(crate) use format::is as has_format;
pub(crate) use lookups::Lookups;
pub(crate) use resolve::whole_path;
pub(crate) use table::{Allowing, MAX_LITERALS, Table};
pub(crate) use tables::Tables;
pub(crate) use text::why_no_pattern;
pub use text::{MAX_MATCHED_BYTES, MAX_PATTERN_BYTES};

pub use crate::room::NoRoom;

/// Everything that rules may look at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The call's arguments: an object.
    pub arguments: &'a Value,
    /// The operation's aliases: a path whose first key is one of these names means the alias's path instead.
    pub aliases: &'a BTreeMap<String, Path>,
    /// The operation's dimensions: `$dim.<name>` means the path of that name.
    pub dimensions: &'a BTreeMap<Dimension, Path>,
    /// The agent.
    pub agent: &'a Agent,
    /// The delegation that the call is judged under.
    pub delegation: Option<&'a Delegation>,
    /// The call itself.
    pub call: CallInputs<'a>,
    /// What is known of the call's run. None: it has none, and nobody can tell what was done before.
    pub run: Option<&'a RunView>,
    /// Facts that were read. One that is not here could not be read.
    pub facts: &'a FactSet,
    /// The registries of the bundle that the policies were compiled for, in the bundle's order.
    pub registries: &'a [Registry],
    /// Paths whose values explanations may repeat (the operation's `record_clear`).
    pub record_clear: &'a [Path],
}

/// What rules see of the call as `$call`.
#[derive(Debug, Clone, Copy)]
pub struct CallInputs<'a> {
    /// When it is judged.
    pub time: Timestamp,
    /// What its operation can do.
    pub class: Class,
    /// Tool.
    pub tool: &'a str,
    /// Operation.
    pub operation: &'a str,
}

/// One rule with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleEvaluation<'p> {
    /// Its place in the policy's rules.
    pub index: usize,
    /// The rule itself: effect, reason, message.
    pub rule: &'p Rule,
    /// Whether its `when` holds: Kleene AND over its checks; true when it has none.
    pub truth: Truth,
    /// Every check in order.
    pub checks: Vec<CheckOutcome>,
    /// The checks that are not true, with their limits.
    pub failed: Vec<FailedCheck>,
}

/// A registry entry that a check names for this call. Part of the context digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryRead {
    /// Name of the registry; with `#domains` behind it for a host that none of its entries names.
    pub registry: String,
    /// Key that was looked up, or that host.
    pub key: String,
    /// The entry; none when there is no such entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<Entry>,
    /// The entry's documents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Document>,
}
