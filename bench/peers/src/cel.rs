//! CEL: an expression for each rule. CEL has no policies, so those that deny are asked first, then those that allow, until one
//! is true.

use std::sync::Arc;

use aegis_decision::policy::{Check, Predicate, Rule, Scalar};
use cel::{Context, Env, Program, Value, to_value};

use crate::rego::text;
use crate::{Peer, Policy, denies, literal, literals};

/// Compiled expressions, and the registry as a variable.
pub struct Cel {
    env: Arc<Env>,
    denying: Vec<Program>,
    allowing: Vec<Program>,
    name: String,
    suppliers: Value,
}

impl Cel {
    /// With all expressions compiled.
    pub fn new(policy: &Policy) -> Self {
        let env = Arc::new(Env::stdlib());
        let (denying, allowing): (Vec<_>, Vec<_>) = policy.rules.iter().partition(|rule| denies(rule));
        let compiled = |rules: Vec<&Rule>| -> Vec<Program> {
            rules.into_iter().map(|rule| env.compile(&expression(rule)).expect("the expression is CEL")).collect()
        };
        let (denying, allowing) = (compiled(denying), compiled(allowing));
        let suppliers = to_value(&policy.suppliers.entries).expect("the registry has a form");
        Self { env, denying, allowing, name: policy.suppliers.name.clone(), suppliers }
    }
}

/// A rule as text.
pub fn expression(rule: &Rule) -> String {
    rule.when.iter().map(condition).collect::<Vec<_>>().join(" && ")
}

fn condition(check: &Check) -> String {
    let field = format!("input.{}", check.field);
    match &check.predicate {
        Predicate::Equals(Scalar::Text(text)) => format!("{field} == {}", literal(text)),
        Predicate::In(scalars) => format!("{field} in [{}]", literals(scalars.iter().map(text))),
        Predicate::Prefix(text) => format!("{field}.startsWith({})", literal(text)),
        Predicate::Matches(pattern) => format!("{field}.matches({})", literal(&format!("^(?:{pattern})$"))),
        Predicate::AtMost(bound) => format!("double({field}) <= {}", bound.value),
        Predicate::AtLeast(bound) => format!("double({field}) >= {}", bound.value),
        Predicate::LessThan(bound) => format!("double({field}) < {}", bound.value),
        Predicate::RegistryField { registry, key, attribute } => {
            format!("input.{key} in {registry} && {field} in {registry}[input.{key}].{attribute}")
        }
        other => panic!("the workload asks something new: {other:?}"),
    }
}

impl Peer for Cel {
    type Input = Context<'static, 'static>;

    fn input(&self, body: &[u8]) -> Self::Input {
        let body: serde_json::Value = serde_json::from_slice(body).expect("the body is JSON");
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.add_variable_from_value("input", to_value(&body).expect("the body has a form"));
        context.add_variable_from_value(self.name.as_str(), self.suppliers.clone());
        context
    }

    fn allows(&mut self, input: &Self::Input) -> bool {
        let holds = |program: &Program| match program.execute(input).expect("the expression is evaluated") {
            Value::Bool(holds) => holds,
            other => panic!("no truth: {other:?}"),
        };
        !self.denying.iter().any(holds) && self.allowing.iter().any(holds)
    }
}
