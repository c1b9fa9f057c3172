//! Changes to a compiled program, so that the machine stops where something is to be paid for, what it does with a fault
//! can be seen, and what it does with the undefined is what Rego says.
//!
//! - A stop is an instruction that waits for the host and is given what it would overwrite. [`super::stops`] says where
//!   they stand.
//! - The machine takes an error of a function or an operator for a rule that does not hold. A denial would then be lost.
//!   So each instruction that may fail stands between two stops: when the machine stopped at the first and does not stop
//!   at the second, the instruction failed. At the first, too, operands are paid for before they are used.
//! - The compiler lets a variable be undefined where the interpreter lets the rule's body fail. So behind each copy stands
//!   a guard.
//! - The machine copies what it knows of a rule three times for each call of it. What it does not look at is taken away.

use std::collections::BTreeMap;
use std::sync::Arc;

use regorus::rvm::Instruction;
use regorus::rvm::instructions::GuardMode;
use regorus::rvm::program::{Program, RuleInfo};

use super::stops::{self, Stop, Weighed};

/// Every window has a first register; no one has a last.
const STOP: Instruction = Instruction::HostAwait { dest: 0, arg: 0, id: u8::MAX };

/// The stops of a program, each at its place among the instructions.
pub(super) type Stops = Vec<Option<Box<Stop>>>;

/// What begins at an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// The program.
    Program,
    /// A body of a rule, or the reading of its parameters.
    Rule,
    /// What is done for each element.
    Loop,
}

/// Puts stops and guards into the program; tells where the stops are.
pub(super) fn rewrite(program: &mut Program) -> Stops {
    let begins = begins(program);
    let loops = program.instruction_data.loop_params.iter();
    let steps: BTreeMap<usize, Weighed> = loops.map(|it| (usize::from(it.body_start), stops::step(it))).collect();
    let old = std::mem::take(&mut program.instructions);
    let spans = std::mem::take(&mut program.instruction_spans);
    let mut places = Vec::with_capacity(old.len());
    let mut new = Rewritten::default();
    for (at, instruction) in old.iter().copied().enumerate() {
        places.push(new.instructions.len());
        new.begin(begins.get(&at).copied(), at);
        if let Some(step) = steps.get(&at)
            && let Some(stop) = new.stop(at)
        {
            stop.weighed.push(*step);
        }
        let before = stops::before(instruction, &program.instruction_data);
        let may_fail = before.is_some();
        if let Some(weighed) = before
            && let Some(stop) = new.stop(at)
        {
            stop.is_mark = true;
            stop.weighed.extend(weighed);
        }
        new.push(instruction, at);
        if let Instruction::Move { dest, .. } = instruction {
            new.push(Instruction::Guard { register: dest, mode: GuardMode::NotUndefined }, at);
        }
        let weighed = stops::after(instruction, &program.instruction_data);
        if (may_fail || !weighed.is_empty())
            && let Some(stop) = new.stop(at)
        {
            stop.weighed = weighed;
        }
    }
    // The end, where a loop may leave to.
    places.push(new.instructions.len());
    program.instruction_spans = new.origins.iter().map(|at| spans.get(*at).cloned().flatten()).collect();
    program.instructions = new.instructions;
    relocate(program, &places);
    program.rule_infos.iter_mut().for_each(lighten);
    new.stops
}

#[derive(Default)]
struct Rewritten {
    instructions: Vec<Instruction>,
    stops: Stops,
    /// Where each instruction stood, or the one that it is there for.
    origins: Vec<usize>,
    /// The stop that pays for what follows: of each loop that is open, and of what stands around it.
    paying: Vec<usize>,
}

impl Rewritten {
    fn begin(&mut self, begins: Option<Begins>, at: usize) {
        let Some(begins) = begins else { return };
        if begins != Begins::Loop {
            self.paying = vec![usize::MAX];
        }
        // What is jumped to has a stop of its own, also where another stands before it.
        if begins != Begins::Program {
            self.push_stop(at);
        }
    }

    /// The stop at the end of what there is, a new one where there is none.
    fn stop(&mut self, at: usize) -> Option<&mut Stop> {
        if !self.stops.last().is_some_and(Option::is_some) {
            self.push_stop(at);
        }
        self.stops.last_mut()?.as_deref_mut()
    }

    fn push_stop(&mut self, at: usize) {
        if let Some(paying) = self.paying.last_mut() {
            *paying = self.instructions.len();
        }
        self.instructions.push(STOP);
        self.stops.push(Some(Box::default()));
        self.origins.push(at);
    }

    fn push(&mut self, instruction: Instruction, at: usize) {
        let paying = self.paying.last().and_then(|place| self.stops.get_mut(*place)?.as_deref_mut());
        if let Some(stop) = paying {
            stop.units = stop.units.saturating_add(stops::units(instruction));
        }
        match instruction {
            Instruction::LoopStart { .. } | Instruction::ComprehensionBegin { .. } => {
                self.paying.extend(self.paying.last().copied());
            }
            Instruction::LoopNext { .. } | Instruction::ComprehensionEnd {} => drop(self.paying.pop()),
            _ => {}
        }
        self.instructions.push(instruction);
        self.stops.push(None);
        self.origins.push(at);
    }
}

