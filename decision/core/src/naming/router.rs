//! Which operation a request is: method, path template, body discriminators.
//!
//! More specific wins: literal segments over parameters first, then more body discriminators over fewer. Two operations
//! that one request could match without one being more specific are refused at compile time, so at most one is left at
//! run time.

use std::collections::BTreeSet;

use super::declaration;
use super::error::BindingError;
use super::fact_binding;
use super::target::RequestPath;
use super::template::{Relation, Template};
use crate::json::Value;
use crate::path::{Path, Step};
use crate::tool::Tool;

/// The operations of one tool, ready to be matched.
#[derive(Debug)]
pub struct Router {
    routes: Vec<Route>,
}

/// How one operation is matched.
#[derive(Debug)]
pub(crate) struct Route {
    /// Index of the operation in its tool.
    pub(crate) operation: usize,
    pub(super) method: String,
    pub(super) template: Template,
    /// Body fields that must equal these texts.
    pub(super) discriminators: Vec<(Path, String)>,
    /// Keys to the arguments in the body.
    pub(super) arguments_from: Vec<String>,
}

/// A route whose method and path match, with the path's parameters.
pub(super) struct Candidate<'a> {
    pub(super) route: &'a Route,
    pub(super) path: Vec<(String, String)>,
}

impl Router {
    /// Compiles the operations of a tool. Every operation is well formed and can be told from every other.
    pub fn compile(tool: &Tool) -> Result<Self, BindingError> {
        declaration::check_headers(tool)?;
        let mut names = BTreeSet::new();
        let mut routes: Vec<Route> = Vec::new();
        for (index, operation) in tool.operations.iter().enumerate() {
            if !names.insert(&operation.name) {
                return Err(BindingError::DuplicateOperation(operation.name.clone()));
            }
            let route = declaration::route(index, operation)?;
            if let Some(other) = routes.iter().find(|other| other.clashes(&route)) {
                let first = tool.operations.get(other.operation).map(|operation| operation.name.clone());
                let second = operation.name.clone();
                return Err(BindingError::Ambiguous { first: first.unwrap_or_default(), second });
            }
            routes.push(route);
        }
        for operation in &tool.operations {
            fact_binding::check(tool, operation, &routes)?;
        }
        Ok(Self { routes })
    }

    /// The route of an operation, by its index in the tool.
    pub(crate) fn route(&self, operation: usize) -> Option<&Route> {
        self.routes.iter().find(|route| route.operation == operation)
    }

    /// Pairs of operations that one path can match, by their indices in the tool: the first has literals where the second
    /// has parameters, so such a request is never the second.
    pub fn overlaps(&self) -> Vec<(usize, usize)> {
        let all = self.routes.iter().flat_map(|first| self.routes.iter().map(move |second| (first, second)));
        let overlapping = all.filter(|(first, second)| {
            let possible = first.method == second.method && !first.bodies_exclude(second);
            possible && first.template.relation(&second.template) == Relation::First
        });
        overlapping.map(|(first, second)| (first.operation, second.operation)).collect()
    }

    /// Whether a request for an operation could be another one's, if not for its path's parameters or its body.
    pub(crate) fn may_be_another(&self, operation: usize) -> bool {
        let own = self.route(operation);
        own.is_none_or(|own| {
            self.routes.iter().any(|other| {
                other.operation != operation
                    && other.method == own.method
                    && !other.bodies_exclude(own)
                    && other.template.relation(&own.template) != Relation::Disjoint
            })
        })
    }

    /// The route of an operation of the tool, by its name.
    pub(crate) fn route_named(&self, tool: &Tool, operation: &str) -> Option<&Route> {
        self.route(tool.operations.iter().position(|declared| declared.name == operation)?)
    }

