//! From a path to the values it names, with quantifiers.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::iter::Chain;
use std::slice::Iter;

use super::Inputs;
use super::run::RunValues;
use crate::decision::Truth;
use crate::json::Value;
use crate::path::{Path, Root, Step};
use crate::tool::{Dimension, Operation};

/// Members of `$agent`.
pub(super) const AGENT: [&str; 6] = ["namespace", "name", "tenant", "businessUnit", "owner", "version"];
/// Members of `$delegation`.
pub(super) const DELEGATION: [&str; 6] = ["name", "delegator", "requester", "workflow", "purpose", "request"];
/// Members of `$call`.
pub(super) const CALL: [&str; 4] = ["time", "class", "tool", "operation"];

/// A value that a path names: a JSON value, or a text of one of the other inputs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    Json(&'a Value),
    Text(&'a str),
}

impl<'a> Subject<'a> {
    /// The string, if it is one.
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Json(value) => value.as_str(),
            Self::Text(text) => Some(text),
        }
    }

    fn step(self, step: &Step) -> Option<Self> {
        match self {
            Self::Json(value) => step.of(value).map(Self::Json),
            Self::Text(_) => None,
        }
    }
}

/// What a path leads to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'a> {
    /// A value, `null` included.
    There(Subject<'a>),
    /// The path does not resolve.
    Missing,
    /// It cannot be told: a fact that could not be read, or a list where one value is needed.
    Unknown,
}

impl<'a> Found<'a> {
    /// The value, if there is one.
    pub(super) fn there(self) -> Option<Subject<'a>> {
        match self {
            Self::There(subject) => Some(subject),
            Self::Missing | Self::Unknown => None,
        }
    }
}

/// What the first key of a path may stand for in one operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) aliases: &'a BTreeMap<String, Path>,
    pub(super) dimensions: &'a BTreeMap<Dimension, Path>,
}

/// Names of no operation.
static NO_ALIASES: BTreeMap<String, Path> = BTreeMap::new();
static NO_DIMENSIONS: BTreeMap<Dimension, Path> = BTreeMap::new();

impl<'a> Names<'a> {
    /// None: for paths whose names are replaced already.
    pub(super) const NONE: Self = Self { aliases: &NO_ALIASES, dimensions: &NO_DIMENSIONS };

    /// An operation's.
    pub(super) fn of(operation: &'a Operation) -> Self {
        Self { aliases: &operation.aliases, dimensions: &operation.dimensions }
    }

    /// The path that a path's first key stands for.
    fn of_first(self, path: &Path) -> Option<&'a Path> {
        let key = path.first_key()?;
        match &path.root {
            Root::Arguments => self.aliases.get(key),
            Root::Input(input) if input == "dim" => self.dimensions.get(&Dimension::named(key)?),
            Root::Input(_) => None,
        }
    }
}

/// A path after its alias or dimension, if its first key is one, was replaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolved<'a> {
    pub(super) root: &'a Root,
    head: &'a [Step],
    tail: &'a [Step],
}

pub(super) type Steps<'a> = Chain<Iter<'a, Step>, Iter<'a, Step>>;

impl<'a> Resolved<'a> {
    /// Replaces the first key by the alias or dimension of that name. What it stands for is not looked up again.
    pub(super) fn of(path: &'a Path, names: Names<'a>) -> Self {
        if let Some(named) = names.of_first(path)
            && let Some((_, tail)) = path.steps.split_first()
        {
            return Self { root: &named.root, head: &named.steps, tail };
        }
        Self { root: &path.root, head: &[], tail: &path.steps }
    }

    pub(super) fn steps(self) -> Steps<'a> {
        self.head.iter().chain(self.tail)
    }

    /// As one path.
    pub(super) fn whole(self) -> Path {
        Path { root: self.root.clone(), steps: self.steps().cloned().collect() }
    }

    /// Whether another path can be followed from each element of this one: its quantifiers are all in the part that
    /// both share.
    pub(super) fn correlates(self, other: Self) -> bool {
        let mut own = self.steps();
        let mut shared = self.root == other.root;
        other.steps().all(|step| {
            shared = shared && own.next() == Some(step);
            shared || !matches!(step, Step::All | Step::Any)
        })
    }

    /// Whether it ranges over one list with `[*]` and over nothing else.
    pub(super) fn is_list(self) -> bool {
        let mut quantifiers = self.steps().filter(|step| matches!(step, Step::All | Step::Any));
        quantifiers.next() == Some(&Step::All) && quantifiers.next().is_none()
    }

    /// Whether it names the same values as `pattern`, or some of them: `[*]` of the pattern covers every step into the
    /// list.
    pub(super) fn covered_by(self, pattern: Self) -> bool {
        self.root == pattern.root
            && self.steps().count() == pattern.steps().count()
            && self.steps().zip(pattern.steps()).all(|(own, wide)| own == wide || enters(own, wide))
    }
}

/// The path with what its first key stands for in the operation.
pub(crate) fn whole_path(path: &Path, operation: &Operation) -> Path {
    Resolved::of(path, Names::of(operation)).whole()
}

/// Whether `wide` is a quantifier and `own` any step into a list.
pub(super) fn enters(own: &Step, wide: &Step) -> bool {
    matches!(wide, Step::All | Step::Any) && matches!(own, Step::All | Step::Any | Step::Index(_))
}

