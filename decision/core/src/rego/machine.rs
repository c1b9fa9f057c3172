//! Runs a module: one machine per module and worker, stopped wherever something is to be paid for.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use regorus::Value;
use regorus::rvm::RegoVM;
use regorus::rvm::program::Program;
use regorus::rvm::vm::{ExecutionMode, ExecutionState};

use super::compile::Module;
use super::error::Failure;
use super::input::{self, RegoInput};
use super::meter::{FUEL, Fuel};
use super::stops::Stop;
use super::verdict::{self, Verdict};
use crate::bundle::Bundle;
use crate::digest::Digest;

/// The shell's clock ran out while a module worked. Not a decision: another time there may be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a Rego module did not answer in time")]
pub struct OutOfTime;

/// Stops between two looks at the shell's clock.
const LOOKS: u32 = 16;

/// Machines of one worker, kept from call to call. Workers share none of them, nor the values in them.
#[derive(Debug, Default)]
pub struct Worker {
    /// The bundle that the machines are of.
    bundle: Option<Digest>,
    /// Its registries, as far as modules see them: one copy for all machines.
    registries: BTreeMap<String, Value>,
    machines: BTreeMap<usize, Machine>,
    spent: u32,
}

/// Why nothing can be said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unsaid {
    /// The module is at fault: the call is denied.
    Failed(Failure),
    /// The shell wants no more of it.
    OutOfTime,
}

impl From<Failure> for Unsaid {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Worker {
    /// A worker without machines.
    pub fn new() -> Self {
        Self::default()
    }

    /// Units of work that the module asked last did, at most [`FUEL`]: the same for the same module and call.
    pub fn spent(&self) -> u32 {
        self.spent
    }

    /// Asks the module of the policy at that place of the bundle. `stop` is asked now and then whether time is up.
    pub(crate) fn ask(
        &mut self,
        bundle: &Bundle,
        (place, module): (usize, &Module),
        input: &RegoInput<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Verdict>, Unsaid> {
        if module.lacks_registry {
            return Err(Failure::NoRegistry.into());
        }
        let document = input.document(&module.reads)?;
        let machine = self.machine(bundle, place, module)?;
        let mut fuel = Fuel(FUEL);
        let said = catch_unwind(AssertUnwindSafe(|| machine.run(document, &mut fuel, stop)));
        let said = said.unwrap_or(Err(Unsaid::Failed(Failure::Failed { line: None })));
        let renewed = if said.is_err() { machine.renew() } else { Ok(()) };
        self.spent = FUEL.saturating_sub(fuel.0);
        renewed?;
        Ok(verdict::read(&said?, module)?)
    }

    /// Makes the machines of a tool's modules, where they are not made yet. A worker has its own copy of the registries, so
    /// this takes time as they are large; whoever has little time for a call does it before.
    pub fn prepare(&mut self, bundle: &Bundle, tool: &str) {
        for (place, module) in bundle.modules_for(tool) {
            // What fails here fails again when the module is asked, and denies.
            let _ = self.machine(bundle, place, module);
        }
    }

    fn machine(&mut self, bundle: &Bundle, place: usize, module: &Module) -> Result<&mut Machine, Failure> {
        if self.bundle != Some(bundle.digest()) {
            *self = Self { bundle: Some(bundle.digest()), ..Self::default() };
        }
        let Self { machines, registries, .. } = self;
        Ok(match machines.entry(place) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(empty) => {
                let all = bundle.source.registries.iter();
                let seen = all.filter(|registry| module.registries.contains(&registry.name)).map(|registry| {
                    let made = registries.entry(registry.name.clone()).or_insert_with(|| input::registry(registry));
                    (registry.name.as_str(), made.clone())
                });
                let data = input::data(seen);
                empty.insert(Machine::new(module, data)?)
            }
        })
    }
}

#[derive(Debug)]
struct Machine {
    vm: RegoVM,
    program: Arc<Program>,
    /// Of this worker alone.
    data: Value,
    stops: Arc<[Option<Box<Stop>>]>,
}

fn fresh(program: &Arc<Program>, data: &Value) -> Result<RegoVM, Failure> {
    let mut vm = RegoVM::new();
    vm.load_program(Arc::clone(program));
    vm.set_data(data.clone()).map_err(|_| Failure::Failed { line: None })?;
    vm.set_strict_builtin_errors(true);
    // Beside the fuel, which pays for every instruction but the stops.
    vm.set_max_instructions(usize::try_from(FUEL.saturating_mul(2)).unwrap_or(usize::MAX));
    // Frames lie on the heap in this mode, so a module cannot use up the stack.
    vm.set_execution_mode(ExecutionMode::Suspendable);
    Ok(vm)
}

impl Machine {
    fn new(module: &Module, data: Value) -> Result<Self, Failure> {
        let mut program = Program::clone(&module.program);
        program.literals = program.literals.iter().map(own).collect();
        program.rule_tree = own(&program.rule_tree);
        for rule in &mut program.rule_infos {
            rule.definitions = Arc::new(Vec::clone(&rule.definitions));
        }
        let program = Arc::new(program);
        let vm = fresh(&program, &data)?;
        Ok(Self { vm, program, data, stops: Arc::clone(&module.stops) })
    }

