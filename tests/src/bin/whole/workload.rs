//! The workload: payments to 1,000 suppliers, each with a bound of its own. Every way that judges has the same rules: a
//! payment goes to a supplier of the list, in EUR or CHF, of at most the supplier's bound.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// Suppliers, and with them rules.
pub const SUPPLIERS: u32 = 1_000;
/// Bytes of a body, and what they are called.
pub const SIZES: [(&str, usize); 2] = [("500 B", 500), ("10 KB", 10_240)];

/// The name of a supplier. Numbers from [`SUPPLIERS`] on are not on the list.
pub fn supplier(number: u32) -> String {
    format!("supplier-{number:04}")
}

/// The most that may go to it, in whole units of the currency.
pub fn bound(number: u32) -> u32 {
    1_000 + number
}

/// A payment within the bound, of exactly so many bytes. It has the `model` that Praxis knows an inference request by,
/// which is the only kind of JSON body that its policies read.
pub fn payment(number: u32, bytes: usize) -> String {
    let (supplier, amount) = (supplier(number), bound(number) - 1);
    let mut text = format!(
        r#"{{"model":"bank","supplier":"{supplier}","amount":"{amount}.50","currency":"EUR","reference":"INV-2026-{number:06}","dueDate":"2026-06-15","lines":["#
    );
    let lines = if bytes < 1_024 { 2 } else { 60 };
    for line in 0..lines {
        let comma = if line == 0 { "" } else { "," };
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            r#"{comma}{{"sku":"SKU-{line:05}","description":"office supplies, carton {line:02}","quantity":{quantity},"price":"{price}.95","taxRate":"0.19","costCentre":"4711","delivery":"2026-06-30"}}"#,
            quantity = line + 1,
            price = 10 + line,
        );
    }
    text.push_str(r#"],"note":""#);
    let end = "\"}";
    let room = bytes.saturating_sub(text.len() + end.len());
    text.push_str(&"x".repeat(room));
    text.push_str(end);
    text
}

/// A request for each supplier, as bytes to be sent.
pub fn requests(host: SocketAddr, path: &str, bytes: usize) -> Vec<Vec<u8>> {
    let request = |number| {
        let body = payment(number, bytes);
        format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\naccept: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    (0..SUPPLIERS).map(request).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_has_its_size_and_is_json() {
        for (_, bytes) in SIZES {
            for number in [0, 17, SUPPLIERS - 1] {
                let text = payment(number, bytes);
                assert_eq!(text.len(), bytes);
                let read: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(read["supplier"], supplier(number));
            }
        }
    }
}
