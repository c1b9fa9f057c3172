//! 200 calls that every way must decide alike, with what becomes of each: about a third may go, and the others each break
//! one rule.

use serde_json::{Value, json};

use crate::workload::{SUPPLIERS, bound, supplier as name};

/// How many.
pub const CALLS: u32 = 200;
/// Amounts that are none.
const NO_AMOUNTS: [&str; 8] = ["12", "1e2", "12.345", " 12.00", "-5.00", "12,00", "", "12.00 EUR"];

/// A body, and whether it may go.
#[derive(Debug, Clone)]
pub struct Call {
    /// The body.
    pub body: Value,
    /// Whether it may go.
    pub goes: bool,
}

/// All of them.
pub fn calls() -> Vec<Call> {
    (0..CALLS).map(call).collect()
}

fn call(index: u32) -> Call {
    let number = index * 37 % SUPPLIERS;
    let (supplier, bound) = (name(number), bound(number));
    let turn = index / 8;
    let (body, goes) = match index % 8 {
        0 => (pay(&json!(supplier), &json!(format!("{}.50", bound - 1)), "EUR"), true),
        1 => (pay(&json!(supplier), &json!(format!("{bound}.00")), "CHF"), true),
        2 => (pay(&json!(supplier), &json!("0.01"), "EUR"), true),
        3 => (pay(&json!(supplier), &json!(format!("{bound}.01")), "EUR"), false),
        4 => (pay(&json!(name(SUPPLIERS + index)), &json!("1.00"), "EUR"), false),
        5 => (pay(&json!(supplier), &json!("1.00"), if turn.is_multiple_of(2) { "USD" } else { "eur" }), false),
        6 => (pay(&json!(supplier), &no_amount(turn), "EUR"), false),
        _ => (pay(&no_supplier(turn, &supplier), &json!("1.00"), "EUR"), false),
    };
    Call { body, goes }
}

fn pay(supplier: &Value, amount: &Value, currency: &str) -> Value {
    json!({"model": "bank", "supplier": supplier, "amount": amount, "currency": currency, "reference": "INV-1"})
}

/// What is no amount in the form that the rules demand.
fn no_amount(turn: u32) -> Value {
    match turn % 11 {
        0 => json!(12),
        1 => json!(12.5),
        2 => Value::Null,
        other => NO_AMOUNTS.get(other as usize - 3).map_or(Value::Null, |text| json!(text)),
    }
}

/// What is no supplier of the list.
fn no_supplier(turn: u32, supplier: &str) -> Value {
    match turn % 6 {
        0 => Value::Null,
        1 => json!(7),
        2 => json!([supplier]),
        3 => json!(supplier.to_uppercase()),
        4 => json!(format!("{supplier} ")),
        _ => json!({"id": supplier}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_call_is_among_them() {
        let calls = calls();
        assert_eq!(calls.len(), 200);
        assert_eq!(calls.iter().filter(|call| call.goes).count(), 75);
        for amount in NO_AMOUNTS {
            assert!(calls.iter().any(|call| call.body["amount"] == *amount), "{amount:?}");
        }
    }
}
