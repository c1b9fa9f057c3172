//! Checks in words: what was asked, what the limit is, what would pass. A value of the call appears only where the tool
//! declares its field clear.

use super::predicate::CompiledCheck;
use super::resolve::{Found, Resolved, Scope, Subject};
use crate::decision::{FailedCheck, Truth};
use crate::json::Value;
use crate::policy::{Amount, Check, Day, Format, Predicate, Rule, Scalar, Sum, SumBound, Window};

/// Values of an `in` that are listed before they are only counted.
const LISTED_VALUES: usize = 5;
/// Longest list of values in characters.
const LISTED_CHARACTERS: usize = 120;
/// Values of the call that are shown of a list.
const SHOWN_VALUES: usize = 4;
/// Longest shown value of the call in characters.
const SHOWN_CHARACTERS: usize = 120;

/// What a call must be like for the rule to hold, such as `amount at most 5000.00 EUR; party in registry suppliers`.
/// Empty for a rule without checks.
pub fn allowed(rule: &Rule) -> String {
    let checks: Vec<String> = rule.when.iter().map(|check| format!("{} {}", check.field, limit(check))).collect();
    checks.join("; ")
}

/// The predicate's name as in the API.
pub fn name(predicate: &Predicate) -> &'static str {
    match predicate {
        Predicate::Equals(_) => "equals",
        Predicate::In(_) => "in",
        Predicate::IsTrue(_) => "isTrue",
        Predicate::Matches(_) => "matches",
        Predicate::Prefix(_) => "prefix",
        Predicate::Suffix(_) => "suffix",
        Predicate::Contains(_) => "contains",
        Predicate::AtMost(_) => "atMost",
        Predicate::AtLeast(_) => "atLeast",
        Predicate::LessThan(_) => "lessThan",
        Predicate::GreaterThan(_) => "greaterThan",
        Predicate::Length { .. } => "length",
        Predicate::Exists => "exists",
        Predicate::Absent => "absent",
        Predicate::Format(_) => "format",
        Predicate::EqualsField(_) => "equalsField",
        Predicate::SumEquals(_) => "sumEquals",
        Predicate::SumAtMost(_) => "sumAtMost",
        Predicate::InRegistry(_) => "inRegistry",
        Predicate::RegistryField { .. } => "registryField",
        Predicate::Document { .. } => "document",
        Predicate::HostIn { .. } => "hostIn",
        Predicate::Within(_) => "within",
    }
}

/// The predicate's name, with `not ` before it when the check is negated.
pub fn label(check: &Check) -> String {
    format!("{}{}", not(check), name(&check.predicate))
}

/// The rule's own bound in words, such as `at most 5000.00 EUR`.
pub fn limit(check: &Check) -> String {
    let words = match &check.predicate {
        Predicate::Equals(scalar) => format!("equal to {}", scalar_text(scalar)),
        Predicate::In(scalars) => one_of(&scalars.iter().map(scalar_text).collect::<Vec<_>>()),
        Predicate::IsTrue(value) => value.to_string(),
        Predicate::Matches(pattern) => format!("matching `{pattern}`"),
        Predicate::Prefix(text) => format!("starting with `{text}`"),
        Predicate::Suffix(text) => format!("ending with `{text}`"),
        Predicate::Contains(text) => format!("containing `{text}`"),
        Predicate::AtMost(amount) => format!("at most {}", amount_text(amount)),
        Predicate::AtLeast(amount) => format!("at least {}", amount_text(amount)),
        Predicate::LessThan(amount) => format!("less than {}", amount_text(amount)),
        Predicate::GreaterThan(amount) => format!("greater than {}", amount_text(amount)),
        Predicate::Length { min, max } => match (min, max) {
            (Some(min), Some(max)) => format!("of length {min} to {max}"),
            (Some(min), None) => format!("of length at least {min}"),
            (None, Some(max)) => format!("of length at most {max}"),
            (None, None) => "of any length".to_owned(),
        },
        Predicate::Exists => "present".to_owned(),
        Predicate::Absent => "absent".to_owned(),
        Predicate::Format(format) => format_text(*format).to_owned(),
        Predicate::EqualsField(path) => format!("equal to {path}"),
        Predicate::SumEquals(sum) => match &sum.bound {
            SumBound::OwnField => format!("equal to {}", sum_text(sum)),
            SumBound::Field(path) => format!("with {} equal to {path}", sum_text(sum)),
            SumBound::Value(value) => format!("with {} equal to {value}", sum_text(sum)),
        },
        Predicate::SumAtMost(sum) => match &sum.bound {
            SumBound::OwnField => format!("at least {}", sum_text(sum)),
            SumBound::Field(path) => format!("with {} at most {path}", sum_text(sum)),
            SumBound::Value(value) => format!("with {} at most {value}", sum_text(sum)),
        },
        Predicate::InRegistry(registry) => format!("in registry {registry}"),
        Predicate::RegistryField { registry, key, attribute } => {
            format!("the {attribute} of {key} in registry {registry}")
        }
        Predicate::Document { registry, key: None, name } => {
            format!("with a valid document {name} in registry {registry}")
        }
        Predicate::Document { registry, key: Some(key), name } => {
            format!("beside a valid document {name} of {key} in registry {registry}")
        }
        Predicate::HostIn { names, registry: None } => format!("with host {}", one_of(names)),
        Predicate::HostIn { names, registry: Some(registry) } if names.is_empty() => {
            format!("with a host of registry {registry}")
        }
        Predicate::HostIn { names, registry: Some(registry) } => {
            format!("with host {} or of registry {registry}", one_of(names))
        }
        Predicate::Within(window) => window_text(window),
    };
    format!("{}{words}", not(check))
}

