//! regorus: its interpreter, and its virtual machine. One definition of `allowed` or `denied` for each rule.

use std::sync::Arc;

use aegis_decision::policy::{Check, Predicate, Rule, Scalar};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{CompiledPolicy, Engine, Value};
use serde_json::json;

use crate::{Peer, Policy, denies, literal, literals};

const ENTRY: &str = "data.peers.allow";

/// More than the largest policy takes.
const MAX_INSTRUCTIONS: usize = 10_000_000;

const HEAD: &str = "package peers

default allow := false

allow if {
    not denied
    allowed
}

amount := to_number(input.amount)
";

/// The policy as a module.
pub fn module(policy: &Policy) -> String {
    let mut text = HEAD.to_owned();
    for rule in &policy.rules {
        text.push_str(&definition(rule));
    }
    text
}

fn definition(rule: &Rule) -> String {
    let name = if denies(rule) { "denied" } else { "allowed" };
    let checks: String = rule.when.iter().map(|check| format!("    {}\n", condition(check))).collect();
    format!("\n{name} if {{\n{checks}}}\n")
}

fn condition(check: &Check) -> String {
    let field = format!("input.{}", check.field);
    match &check.predicate {
        Predicate::Equals(Scalar::Text(text)) => format!("{field} == {}", literal(text)),
        Predicate::In(scalars) => format!("{field} in {{{}}}", literals(scalars.iter().map(crate::rego::text))),
        Predicate::Prefix(text) => format!("startswith({field}, {})", literal(text)),
        Predicate::Matches(pattern) => format!("regex.match({}, {field})", literal(&format!("^(?:{pattern})$"))),
        Predicate::AtMost(bound) if field == "input.amount" => format!("amount <= {}", bound.value),
        Predicate::AtLeast(bound) if field == "input.amount" => format!("amount >= {}", bound.value),
        Predicate::LessThan(bound) if field == "input.amount" => format!("amount < {}", bound.value),
        Predicate::RegistryField { registry, key, attribute } => {
            format!("{field} in data.{registry}[input.{key}].{attribute}")
        }
        other => panic!("the workload asks something new: {other:?}"),
    }
}

/// The text of a scalar; the workload compares with nothing else.
pub(crate) fn text(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text(text) => text.clone(),
        Scalar::Integer(_) => panic!("the workload compares with texts only"),
    }
}

fn data(policy: &Policy) -> Value {
    let text = json!({policy.suppliers.name.as_str(): policy.suppliers.entries}).to_string();
    Value::from_json_str(&text).expect("the registry is JSON")
}

fn engine(policy: &Policy) -> Engine {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    engine.add_policy("peers.rego".to_owned(), module(policy)).expect("the module is Rego");
    engine.add_data(data(policy)).expect("the data are an object");
    engine
}

fn read(body: &[u8]) -> Value {
    Value::from_json_str(std::str::from_utf8(body).expect("the body is UTF-8")).expect("the body is JSON")
}

/// regorus' interpreter, one engine for all calls.
pub struct Interpreter(Engine);

impl Interpreter {
    /// An engine that has judged one call already, since the first one prepares it.
    pub fn new(policy: &Policy) -> Self {
        let mut ready = Self(engine(policy));
        ready.allows(&ready.input(&crate::workload::payment()));
        ready
    }
}

impl Peer for Interpreter {
    type Input = Value;

    fn input(&self, body: &[u8]) -> Value {
        read(body)
    }

    fn allows(&mut self, input: &Value) -> bool {
        self.0.set_input(input.clone());
        self.0.eval_rule(ENTRY.to_owned()).expect("the policy is evaluated") == Value::from(true)
    }
}

/// regorus' virtual machine, one for all calls.
pub struct Machine(RegoVM);

impl Machine {
    /// A machine that has judged one call already.
    pub fn new(policy: &Policy) -> Self {
        let compiled: CompiledPolicy = engine(policy).compile_with_entrypoint(&ENTRY.into()).expect("it compiles");
        let program = Compiler::compile_from_policy(&compiled, &[ENTRY]).expect("it compiles for the machine");
        let mut vm = RegoVM::new();
        vm.load_program(Arc::clone(&program));
        vm.set_data(data(policy)).expect("the data are no rules");
        vm.set_strict_builtin_errors(true);
        vm.set_max_instructions(MAX_INSTRUCTIONS);
        let mut ready = Self(vm);
        ready.allows(&ready.input(&crate::workload::payment()));
        ready
    }
}

impl Peer for Machine {
    type Input = Value;

    fn input(&self, body: &[u8]) -> Value {
        read(body)
    }

    fn allows(&mut self, input: &Value) -> bool {
        self.0.set_input(input.clone());
        self.0.execute_entry_point_by_index(0).expect("the program runs") == Value::from(true)
    }
}
