//! From a path to the values it names, with quantifiers.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::iter::Chain;
use std::slice::Iter;

use super::Inputs;
use crate::decision::Truth;
use crate::json::Value;
use crate::path::{Path, Root, Step};

/// Members of `$agent`.
pub(super) const AGENT: [&str; 6] = ["namespace", "name", "tenant", "businessUnit", "owner", "version"];
/// Members of `$delegation`.
pub(super) const DELEGATION: [&str; 5] = ["name", "delegator", "requester", "workflow", "purpose"];
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
        match (self, step) {
            (Self::Json(Value::Object(object)), Step::Key(key)) => object.get(key).map(Self::Json),
            (Self::Json(Value::Array(items)), Step::Index(index)) => items.get(*index).map(Self::Json),
            _ => None,
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

/// A path after its alias, if its first key is one, was replaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolved<'a> {
    pub(super) root: &'a Root,
    head: &'a [Step],
    tail: &'a [Step],
}

type Steps<'a> = Chain<Iter<'a, Step>, Iter<'a, Step>>;

impl<'a> Resolved<'a> {
    /// Replaces the first key by the alias of that name. Aliases are not looked up again in aliases.
    pub(super) fn of(path: &'a Path, aliases: &'a BTreeMap<String, Path>) -> Self {
        if path.root == Root::Arguments
            && let Some((Step::Key(key), tail)) = path.steps.split_first()
            && let Some(alias) = aliases.get(key)
        {
            return Self { root: &alias.root, head: &alias.steps, tail };
        }
        Self { root: &path.root, head: &[], tail: &path.steps }
    }

    pub(super) fn steps(self) -> Steps<'a> {
        self.head.iter().chain(self.tail)
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

/// The path with its alias replaced.
pub(crate) fn without_alias(path: &Path, aliases: &BTreeMap<String, Path>) -> Path {
    let resolved = Resolved::of(path, aliases);
    Path { root: resolved.root.clone(), steps: resolved.steps().cloned().collect() }
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
}

impl<'a> Scope<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>) -> Self {
        Self { inputs, time: OnceCell::new() }
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
            "delegation" => text(self.delegation(member)),
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
            _ => return None,
        })
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
