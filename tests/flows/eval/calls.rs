//! Calls made from those that the tests of a recipe make, each a little different.

use std::collections::BTreeMap;

use aegis_crds::api::policy::{EarlierCall, TestCall};
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value, json};

use super::recipes::Recipe;
use super::vary::{Seen, vary};

/// A call that an agent makes.
#[derive(Debug, Clone)]
pub struct Call {
    /// Tool.
    pub tool: String,
    /// Operation; perhaps one that the tool does not have.
    pub operation: String,
    /// Arguments by name.
    pub arguments: Map<String, Value>,
    /// Delegation that it names.
    pub delegation: Option<String>,
    /// Run that it names.
    pub run: Option<String>,
    /// Whether a body of texts is written as a form.
    pub form: bool,
    /// What the service says of its facts, by name.
    pub facts: BTreeMap<String, Value>,
    /// What the service answers.
    pub answer: Value,
}

/// Makes an agent's calls: the same ones for the same seed.
pub struct Calls<'a> {
    recipe: &'a Recipe,
    /// The delegation that lends the agent everything.
    lent: String,
    random: StdRng,
    seen: Seen,
    made: usize,
}

impl<'a> Calls<'a> {
    /// Of the calls of a recipe's tests.
    pub fn new(recipe: &'a Recipe, lent: String, random: StdRng) -> Self {
        let mut seen = Seen::default();
        for call in &recipe.calls {
            call.arguments.iter().for_each(|(name, value)| seen.add(name, value));
            call.facts.values().for_each(|fact| seen.add("fact", fact));
            call.earlier.iter().filter_map(|earlier| earlier.content.as_ref()).for_each(|said| seen.add("said", said));
        }
        Self { recipe, lent, random, seen, made: 0 }
    }

    /// The next call, after those that are to come before it in its run.
    pub fn upcoming(&mut self) -> Vec<Call> {
        self.made += 1;
        let Some(test) = self.recipe.calls.choose(&mut self.random) else { return Vec::new() };
        let run = self.run(test);
        let delegation = self.delegation(test);
        let mut call = Call {
            tool: test.tool.clone(),
            operation: self.operation(test),
            arguments: test.arguments.clone(),
            delegation,
            run,
            form: self.random.random_bool(0.5),
            facts: test.facts.clone(),
            answer: self.answer(),
        };
        // What came earlier, as far as its tool is one of the recipe.
        let earlier = test.earlier.iter().filter(|earlier| self.recipe.tool(&earlier.tool).is_some());
        let mut calls: Vec<_> = earlier.map(|earlier| self.before(&call, earlier)).collect();
        for _ in 0..*[0, 1, 1, 2].choose(&mut self.random).unwrap_or(&0) {
            self.change(&mut call);
        }
        calls.push(call);
        calls
    }

    /// A few runs that hold many calls, more that hold one or two, and calls outside of any. What comes earlier in a test
    /// comes in a run of its own.
    fn run(&mut self, test: &TestCall) -> Option<String> {
        if !test.earlier.is_empty() {
            return Some(format!("test-{}", self.made));
        }
        match self.random.random_range(0..10) {
            0..3 => None,
            3..6 => Some(format!("run-{}", self.random.random_range(0..8))),
            _ => Some(format!("run-{}", self.random.random_range(8..1000))),
        }
    }

    fn delegation(&mut self, test: &TestCall) -> Option<String> {
        match self.random.random_range(0..40) {
            0..2 => None,
            2 => Some("nobody-s".to_owned()),
            _ => Some(test.delegation.clone().unwrap_or_else(|| self.lent.clone())),
        }
    }

    fn operation(&mut self, test: &TestCall) -> String {
        let others = self.recipe.tool(&test.tool).map(|tool| tool.spec.operations.as_slice()).unwrap_or_default();
        match self.random.random_range(0..50) {
            0 => "nothing.declared".to_owned(),
            1..4 => others.choose(&mut self.random).map_or_else(String::new, |other| other.name.clone()),
            _ => test.operation.clone(),
        }
    }

    /// What the service answers: sometimes a value that later calls have too.
    fn answer(&mut self) -> Value {
        json!({"id": self.made, "note": self.seen.any(&mut self.random)})
    }

    fn before(&self, call: &Call, earlier: &EarlierCall) -> Call {
        let arguments = if earlier.arguments.is_empty() {
            // A test need not say what an earlier call was about; here it is about the same.
            let path = self.recipe.operation(&earlier.tool, &earlier.operation).map(|it| it.http.path.as_str());
            let named = |name: &str| path.is_some_and(|path| path.contains(&format!("{{{name}}}")));
            call.arguments.clone().into_iter().filter(|(name, _)| named(name)).collect()
        } else {
            earlier.arguments.clone()
        };
        Call {
            tool: earlier.tool.clone(),
            operation: earlier.operation.clone(),
            arguments,
            answer: earlier.content.clone().unwrap_or_else(|| call.answer.clone()),
            ..call.clone()
        }
    }

    fn change(&mut self, call: &mut Call) {
        let fact = if self.random.random_bool(0.25) { call.facts.values_mut().next_back() } else { None };
        match fact {
            Some(Value::Object(fact)) => vary(fact, &self.seen, &mut self.random),
            Some(_) => call.facts.clear(),
            None => vary(&mut call.arguments, &self.seen, &mut self.random),
        }
    }
}
