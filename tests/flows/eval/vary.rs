//! Small changes to JSON values: other amounts, other ids, members that are missing, added, repeated or of another type.

use std::collections::BTreeMap;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value, json};

/// Scalars that calls of a recipe really have, by the name of their member.
#[derive(Debug, Default)]
pub struct Seen(BTreeMap<String, Vec<Value>>);

impl Seen {
    /// Takes in all scalars of a value that is a member of that name.
    pub fn add(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, member)| self.add(name, member)),
            Value::Array(items) => items.iter().for_each(|item| self.add(name, item)),
            scalar => self.0.entry(name.to_owned()).or_default().push(scalar.clone()),
        }
    }

    /// One that stood under this name, if any did.
    pub fn of(&self, name: &str, random: &mut StdRng) -> Option<Value> {
        self.0.get(name)?.choose(random).cloned()
    }

    /// One that stood anywhere; null where there is none.
    pub fn any(&self, random: &mut StdRng) -> Value {
        let names: Vec<_> = self.0.keys().collect();
        names.choose(random).and_then(|name| self.of(name, random)).unwrap_or_default()
    }
}

/// Changes one place of an object; one that is empty gets a member.
pub fn vary(object: &mut Map<String, Value>, seen: &Seen, random: &mut StdRng) {
    let mut whole = Value::Object(std::mem::take(object));
    let mut places = Vec::new();
    collect(&whole, "", &mut places);
    if let Some(place) = places.choose(random).filter(|_| random.random_bool(0.9)) {
        at(&mut whole, place, seen, random);
    } else if let Some(members) = whole.as_object_mut() {
        let name = seen.0.keys().nth(random.random_range(0..seen.0.len().max(1)));
        members.insert(name.map_or("more", String::as_str).to_owned(), seen.any(random));
    }
    if let Value::Object(varied) = whole {
        *object = varied;
    }
}

/// Pointers (RFC 6901) to everything below a value.
fn collect(value: &Value, place: &str, places: &mut Vec<String>) {
    let mut below = |key: &str, value: &Value| {
        let place = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
        collect(value, &place, places);
        places.push(place);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| below(name, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| below(&at.to_string(), item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn at(whole: &mut Value, place: &str, seen: &Seen, random: &mut StdRng) {
    let Some((parent, key)) = place.rsplit_once('/') else { return };
    let kind = random.random_range(0..10);
    if kind < 2 {
        let Some(parent) = whole.pointer_mut(parent) else { return };
        return if kind == 0 { remove(parent, key) } else { repeat(parent, key, seen, random) };
    }
    let name = place.rsplit('/').find(|part| part.parse::<usize>().is_err()).unwrap_or_default();
    let other = seen.of(name, random);
    let Some(value) = whole.pointer_mut(place) else { return };
    match kind {
        2..5 => *value = other.unwrap_or_else(|| seen.any(random)),
        5 => *value = of_another_type(value, random),
        _ => *value = another(value, random),
    }
}

fn remove(parent: &mut Value, key: &str) {
    match parent {
        Value::Object(members) => drop(members.shift_remove(key)),
        Value::Array(items) => {
            if let Some(index) = key.parse::<usize>().ok().filter(|index| *index < items.len()) {
                items.remove(index);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An element once more; beside a member, another one.
fn repeat(parent: &mut Value, key: &str, seen: &Seen, random: &mut StdRng) {
    match parent {
        Value::Object(members) => drop(members.insert(format!("{key}_more"), seen.any(random))),
        Value::Array(items) => items.extend(key.parse::<usize>().ok().and_then(|index| items.get(index).cloned())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn of_another_type(value: &Value, random: &mut StdRng) -> Value {
    let others = [
        Value::Null,
        json!(true),
        json!(7),
        json!(value.to_string()),
        json!([value]),
        json!({"value": value}),
        json!([]),
        json!({}),
    ];
    others.choose(random).cloned().unwrap_or_default()
}

/// Another value of the same type.
fn another(value: &Value, random: &mut StdRng) -> Value {
    match value {
        Value::Null => json!(0),
        Value::Bool(is) => json!(!is),
        Value::Number(number) => {
            if let Some(number) = number.as_i64() {
                json!(another_integer(number, random))
            } else {
                let others = [0.01, 0.1, 49.99, 5000.01, -1.5, 1e21];
                json!(others.choose(random))
            }
        }
        Value::String(text) => json!(another_text(text, random)),
        Value::Array(items) => items.iter().rev().cloned().collect(),
        Value::Object(members) => members.clone().into_iter().rev().collect::<Map<_, _>>().into(),
    }
}

fn another_integer(number: i64, random: &mut StdRng) -> i64 {
    let others = [
        number.saturating_add(1),
        number.saturating_sub(1),
        number.saturating_mul(10),
        number.saturating_neg(),
        number / 2,
        0,
        // One more than every double tells apart.
        9_007_199_254_740_993,
    ];
    others.choose(random).copied().unwrap_or_default()
}

fn another_text(text: &str, random: &mut StdRng) -> String {
    if let Some(number) = text.parse().ok().filter(|_| random.random_bool(0.8)) {
        return another_integer(number, random).to_string();
    }
    if text.parse::<f64>().is_ok() && random.random_bool(0.8) {
        let others = ["0.01", "49.99", "500.00", "5000.00", "5000.01", "1e3", "-1.00", " 10.00", "10,00"];
        return others.choose(random).copied().unwrap_or_default().to_owned();
    }
    match random.random_range(0..9) {
        0 => text.to_uppercase(),
        1 => format!(" {text} "),
        2 => format!("{text}x"),
        3 => String::new(),
        // A letter of another alphabet that looks the same.
        4 => text.replacen('a', "\u{430}", 1),
        5 => format!("{text}/../{text}"),
        6 => format!("{text}\n"),
        7 => text.chars().rev().collect(),
        _ => text.chars().skip(1).collect(),
    }
}
