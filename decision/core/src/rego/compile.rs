//! From a module's text to a program, with everything refused that could not be bounded later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::instructions::Instruction;
use regorus::rvm::program::{Program, RuleType};
use regorus::{Engine, Value};
use serde::{Deserialize, Serialize};

use super::defaults;
use super::error::{ModuleError, ModuleProblem};
use super::reads::{InputReads, reads};
use super::rewrite::rewrite;
use super::shape;
use super::stops::Stop;
use super::{ENTRY, MAX_INSTRUCTIONS, MAX_MODULE_BYTES, PACKAGE, builtins};
use crate::digest::Digest;
use crate::registry::Registry;
use crate::rules::RegistryRead;
use crate::shared::Shared;

/// Stack for reading a module. Only what is used of it becomes memory.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// A module as a policy carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModuleSource {
    /// Rego, version 1, package `aegis`.
    pub module: Shared<String>,
    /// Tiers that its verdicts may ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<String>,
}

/// A compiled module.
#[derive(Debug)]
pub struct Module {
    pub(super) program: Arc<Program>,
    /// Where it stops.
    pub(super) stops: Arc<[Option<Box<Stop>>]>,
    pub(super) reads: InputReads,
    /// Names of the registries of its policy.
    pub(super) registries: Vec<String>,
    /// Whether one of them does not exist.
    pub(super) lacks_registry: bool,
    /// The registries for the context digest: a module may look at any entry.
    pub(crate) registry_reads: Vec<RegistryRead>,
    /// Texts that stand in it.
    pub(super) texts: BTreeSet<String>,
    pub(super) tiers: Vec<String>,
}

impl Module {
    /// Compiles a module, with the registries that its policy names.
    pub fn compile(source: &ModuleSource, names: &[String], registries: &[Registry]) -> Result<Self, ModuleError> {
        let text = &source.module;
        let seen: Vec<_> = registries.iter().filter(|registry| names.contains(&registry.name)).collect();
        let mut program = Program::clone(&*compile(text)?);
        let stops = rewrite(&mut program).into();
        let program = Arc::new(program);
        let mut texts = BTreeSet::new();
        program.literals.iter().for_each(|literal| collect(literal, &mut texts));
        let lacks_registry = names.iter().any(|name| !seen.iter().any(|registry| registry.name == *name));
        let registry_reads = seen.iter().map(|registry| RegistryRead {
            registry: format!("{}#rego", registry.name),
            key: Digest::of(&registry.entries).to_string(),
            entry: None,
            documents: Vec::new(),
        });
        Ok(Self {
            program,
            stops,
            reads: reads(text),
            registry_reads: registry_reads.collect(),
            registries: names.to_vec(),
            lacks_registry,
            texts,
            tiers: source.tiers.clone(),
        })
    }

    /// What it may read of a call beyond these members of the arguments, and beyond its facts where they are not known.
    pub(crate) fn reads_beyond(&self, argument: impl Fn(&str) -> bool, knows_facts: bool) -> Vec<String> {
        self.reads.beyond(argument, knows_facts)
    }

    /// What is wrong with a module, without anything else of its policy.
    pub fn check(text: &str) -> Result<(), ModuleError> {
        compile(text).map(|_| ())
    }
}

/// What became of a text.
type Compiled = Result<Arc<Program>, ModuleError>;

/// What became of the texts that were compiled last. An operator comes back to each of them with every change in its
/// namespace, and compiling one can take longer than all else that it does then.
static KNOWN: Mutex<BTreeMap<Digest, Compiled>> = Mutex::new(BTreeMap::new());
const MAX_KNOWN: usize = 256;

fn compile(text: &str) -> Compiled {
    if text.len() > MAX_MODULE_BYTES {
        return Err(ModuleError::new(ModuleProblem::TooLong { bytes: text.len() }));
    }
    let digest = Digest::of_bytes(text.as_bytes());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(compiled) = known().get(&digest) {
        return compiled.clone();
    }
    let compiled = compile_anew(text);
    let mut known = known();
    if known.len() >= MAX_KNOWN {
        known.clear();
    }
    known.insert(digest, compiled.clone());
    compiled
}

