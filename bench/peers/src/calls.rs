//! Payments drawn so that every kind of rule is now true, now false, and now just so.

use fastrand::Rng;
use serde_json::{Value, json};

/// Calls of one test are drawn from this seed.
pub const SEED: u64 = 0x00ae_6150;

/// One payment.
#[derive(Debug)]
pub struct Call {
    pub body: Vec<u8>,
    /// Its reference begins as an order number and is none: a glob, which is all that Cedar has, takes it for one.
    pub only_looks_like_an_order: bool,
}

/// So many payments, each about two of so many rules. The same for the same numbers.
pub fn draw(rules: usize, count: usize) -> Vec<Call> {
    let mut rng = Rng::with_seed(SEED ^ rules as u64);
    (0..count).map(|_| call(&mut rng, rules)).collect()
}

fn call(rng: &mut Rng, rules: usize) -> Call {
    let (one, other) = (rng.usize(..rules), rng.usize(..rules));
    let supplier = match rng.u8(..4) {
        0 => "supplier-match".to_owned(),
        1 => format!("supplier-{one}"),
        2 => format!("supplier-{other}"),
        _ => "supplier-none".to_owned(),
    };
    let amount = match rng.u8(..8) {
        0 => "0.01".to_owned(),
        1 => "1249.50".to_owned(),
        2 => "4999.99".to_owned(),
        3 => "5000.00".to_owned(),
        4 => "5000.01".to_owned(),
        5 => format!("{}.99", 9_999 + one),
        6 => format!("{}.00", 10_000 + one),
        _ => format!("{}.00", 10_001 + other),
    };
    let digits = ["123", "1234", "12345678", "123456789", "12a4", ""][rng.usize(..6)];
    let reference = match rng.u8(..6) {
        0 => "INV-2026-000417".to_owned(),
        1 => format!("BATCH-{one}-7"),
        2 => format!("BATCH-{other}-"),
        3 => format!("BATCH-{one}"),
        _ => format!("ORD-{one}-{digits}"),
    };
    let cost_centre = match rng.u8(..4) {
        0 => "4711".to_owned(),
        1 => format!("centre-{one}"),
        _ => format!("centre-{one}-{}", ["a", "b", "c", "d"][rng.usize(..4)]),
    };
    let iban = if rng.bool() { "DE89370400440532013000" } else { "DE02120300000000202051" };
    let body = json!({
        "supplier": supplier, "reference": reference, "amount": amount, "currency": "EUR", "iban": iban,
        "bic": "COBADEFFXXX", "dueDate": "2026-06-15", "costCentre": cost_centre, "urgent": false,
        "lines": [{"sku": "PAPER-A4", "quantity": 12, "price": "41.65"}], "note": "",
    });
    let is_order = (4..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    Call { body: bytes(&body), only_looks_like_an_order: reference.starts_with("ORD-") && !is_order }
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a tree is written")
}