    /// What a fault left behind is not used again.
    fn renew(&mut self) -> Result<(), Failure> {
        self.vm = fresh(&self.program, &self.data)?;
        Ok(())
    }

    fn run(&mut self, input: Value, fuel: &mut Fuel, is_late: &dyn Fn() -> bool) -> Result<Value, Unsaid> {
        let mut until_look = LOOKS;
        // An instruction that fails unless the machine stops right behind it.
        let mut expected: Option<usize> = None;
        self.vm.set_input(input);
        let mut last = self.vm.execute_entry_point_by_index(0);
        loop {
            let value = last.map_err(|_| self.failure())?;
            let is_done = !matches!(self.vm.execution_state(), ExecutionState::Suspended { .. });
            let at = self.vm.get_pc();
            if let Some(place) = expected.take()
                && (is_done || at != place.saturating_add(1))
            {
                return Err(self.failed_at(place).into());
            }
            if is_done {
                fuel.pay(&value, 0)?;
                return Ok(value);
            }
            let Some(stop) = self.stops.get(at).and_then(Option::as_ref) else {
                return Err(self.failed_at(at).into());
            };
            let registers = self.vm.get_registers();
            fuel.pay_at(stop, registers)?;
            expected = stop.is_mark.then(|| at.saturating_add(1));
            until_look = until_look.saturating_sub(1);
            if until_look == 0 {
                until_look = LOOKS;
                if is_late() {
                    return Err(Unsaid::OutOfTime);
                }
            }
            // A stop overwrites the first register with what it is given.
            let first = registers.first().cloned().unwrap_or(Value::Undefined);
            last = self.vm.resume(Some(first));
        }
    }

    /// The machine's own message may hold values of the call; only the place is told.
    fn failure(&self) -> Failure {
        if let ExecutionState::Error { error: regorus::rvm::vm::VmError::InstructionLimitExceeded { .. } } =
            self.vm.execution_state()
        {
            return Failure::Budget;
        }
        self.failed_at(self.vm.get_pc())
    }

    fn failed_at(&self, place: usize) -> Failure {
        let span = self.program.instruction_spans.get(place).and_then(Option::as_ref);
        Failure::Failed { line: span.map(|span| span.line).filter(|line| *line > 0) }
    }
}

/// The same value with counters of its own: workers that share one wait for each other.
fn own(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(&**text),
        Value::Array(items) => Value::from(items.iter().map(own).collect::<Vec<_>>()),
        Value::Set(items) => Value::from(items.iter().map(own).collect::<std::collections::BTreeSet<_>>()),
        Value::Object(object) => {
            Value::from(object.iter().map(|(key, member)| (own(key), own(member))).collect::<BTreeMap<_, _>>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined => value.clone(),
    }
}
