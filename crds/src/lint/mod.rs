//! What is wrong with resources, or was hardly meant: findings with a stable id, the field, and what to do.
//!
//! A finding is never a guess. What is said of a rule holds of every call ([`aegis_decision::rules::proof`]); where no proof
//! was found, nothing is said. The page on policies as code lists what is found and what is not.

mod finding;
mod resources;
mod rules;
mod suppress;
mod untested;
mod world;

pub use finding::{Finding, Lint, Severity, Subject};
pub use suppress::ANNOTATION;

use jiff::Timestamp;

use crate::load::Resources;
use world::World;

/// All findings, ordered by file, resource and field. Those that an annotation suppresses are among them and say so. Tests
/// that have no time of their own are run as if it were `at`.
pub fn lint(resources: &Resources, at: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let world = World::of(resources, &mut findings);
    let all_valid = findings.is_empty();
    resources::look(&world, &mut findings);
    rules::look(&world, &mut findings);
    if all_valid {
        // With a broken resource every test would fail for its sake.
        untested::look(resources, at, &mut findings);
    }
    suppress::apply(resources, &mut findings);
    for finding in &mut findings {
        let Subject { kind, namespace, name } = &finding.subject;
        finding.file = resources.origin(kind, namespace, name).map(str::to_owned);
    }
    findings.sort_by(|a, b| a.order().cmp(&b.order()));
    findings
}