fn not(check: &Check) -> &'static str {
    if check.not { "not " } else { "" }
}

fn scalar_text(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Integer(integer) => integer.to_string(),
        Scalar::Text(text) => text.clone(),
    }
}

fn one_of(texts: &[String]) -> String {
    let listed = texts.join(", ");
    if texts.len() <= LISTED_VALUES && listed.chars().count() <= LISTED_CHARACTERS {
        format!("one of {listed}")
    } else {
        format!("one of {} values", texts.len())
    }
}

fn format_text(format: Format) -> &'static str {
    match format {
        Format::Iban => "an IBAN",
        Format::Bic => "a BIC",
        Format::Email => "an e-mail address",
        Format::Domain => "a domain name",
        Format::Url => "an http or https URL",
        Format::Uuid => "a UUID",
        Format::Date => "a date (YYYY-MM-DD)",
        Format::DateTime => "a time (RFC 3339)",
        Format::Currency => "an ISO 4217 currency code",
        Format::VatId => "a VAT number",
        Format::Luhn => "a number with a Luhn check digit",
    }
}

fn window_text(window: &Window) -> String {
    let days = window.days.iter().map(|day| Day::as_str(*day)).collect::<Vec<_>>().join(", ");
    let parts = [days.as_str(), window.hours.as_deref().unwrap_or_default(), &window.time_zone];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("within {}", parts.join(" "))
}

fn amount_text(amount: &Amount) -> String {
    match &amount.currency {
        Some(currency) => format!("{} {}", amount.value, currency.code),
        None => amount.value.clone(),
    }
}

fn sum_text(sum: &Sum) -> String {
    match &sum.times {
        Some(times) => format!("the sum of {} times {times}", sum.of),
        None => format!("the sum of {}", sum.of),
    }
}

/// A check that is not true, with its limit.
pub(super) fn failed<'a>(check: &'a CompiledCheck, truth: Truth, scope: &'a Scope<'a>) -> FailedCheck {
    FailedCheck {
        field: check.field_text.as_ref().to_owned(),
        check: check.label.as_ref().to_owned(),
        limit: Some(check.limit.as_ref().to_owned()),
        value: clear_value(check, scope),
        indeterminate: truth == Truth::Indeterminate,
    }
}

/// The field's values, where the tool declares it clear; the first few of a list.
fn clear_value<'a>(check: &'a CompiledCheck, scope: &'a Scope<'a>) -> Option<String> {
    let field = check.resolved(scope);
    let names = scope.names();
    if !scope.inputs.record_clear.iter().any(|clear| field.covered_by(Resolved::of(clear, names))) {
        return None;
    }
    let mut shown = Vec::new();
    let mut values: usize = 0;
    scope.each(field, &mut |found, _| {
        if let Found::There(subject) = found
            && let Some(text) = scalar(subject)
        {
            values = values.saturating_add(1);
            if shown.len() < SHOWN_VALUES {
                shown.push(text);
            }
        }
        Truth::Indeterminate
    });
    if shown.is_empty() {
        return None;
    }
    if values > shown.len() {
        shown.push("…".to_owned());
    }
    Some(shown.join(", "))
}

fn scalar(subject: Subject<'_>) -> Option<String> {
    let text = match subject {
        Subject::Json(Value::Null) => "null".to_owned(),
        Subject::Json(Value::Bool(value)) => value.to_string(),
        Subject::Json(Value::Number(number)) => number.to_string(),
        _ => subject.text()?.to_owned(),
    };
    Some(match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    })
}
