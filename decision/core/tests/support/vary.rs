//! Arguments made from others.
//!
//! Types are kept, and so are the members of what stands in a list. Where these change, the machine says by design what the
//! interpreter does not (`docs/reference/rego.md`, what is not available): an order between values of different types fails
//! instead of holding or not, `some x in` over what is no list finds nothing instead of failing, and a list comprehension
//! keeps an element that is undefined. Nearly every module compares, goes through a list or makes one, and what it then says
//! depends on where it does so: to know which answer is wanted, the comparison would have to be the machine. So no share of
//! the calls changes a type either. What is said where types differ is compared construct by construct, in
//! `rego/language.rs`: `DIFFERS` has what comes out in these three cases, `RUNS` has cases in which both agree. Functions are
//! given what they do not take in `rego/builtins.rs` and `rego_costs.rs`.

use serde_json::{Value, json};

use crate::mutate::Numbers;

/// The arguments with one to three changes: another scalar, an element more or less, or an argument that is left out.
pub fn varied(arguments: &Value, numbers: &mut Numbers) -> Value {
    let mut varied = arguments.clone();
    for _ in 0..=numbers.below(3) {
        match &mut varied {
            Value::Object(members) if !members.is_empty() && numbers.below(8) == 0 => {
                let names: Vec<String> = members.keys().cloned().collect();
                members.shift_remove(numbers.pick::<String>(&names));
            }
            other => change(other, numbers),
        }
    }
    varied
}

fn change(value: &mut Value, numbers: &mut Numbers) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let at = numbers.below(members.len());
            if let Some(member) = members.values_mut().nth(at) {
                change(member, numbers);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = numbers.below(items.len());
            match numbers.below(6) {
                0 => drop(items.remove(at)),
                1 => items.insert(at, items[at].clone()),
                _ => change(&mut items[at], numbers),
            }
        }
        Value::Bool(is) => *is = !*is,
        Value::Number(_) if numbers.below(4) == 0 => *value = json!(numbers.pick(&[0.5_f64, 9.75, 20.5, 499.5])),
        Value::Number(_) => *value = json!(numbers.pick(&[0_i64, 1, 2, 3, 9, 10, 11, 20, 21, 49, 100, 101, 500, 501])),
        Value::String(_) => *value = json!(numbers.pick(&["", "a", "b", "11", "12", "13", "17", "s-2", "S-3", "EUR"])),
        Value::Null | Value::Array(_) | Value::Object(_) => {}
    }
}