/// The inputs with what has to be made from them once.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    /// The call's time in words, once it is asked for.
    time: OnceCell<String>,
    /// The call's run as values, once it is asked for.
    run: OnceCell<RunValues>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>) -> Self {
        Self { inputs, time: OnceCell::new(), run: OnceCell::new() }
    }

    /// What the paths of the call's operation may begin with.
    pub(super) fn names(&self) -> Names<'a> {
        Names { aliases: self.inputs.aliases, dimensions: self.inputs.dimensions }
    }

    /// Asks `leaf` about every value that the path names. Its second argument is the place in each list passed.
    ///
    /// `[*]` is Kleene AND and indeterminate over an empty array, `[?]` Kleene OR and false over an empty array; both are
    /// missing where there is no array.
    pub(super) fn each(&'a self, path: Resolved<'a>, leaf: &mut dyn FnMut(Found<'a>, &[usize]) -> Truth) -> Truth {
        let mut steps = path.steps();
        match self.start(path.root, &mut steps) {
            Found::There(subject) => walk(subject, steps, &mut Vec::new(), leaf),
            found => leaf(found, &[]),
        }
    }

    /// The one value that `other` names, seen from the element of `path` at these places in the lists they share.
    pub(super) fn beside(&'a self, other: Resolved<'a>, path: Resolved<'a>, places: &[usize]) -> Found<'a> {
        let mut shared = other.root == path.root;
        let mut beside = path.steps();
        let mut places = places.iter();
        let mut steps = other.steps();
        let mut found = self.start(other.root, &mut steps);
        // Steps that the start took are shared or not like all others.
        let taken = other.steps().count().saturating_sub(steps.clone().count());
        for step in other.steps().take(taken) {
            shared = shared && beside.next() == Some(step);
        }
        for step in steps {
            shared = shared && beside.next() == Some(step);
            let Found::There(subject) = found else { return found };
            let next = match step {
                Step::All | Step::Any => match places.next() {
                    Some(place) if shared => subject.step(&Step::Index(*place)),
                    _ => return Found::Unknown,
                },
                Step::Key(_) | Step::Index(_) => subject.step(step),
            };
            found = next.map_or(Found::Missing, Found::There);
        }
        found
    }

    fn start(&'a self, root: &Root, steps: &mut Steps<'a>) -> Found<'a> {
        let Root::Input(name) = root else {
            return Found::There(Subject::Json(self.inputs.arguments));
        };
        let Some(Step::Key(member)) = steps.next() else {
            return Found::Missing;
        };
        match name.as_str() {
            "fact" => self.inputs.facts.0.get(member).map_or(Found::Unknown, |fact| Found::There(Subject::Json(fact))),
            "agent" => text(self.agent(member)),
            "delegation" if member == "inputs" => match steps.next() {
                Some(Step::Key(name)) => text(self.input(name)),
                _ => Found::Missing,
            },
            "delegation" => text(self.delegation(member)),
            "run" => self.run.get_or_init(|| RunValues::of(self.inputs.run)).find(member, steps),
            // The operation has no such dimension, or it would have been replaced.
            "dim" => Found::Missing,
            "call" => text(self.call(member)),
            _ => Found::Unknown,
        }
    }

    fn agent(&self, member: &str) -> Option<&str> {
        let agent = self.inputs.agent;
        Some(match member {
            "namespace" => &agent.namespace,
            "name" => &agent.name,
            "tenant" => &agent.tenant,
            "businessUnit" => &agent.business_unit,
            "owner" => &agent.owner,
            "version" => &agent.version,
            _ => return None,
        })
    }

    fn delegation(&self, member: &str) -> Option<&str> {
        let delegation = self.inputs.delegation?;
        Some(match member {
            "name" => &delegation.name,
            "delegator" => &delegation.delegator,
            "requester" => delegation.requester(),
            "workflow" => &delegation.workflow,
            "purpose" => &delegation.purpose,
            "request" => return delegation.request.as_deref(),
            _ => return None,
        })
    }

    /// A value that the delegator supplied.
    fn input(&self, name: &str) -> Option<&str> {
        self.inputs.delegation?.inputs.get(name).map(String::as_str)
    }

    fn call(&self, member: &str) -> Option<&str> {
        let call = &self.inputs.call;
        Some(match member {
            "time" => self.time.get_or_init(|| call.time.to_string()),
            "class" => call.class.as_str(),
            "tool" => call.tool,
            "operation" => call.operation,
            _ => return None,
        })
    }
}

fn text(text: Option<&str>) -> Found<'_> {
    text.map_or(Found::Missing, |text| Found::There(Subject::Text(text)))
}

/// At most [`crate::path::MAX_STEPS`] deep twice over (alias and own steps).
fn walk<'a>(
    subject: Subject<'a>,
    mut steps: Steps<'a>,
    places: &mut Vec<usize>,
    leaf: &mut dyn FnMut(Found<'a>, &[usize]) -> Truth,
) -> Truth {
    let Some(step) = steps.next() else {
        return leaf(Found::There(subject), places);
    };
    let all = match step {
        Step::All => true,
        Step::Any => false,
        Step::Key(_) | Step::Index(_) => {
            return match subject.step(step) {
                Some(next) => walk(next, steps, places, leaf),
                None => leaf(Found::Missing, places),
            };
        }
    };
    let Subject::Json(Value::Array(items)) = subject else {
        return leaf(Found::Missing, places);
    };
    if items.is_empty() {
        return if all { Truth::Indeterminate } else { Truth::False };
    }
    let mut truth = if all { Truth::True } else { Truth::False };
    let settled = if all { Truth::False } else { Truth::True };
    for (place, item) in items.iter().enumerate() {
        places.push(place);
        let one = walk(Subject::Json(item), steps.clone(), places, leaf);
        places.pop();
        truth = if all { truth.and(one) } else { truth.or(one) };
        if truth == settled {
            break;
        }
    }
    truth
}