    /// Routes whose method and path match.
    pub(super) fn candidates(&self, method: &str, path: &RequestPath) -> Vec<Candidate<'_>> {
        let of_method = self.routes.iter().filter(|route| route.method == method);
        of_method.filter_map(|route| Some(Candidate { route, path: route.template.matches(path)? })).collect()
    }

    /// Whether a request with these path parameters and this body is one of this route and of no other.
    pub(super) fn leads_to(&self, route: &Route, path: &[(String, String)], body: Option<&Value>) -> bool {
        let found = select(self.candidates(&route.method, &route.template.filled(path)), body);
        found.is_some_and(|found| found.route.operation == route.operation)
    }

    /// Whether some operation's path ends with a slash, as this one does.
    pub(super) fn knows_trailing_slash(&self) -> bool {
        self.routes.iter().any(|route| route.template.trailing_slash && !route.template.segments.is_empty())
    }

    /// Indices of the operations nearest to a request that none matched: the same path with another method first, then
    /// by how much of the path they share.
    pub(super) fn nearest(&self, path: &RequestPath) -> Vec<usize> {
        let mut ranked: Vec<_> = self
            .routes
            .iter()
            .map(|route| {
                let whole = route.template.matches(path).is_some();
                (!whole, usize::MAX.saturating_sub(route.template.common_prefix(path)), route.operation)
            })
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, _, operation)| operation).collect()
    }
}

/// The one candidate that the body selects: its discriminators hold, and it is more specific than the others.
pub(super) fn select<'a>(candidates: Vec<Candidate<'a>>, body: Option<&Value>) -> Option<Candidate<'a>> {
    let matching = candidates.into_iter().filter(|candidate| candidate.route.body_matches(body));
    matching.reduce(|best, next| if next.route.beats(best.route) { next } else { best })
}

impl Route {
    /// Whether an argument is, or is within, or holds a body field that tells this operation from others.
    pub(crate) fn tells_apart_by(&self, argument: &[Step]) -> bool {
        let keys = self.arguments_from.iter().cloned().map(Step::Key);
        let in_body: Vec<Step> = keys.chain(argument.iter().cloned()).collect();
        self.discriminators.iter().any(|(path, _)| path.steps.iter().zip(&in_body).all(|(one, other)| one == other))
    }

    /// Whether a value of the body is nothing but what this operation is recognised by. `place` is where it stands.
    pub(super) fn is_recognised_by(&self, place: &mut Vec<Step>, value: &Value) -> bool {
        let mut within = |step: Step, value: &Value| {
            place.push(step);
            let known = self.is_recognised_by(place, value);
            place.pop();
            known
        };
        match value {
            Value::Object(object) => {
                !object.is_empty() && object.iter().all(|(name, value)| within(Step::Key(name.to_owned()), value))
            }
            Value::Array(items) => {
                !items.is_empty() && items.iter().enumerate().all(|(index, value)| within(Step::Index(index), value))
            }
            Value::String(text) => {
                self.discriminators.iter().any(|(path, expected)| path.steps == *place && text.as_str() == expected)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn body_matches(&self, body: Option<&Value>) -> bool {
        self.discriminators.iter().all(|(path, expected)| {
            let found = body.and_then(|body| path.steps.iter().try_fold(body, |value, step| step.of(value)));
            // `5` and `"5"` stay different: only a string equals the declared text.
            found.and_then(Value::as_str) == Some(expected)
        })
    }

    /// Whether one request could match both without one being more specific.
    fn clashes(&self, other: &Self) -> bool {
        if self.method != other.method || self.bodies_exclude(other) {
            return false;
        }
        match self.template.relation(&other.template) {
            Relation::Disjoint | Relation::First | Relation::Second => false,
            Relation::Crossing => true,
            Relation::Same => !self.narrows(other) && !other.narrows(self),
        }
    }

    /// Whether it is more specific than another that matches the same request.
    fn beats(&self, other: &Self) -> bool {
        match self.template.relation(&other.template) {
            Relation::First => true,
            Relation::Same => self.narrows(other),
            Relation::Second | Relation::Crossing | Relation::Disjoint => false,
        }
    }

    /// Whether some field must have two values to match both.
    fn bodies_exclude(&self, other: &Self) -> bool {
        let excludes = |(path, value): &(Path, String)| {
            other.discriminators.iter().any(|(other_path, other_value)| path == other_path && value != other_value)
        };
        self.discriminators.iter().any(excludes)
    }

    /// Whether it has all discriminators of the other, and more.
    fn narrows(&self, other: &Self) -> bool {
        self.discriminators.len() > other.discriminators.len()
            && other.discriminators.iter().all(|discriminator| self.discriminators.contains(discriminator))
    }
}
