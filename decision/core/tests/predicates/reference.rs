//! A second evaluator of checks, plain and slow, written another way than the product's: quantifiers are rewritten into
//! plain paths until none is left, truth is a number from 0 (false) over 1 (indeterminate) to 2 (true), decimals are
//! `rust_decimal` ones, patterns are written out by hand.

use std::collections::BTreeMap;
use std::str::FromStr;

use aegis_decision::json::Value;
use aegis_decision::path::{Path, Root, Step};
use aegis_decision::policy::{Amount, Check, Normalize, Predicate, Scalar, SumBound};
use aegis_decision::registry::Registry;
use rust_decimal::Decimal;

#[path = "reference_clock.rs"]
mod clock;
#[path = "reference_format.rs"]
pub mod format;
#[path = "reference_host.rs"]
mod host;

pub const FALSE: u8 = 0;
pub const UNKNOWN: u8 = 1;
pub const TRUE: u8 = 2;

/// What the evaluator sees: arguments, and registries by name.
pub struct World<'a> {
    pub arguments: &'a Value,
    pub registries: BTreeMap<&'a str, &'a Registry>,
    /// When the call is judged, in UTC: such texts of one length are ordered as the instants are.
    pub now: &'a str,
}

/// A pattern with what it means.
type Pattern = (&'static str, fn(&str) -> bool);

/// Patterns that the generator uses.
pub const PATTERNS: [Pattern; 3] = [
    ("[ab]+", |text| !text.is_empty() && text.chars().all(|c| c == 'a' || c == 'b')),
    ("a|ab", |text| text == "a" || text == "ab"),
    (r"\d.*", |text| text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains('\n')),
];

impl World<'_> {
    /// Truth of a check.
    pub fn check(&self, check: &Check) -> u8 {
        let truth = self.expand(check);
        if check.not { 2 - truth } else { truth }
    }

    fn expand(&self, check: &Check) -> u8 {
        let quantifier = check.field.steps.iter().position(|step| matches!(step, Step::All | Step::Any));
        let Some(at) = quantifier else {
            return self.plain(check);
        };
        let list = Path { root: Root::Arguments, steps: check.field.steps[..at].to_vec() };
        let Some(Value::Array(items)) = self.find(&list) else {
            // Nothing to range over: the field is missing.
            return missing(&check.predicate);
        };
        let each = (0..items.len()).map(|index| self.expand(&at_index(check, at, index)));
        match check.field.steps[at] {
            Step::All => each.min().unwrap_or(UNKNOWN),
            _ => each.max().unwrap_or(FALSE),
        }
    }

    fn find(&self, path: &Path) -> Option<&Value> {
        path.steps.iter().try_fold(self.arguments, |value, step| match (value, step) {
            (Value::Object(object), Step::Key(key)) => {
                object.iter().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            (Value::Array(items), Step::Index(index)) => items.get(*index),
            _ => None,
        })
    }

    fn plain(&self, check: &Check) -> u8 {
        let Some(value) = self.find(&check.field) else {
            return missing(&check.predicate);
        };
        let normal = |text: &str| normal(check.normalize, text);
        let on_text = |holds: &dyn Fn(&str) -> bool| match value {
            Value::String(text) => truth(holds(&normal(text))),
            _ => UNKNOWN,
        };
        let compare = |amount: &Amount, holds: fn(Decimal, Decimal) -> bool| {
            if let Some(currency) = &amount.currency {
                match self.find(&currency.field) {
                    Some(Value::String(code)) if *code == currency.code => {}
                    _ => return UNKNOWN,
                }
            }
            let bound = Decimal::from_str(&amount.value).unwrap();
            decimal(value, check.normalize).map_or(UNKNOWN, |number| truth(holds(number, bound)))
        };
        match &check.predicate {
            Predicate::Exists => TRUE,
            Predicate::Absent => FALSE,
            Predicate::Equals(scalar) => equals_scalar(value, scalar, check.normalize),
            Predicate::In(scalars) => {
                scalars.iter().map(|scalar| equals_scalar(value, scalar, check.normalize)).max().unwrap()
            }
            Predicate::IsTrue(wanted) => match value {
                Value::Bool(found) => truth(found == wanted),
                _ => UNKNOWN,
            },
            Predicate::Matches(pattern) => on_text(&PATTERNS.iter().find(|(known, _)| known == pattern).unwrap().1),
            Predicate::Prefix(part) => on_text(&|text| text.strip_prefix(&normal(part)).is_some()),
            Predicate::Suffix(part) => on_text(&|text| text.strip_suffix(&normal(part)).is_some()),
            Predicate::Contains(part) => on_text(&|text| text.split_once(&normal(part)).is_some()),
            Predicate::AtMost(amount) => compare(amount, |a, b| a <= b),
            Predicate::AtLeast(amount) => compare(amount, |a, b| a >= b),
            Predicate::LessThan(amount) => compare(amount, |a, b| a < b),
            Predicate::GreaterThan(amount) => compare(amount, |a, b| a > b),
            Predicate::Length { min, max } => {
                let length = match value {
                    Value::String(text) => normal(text).chars().count(),
                    Value::Array(items) => items.len(),
                    _ => return UNKNOWN,
                };
                truth(length >= min.unwrap_or(0) as usize && max.is_none_or(|max| length <= max as usize))
            }
            Predicate::Format(format) => on_text(&|text| self::format::is(*format, text)),
            Predicate::EqualsField(other) => {
                self.find(other).map_or(UNKNOWN, |other| equals(value, other, check.normalize))
            }
            Predicate::SumEquals(sum) | Predicate::SumAtMost(sum) => {
                let limit = match &sum.bound {
                    SumBound::OwnField => decimal(value, check.normalize),
                    _ if matches!(value, Value::Null) => None,
                    SumBound::Field(path) => self.find(path).and_then(|value| decimal(value, check.normalize)),
                    SumBound::Value(text) => Decimal::from_str(text).ok(),
                };
                let terms = self.list(&sum.of, check.normalize);
                let factors = match &sum.times {
                    Some(times) => self.list(times, check.normalize),
                    None => terms.as_ref().map(|terms| vec![Decimal::ONE; terms.len()]),
                };
                let (Some(limit), Some(terms), Some(factors)) = (limit, terms, factors) else { return UNKNOWN };
                if terms.is_empty() || terms.len() != factors.len() {
                    return UNKNOWN;
                }
                let total: Decimal = terms.iter().zip(&factors).map(|(term, factor)| term * factor).sum();
                truth(if matches!(check.predicate, Predicate::SumEquals(_)) { total == limit } else { total <= limit })
            }
            Predicate::InRegistry(_)
            | Predicate::RegistryField { .. }
            | Predicate::Document { .. }
            | Predicate::HostIn { .. }
            | Predicate::Within(_) => self.elsewhere(check, value),
        }
    }

    /// Predicates that rest on something beside the call's values.
    fn elsewhere(&self, check: &Check, value: &Value) -> u8 {
        let normal = |text: &str| normal(check.normalize, text);
        match &check.predicate {
            Predicate::InRegistry(name) => {
                let (Some(registry), Some(key)) = (self.registries.get(name.as_str()), key_text(value)) else {
                    return UNKNOWN;
                };
                truth(registry.entries.keys().any(|known| normal(known) == normal(&key)))
            }
            Predicate::RegistryField { registry, key, attribute } => {
                let known = self.registries.get(registry.as_str()).and_then(|registry| {
                    let key = self.find(key).and_then(key_text)?;
                    registry.entries.get(&key)?.get(attribute)
                });
                let texts = known.into_iter().flatten().map(|text| Value::String(text.as_str().into()));
                texts.map(|text| equals(value, &text, check.normalize)).max().unwrap_or(UNKNOWN)
            }
            Predicate::Document { registry, key, name } => {
                let named = key.as_ref().map_or(Some(value), |path| self.find(path)).and_then(key_text);
                let (Some(registry), Some(key), false) =
                    (self.registries.get(registry.as_str()), named, matches!(value, Value::Null))
                else {
                    return UNKNOWN;
                };
                if !registry.entries.contains_key(&key) {
                    return UNKNOWN;
                }
                let documents = registry.documents.get(&key).cloned().unwrap_or_default();
                truth(documents.iter().filter(|document| document.name == *name).any(|document| {
                    document.valid_from.is_none_or(|from| from.to_string().as_str() <= self.now)
                        && document.valid_until.is_none_or(|until| until.to_string().as_str() > self.now)
                }))
            }
            Predicate::HostIn { names, registry } => {
                let Value::String(text) = value else { return UNKNOWN };
                let Some(host) = host::of(&normal(text)) else { return UNKNOWN };
                let listed = |names: &[String]| names.iter().any(|name| host::is(&host, name));
                let named = match registry.as_ref().map(|name| self.registries.get(name.as_str())) {
                    None => FALSE,
                    Some(None) => UNKNOWN,
                    Some(Some(registry)) => {
                        truth(registry.entries.values().filter_map(|entry| entry.get("domains")).any(|own| listed(own)))
                    }
                };
                truth(listed(names)).max(named)
            }
            Predicate::Within(window) => {
                let Value::String(text) = value else { return UNKNOWN };
                clock::minutes(&normal(text)).map_or(UNKNOWN, |minutes| truth(clock::is_within(minutes, window)))
            }
            _ => unreachable!("all others are asked of the call alone"),
        }
    }

    fn list(&self, path: &Path, normalize: Normalize) -> Option<Vec<Decimal>> {
        let at = path.steps.iter().position(|step| *step == Step::All).unwrap();
        let Some(Value::Array(items)) = self.find(&Path { root: Root::Arguments, steps: path.steps[..at].to_vec() })
        else {
            return None;
        };
        (0..items.len())
            .map(|index| {
                let mut path = path.clone();
                path.steps[at] = Step::Index(index);
                decimal(self.find(&path)?, normalize)
            })
            .collect()
    }
}

/// The check about one element: every path that goes through the same list goes to the same place in it.
fn at_index(check: &Check, at: usize, index: usize) -> Check {
    let list = check.field.steps[..=at].to_vec();
    let place = |path: &mut Path| {
        if path.steps.starts_with(&list) {
            path.steps[at] = Step::Index(index);
        }
    };
    let mut one = check.clone();
    place(&mut one.field);
    match &mut one.predicate {
        Predicate::EqualsField(path)
        | Predicate::RegistryField { key: path, .. }
        | Predicate::Document { key: Some(path), .. } => place(path),
        Predicate::AtMost(amount)
        | Predicate::AtLeast(amount)
        | Predicate::LessThan(amount)
        | Predicate::GreaterThan(amount) => amount.currency.iter_mut().for_each(|currency| place(&mut currency.field)),
        Predicate::SumEquals(sum) | Predicate::SumAtMost(sum) => {
            if let SumBound::Field(path) = &mut sum.bound {
                place(path);
            }
        }
        _ => {}
    }
    one
}

fn missing(predicate: &Predicate) -> u8 {
    match predicate {
        Predicate::Exists => FALSE,
        Predicate::Absent => TRUE,
        _ => UNKNOWN,
    }
}

fn truth(holds: bool) -> u8 {
    if holds { TRUE } else { FALSE }
}

fn normal(normalize: Normalize, text: &str) -> String {
    match normalize {
        Normalize::None => text.to_owned(),
        Normalize::Trim => text.trim().to_owned(),
        Normalize::Case => text.trim().to_ascii_lowercase(),
        Normalize::Spaces => text.split_whitespace().collect::<String>().to_ascii_uppercase(),
    }
}

/// As a person does it: write the digits down, double every second one from the right, add up all digits.
fn decimal(value: &Value, normalize: Normalize) -> Option<Decimal> {
    match value {
        Value::Number(number) => number.to_decimal(),
        Value::String(text) => decimal_text(&normal(normalize, text)),
        _ => None,
    }
}

/// JSON's grammar without exponent.
fn decimal_text(text: &str) -> Option<Decimal> {
    let number: serde_json::Value = serde_json::from_str(text).ok()?;
    let plain = number.is_number() && text.chars().all(|c| c.is_ascii_digit() || c == '-' || c == '.');
    plain.then(|| Decimal::from_str_exact(text).ok()).flatten()
}

fn equals(a: &Value, b: &Value, normalize: Normalize) -> u8 {
    match (a, b) {
        (Value::String(a), Value::String(b)) => truth(normal(normalize, a) == normal(normalize, b)),
        (Value::Bool(a), Value::Bool(b)) => truth(a == b),
        (Value::Number(_), Value::Number(_) | Value::String(_)) | (Value::String(_), Value::Number(_)) => {
            match (decimal(a, normalize), decimal(b, normalize)) {
                (Some(a), Some(b)) => truth(a == b),
                _ => UNKNOWN,
            }
        }
        _ => UNKNOWN,
    }
}

fn equals_scalar(value: &Value, scalar: &Scalar, normalize: Normalize) -> u8 {
    match (value, scalar) {
        (Value::Number(_) | Value::String(_), Scalar::Integer(integer)) => {
            decimal(value, normalize).map_or(UNKNOWN, |number| truth(number == Decimal::from(*integer)))
        }
        (Value::Number(_) | Value::String(_), Scalar::Text(text)) => {
            equals(value, &Value::String(text.as_str().into()), normalize)
        }
        _ => UNKNOWN,
    }
}

fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string()),
        Value::Number(number) => {
            let number = number.to_decimal()?.normalize();
            (number.scale() == 0).then(|| number.to_string())
        }
        _ => None,
    }
}