fn compile_anew(text: &str) -> Compiled {
    shape::check(text)?;
    let program = with_stack(|| {
        defaults::check(text)?;
        program_of(text)
    })?;
    for builtin in &program.builtin_info_table {
        if !builtins::is_allowed(&builtin.name) {
            return Err(not_available(text, &builtin.name));
        }
    }
    if program.has_host_await {
        return Err(ModuleError::new(ModuleProblem::Construct("calls to a host")));
    }
    // A lookup that is known only while it runs would evaluate every rule of a package at once.
    if program.instructions.iter().any(|one| matches!(one, Instruction::VirtualDataDocumentLookup { .. })) {
        return Err(ModuleError::new(ModuleProblem::Construct("a reference to its own package as data.aegis")));
    }
    // The machine takes definitions that disagree for no definition, so a denial that needs one would be lost.
    for rule in &program.rule_infos {
        if rule.rule_type == RuleType::Complete && rule.definitions.len() > 1 && !rule.early_exit_on_first_success {
            let name = rule.name.rsplit('.').next().unwrap_or(&rule.name);
            return Err(several(text, name));
        }
    }
    // Of bodies that follow each other without else, the machine takes the first that holds, and a denial by another would
    // be lost.
    if program
        .rule_infos
        .iter()
        .flat_map(|rule| &rule.else_bodies)
        .any(|bodies| bodies.iter().skip(1).any(|is_else| !is_else))
    {
        return Err(ModuleError::new(ModuleProblem::Construct("a second body of a rule without else")));
    }
    if program.instructions.len() > MAX_INSTRUCTIONS {
        let count = program.instructions.len();
        return Err(ModuleError::new(ModuleProblem::TooManyInstructions { count }));
    }
    Ok(program)
}

/// Reading nests as the module does, within [`shape`]'s bounds; a caller's stack may be small. A panic ends here too.
fn with_stack<T: Send>(read: impl FnOnce() -> Result<T, ModuleError> + Send) -> Result<T, ModuleError> {
    let unread = || ModuleError::new(ModuleProblem::Construct("what the compiler cannot read"));
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, read);
        reader.map_err(|_| unread())?.join().unwrap_or_else(|_| Err(unread()))
    })
}

fn program_of(text: &str) -> Result<Arc<Program>, ModuleError> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    let package = engine.add_policy("rego".to_owned(), text.to_owned()).map_err(|error| told(&error.to_string()))?;
    let found = package.strip_prefix("data.").unwrap_or(&package);
    if found != PACKAGE {
        return Err(ModuleError::new(ModuleProblem::Package { found: found.chars().take(64).collect() }));
    }
    if engine.has_declared_rule_rooted_at("rego", "verdicts").is_ok_and(|declared| !declared) {
        return Err(ModuleError::new(ModuleProblem::NoVerdicts));
    }
    let policy = engine.compile_with_entrypoint(&ENTRY.into()).map_err(|error| told(&error.to_string()))?;
    Compiler::compile_from_policy(&policy, &[ENTRY]).map_err(|error| told(&error.to_string()))
}

/// The line of a rule's second definition.
fn several(text: &str, name: &str) -> ModuleError {
    let defines = |line: &str| {
        let rest = line.strip_prefix(name)?;
        (!rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')).then_some(())
    };
    let second = text.lines().enumerate().filter(|(_, line)| defines(line).is_some()).nth(1);
    let problem = ModuleProblem::Several { name: name.chars().take(64).collect() };
    ModuleError { line: second.map(|(index, _)| index.saturating_add(1)), problem }
}

/// The line where a function is called, as far as its name is written out there.
fn not_available(text: &str, name: &str) -> ModuleError {
    let called = text.lines().position(|line| line.split('#').next().is_some_and(|code| code.contains(name)));
    ModuleError {
        line: called.map(|index| index.saturating_add(1)),
        problem: ModuleProblem::Builtin { name: name.to_owned() },
    }
}

/// regorus writes the place as ` --> rego:LINE:COLUMN`, the line itself, and ` error: ` with the cause.
fn told(message: &str) -> ModuleError {
    let place = message.split_once("--> rego:").map(|(_, rest)| rest);
    let line = place.and_then(|rest| rest.split(':').next()).and_then(|line| line.trim().parse().ok());
    let cause = message.rsplit_once("error: ").map_or(message, |(_, cause)| cause);
    let cause: String = cause.lines().next().unwrap_or_default().trim().chars().take(200).collect();
    ModuleError { line, problem: ModuleProblem::Compile(cause) }
}

fn collect(literal: &Value, texts: &mut BTreeSet<String>) {
    match literal {
        Value::String(text) => {
            texts.insert((**text).to_owned());
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Set(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(object) => object.iter().for_each(|(_, member)| collect(member, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined => {}
    }
}
