//! One compiled check, and how it is asked of a call.

use std::sync::Arc;

use super::equal::{self, Comparable};
use super::format;
use super::host_in::HostSet;
use super::number::Bound;
use super::registry::{self, RegistryName};
use super::resolve::{Found, Resolved, Scope, Subject};
use super::sum::{self, CompiledSum};
use super::text::{self, Pattern};
use super::window::Window;
use crate::decision::{CheckOutcome, Truth};
use crate::json::Value;
use crate::path::Path;
use crate::policy::{Format, Normalize};

/// A check whose texts are normalised, decimals parsed, patterns compiled and words ready.
#[derive(Debug)]
pub(super) struct CompiledCheck {
    pub(super) field: Path,
    pub(super) negated: bool,
    pub(super) normalize: Normalize,
    pub(super) question: Question,
    /// The field as written in the rule.
    pub(super) field_text: Box<str>,
    /// The predicate's name, with `not ` before it when negated.
    pub(super) label: Box<str>,
    /// The rule's own bound in words.
    pub(super) limit: Box<str>,
}

/// What is asked of each value. A bundle holds tens of thousands of them: what is large is in a box.
#[derive(Debug)]
pub(super) enum Question {
    OneOf(Vec<Comparable<'static>>),
    IsTrue(bool),
    Matches(Arc<Pattern>),
    Prefix(String),
    Suffix(String),
    Contains(String),
    OnSide(Box<Bound>),
    Length { min: usize, max: usize },
    Exists,
    Absent,
    Format(Format),
    EqualsField(Box<Path>),
    Sum(Box<CompiledSum>),
    InRegistry(Box<RegistryName>),
    RegistryField { registry: Box<RegistryName>, key: Box<Path>, attribute: Box<str> },
    Document { registry: Box<RegistryName>, key: Option<Box<Path>>, name: Box<str> },
    HostIn(Box<HostSet>),
    Within(Box<Window>),
}

impl CompiledCheck {
    /// Whether the check holds for the call.
    pub(super) fn ask<'a>(&'a self, scope: &'a Scope<'a>) -> Truth {
        let field = self.resolved(scope);
        // The sum is the same for every element of the field, so it is made once.
        let total = match &self.question {
            Question::Sum(sum) => sum.total(scope, self.normalize),
            _ => None,
        };
        let mut seen = equal::Seen::default();
        let truth = scope.each(field, &mut |found, places| {
            let subject = match (&self.question, found) {
                (Question::Exists | Question::Absent, Found::Unknown) => return Truth::Indeterminate,
                (Question::Exists, _) => return matches!(found, Found::There(_)).into(),
                (Question::Absent, _) => return matches!(found, Found::Missing).into(),
                (_, Found::There(subject)) => subject,
                (_, Found::Missing | Found::Unknown) => return Truth::Indeterminate,
            };
            let beside = |path: &'a Path| scope.beside(Resolved::of(path, scope.names()), field, places);
            match &self.question {
                Question::EqualsField(other) => seen.equals(subject, beside(other), self.normalize),
                Question::OnSide(bound) => {
                    let currency = bound.currency.as_ref().map(|currency| (currency, beside(&currency.field)));
                    bound.holds(subject, self.normalize, currency)
                }
                Question::Sum(sum) => sum::compare(sum, total, subject, self.normalize, beside),
                Question::RegistryField { registry, key, attribute } => {
                    registry::attribute_equals(registry, beside(key), attribute, subject, self.normalize, scope)
                }
                Question::Document { registry, key, name } => {
                    registry::has_document(registry, key.as_deref().map(beside), name, subject, scope)
                }
                question => question.ask_alone(subject, self.normalize, scope),
            }
        });
        if self.negated { truth.negate() } else { truth }
    }

    /// The field with its alias replaced.
    pub(super) fn resolved<'a>(&'a self, scope: &Scope<'a>) -> Resolved<'a> {
        Resolved::of(&self.field, scope.names())
    }

    /// What became of it, for the explanation.
    pub(super) fn outcome(&self, truth: Truth) -> CheckOutcome {
        CheckOutcome { field: self.field_text.as_ref().to_owned(), check: self.label.as_ref().to_owned(), truth }
    }
}

impl Question {
    /// Questions that look at one value and at nothing beside it.
    fn ask_alone(&self, subject: Subject<'_>, normalize: Normalize, scope: &Scope<'_>) -> Truth {
        let on_text = |holds: &dyn Fn(&str) -> bool| match subject.text() {
            Some(text) => holds(&normalize.apply(text)).into(),
            None => Truth::Indeterminate,
        };
        match self {
            Self::OneOf(values) => equal::one_of(values, subject, normalize),
            Self::IsTrue(expected) => match subject {
                Subject::Json(Value::Bool(value)) => (value == expected).into(),
                _ => Truth::Indeterminate,
            },
            Self::Matches(pattern) => pattern.matches(subject, normalize),
            Self::Prefix(prefix) => on_text(&|text| text.starts_with(prefix)),
            Self::Suffix(suffix) => on_text(&|text| text.ends_with(suffix)),
            Self::Contains(part) => on_text(&|text| text.contains(part)),
            Self::Length { min, max } => text::length(subject, normalize)
                .map_or(Truth::Indeterminate, |length| (*min..=*max).contains(&length).into()),
            Self::Format(format) => on_text(&|text| format::is(*format, text)),
            Self::InRegistry(registry) => registry::contains(registry, subject, normalize, scope),
            Self::HostIn(hosts) => hosts.contains(subject, normalize, scope),
            Self::Within(window) => window.holds(subject, normalize),
            Self::Exists
            | Self::Absent
            | Self::EqualsField(_)
            | Self::OnSide(_)
            | Self::Sum(_)
            | Self::RegistryField { .. }
            | Self::Document { .. } => Truth::Indeterminate,
        }
    }
}