fn begins(program: &Program) -> BTreeMap<usize, Begins> {
    let data = &program.instruction_data;
    let loops = data.loop_params.iter().map(|params| params.body_start);
    let loops = loops.chain(data.comprehension_begin_params.iter().map(|params| params.body_start));
    let bodies = program.rule_infos.iter().flat_map(|rule| rule.definitions.iter().flatten());
    let blocks = program.rule_infos.iter().flat_map(|rule| rule.destructuring_blocks.iter().flatten());
    let rules = bodies.chain(blocks).filter_map(|place| usize::try_from(*place).ok());
    let entries = program.entry_points.iter().map(|(_, place)| (*place, Begins::Program));
    let loops = loops.map(|place| (usize::from(place), Begins::Loop));
    entries.chain(loops).chain(rules.map(|place| (place, Begins::Rule))).collect()
}

/// Lets every place that the program names be the new one.
fn relocate(program: &mut Program, places: &[usize]) {
    let to = |place: usize| places.get(place).or(places.last()).copied().unwrap_or_default();
    let short = |place: u16| u16::try_from(to(usize::from(place))).unwrap_or(u16::MAX);
    let long =
        |place: u32| usize::try_from(place).ok().and_then(|place| u32::try_from(to(place)).ok()).unwrap_or(u32::MAX);
    for instruction in &mut program.instructions {
        if let Instruction::LoopNext { body_start, loop_end } = instruction {
            (*body_start, *loop_end) = (short(*body_start), short(*loop_end));
        }
    }
    for params in &mut program.instruction_data.loop_params {
        (params.body_start, params.loop_end) = (short(params.body_start), short(params.loop_end));
    }
    for params in &mut program.instruction_data.comprehension_begin_params {
        (params.body_start, params.comprehension_end) = (short(params.body_start), short(params.comprehension_end));
    }
    for rule in &mut program.rule_infos {
        let definitions = rule.definitions.iter().map(|bodies| bodies.iter().map(|place| long(*place)).collect());
        rule.definitions = Arc::new(definitions.collect());
        for block in rule.destructuring_blocks.iter_mut().flatten() {
            *block = long(*block);
        }
    }
    for (_, place) in &mut program.entry_points {
        *place = to(*place);
    }
    program.main_entry_point = long(program.main_entry_point);
}

/// Names are for listings, and which bodies are of an `else` only matters to a machine that runs without stops.
fn lighten(rule: &mut RuleInfo) {
    rule.name = String::new();
    rule.else_bodies = Vec::new();
    if rule.destructuring_blocks.iter().all(Option::is_none) {
        rule.destructuring_blocks = Vec::new();
    }
    if let Some(function) = &mut rule.function_info {
        function.param_names = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile::{Module, ModuleSource};
    use super::*;

    const MODULE: &str = r#"package aegis

total := sum([price | some line in input.arguments.lines; price := line.price * line.count])

twice([first, second]) := {first: second} if {
    first != second
} else := {second: first + 1}

large if every line in input.arguments.lines { line.price > 10 }

verdicts contains {"effect": "Deny", "reason": "large", "message": "too much", "total": total, "pair": pair} if {
    large
    some text in {"a", "b"}
    pair := twice([text, input.arguments.name])
    count(pair) == 1
}
"#;

    fn module() -> Module {
        let source = ModuleSource { module: MODULE.to_owned().into(), tiers: Vec::new() };
        Module::compile(&source, &[], &[]).unwrap()
    }

    #[test]
    fn every_body_begins_with_a_stop() {
        let module = module();
        let begins = begins(&module.program);
        let places: Vec<_> = begins.iter().filter(|(_, begins)| **begins != Begins::Program).collect();
        assert!(places.len() > 8, "{places:?}");
        for (place, begins) in places {
            assert!(module.stops.get(*place).unwrap().is_some(), "{begins:?} at {place}");
        }
    }

    #[test]
    fn what_may_fail_and_what_uses_values_stands_before_a_stop() {
        let module = module();
        let data = &module.program.instruction_data;
        let is_stop = |at: usize| module.stops.get(at).is_some_and(Option::is_some);
        let mut marks = 0;
        for (at, instruction) in module.program.instructions.iter().enumerate() {
            assert_eq!(is_stop(at), matches!(instruction, Instruction::HostAwait { .. }), "{at}");
            if stops::before(*instruction, data).is_some() {
                marks += 1;
                assert!(module.stops[at - 1].as_ref().unwrap().is_mark && is_stop(at + 1), "{instruction:?}");
            }
            let weighed = stops::after(*instruction, data);
            if !weighed.is_empty() {
                let guarded = matches!(instruction, Instruction::Move { .. });
                let behind = at + 1 + usize::from(guarded);
                assert!(module.stops[behind].as_ref().unwrap().weighed.starts_with(&weighed), "{instruction:?}");
            }
        }
        assert!(marks > 3, "{marks}");
        assert_eq!(module.stops.iter().flatten().filter(|stop| stop.is_mark).count(), marks);
    }

    #[test]
    fn every_instruction_of_a_rule_is_paid_for_once() {
        let module = module();
        let instructions = module.program.instructions.iter().zip(module.stops.iter());
        let cost = |(instruction, stop): (&Instruction, &Option<Box<Stop>>)| match stop {
            Some(stop) => (0, stop.units),
            None => (stops::units(*instruction), 0),
        };
        let (cost, paid) = instructions.map(cost).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        // The entry calls `verdicts` and returns, before there is a stop.
        assert_eq!(paid + 66, cost);
    }
}
