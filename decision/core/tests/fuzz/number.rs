//! Numbers: one value, one canonical token, the double and the decimal that stand for exactly it.

use aegis_decision::json::{Number, NumberError, Value, parse};

/// Largest integer that is accepted by its size alone: 2^53.
const MAX_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Panics where a text that is accepted is not kept exactly, or one is refused for a reason that it does not have.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Number::from_text(text) {
        Ok(number) => {
            assert!(is_json_number(text), "not the grammar of RFC 8259");
            assert_eq!(parse(bytes), Ok(Value::Number(number)), "a document that is this number");
            kept(text, number);
        }
        Err(NumberError::Form) => assert!(!is_json_number(text), "well formed, and refused for its form"),
        Err(NumberError::Digits | NumberError::Range) => {
            assert!(is_json_number(text), "not well formed, and refused for its size");
            assert!(parse(bytes).is_err(), "refused alone, accepted as a document");
        }
    }
}

fn kept(text: &str, number: Number) {
    let canonical = number.to_string();
    assert_eq!(Number::from_text(&canonical), Ok(number), "its own token is another number");
    assert_eq!(exact(text), exact(&canonical), "the canonical token is another decimal");

    // Rust's reader rounds correctly, as IEEE 754 and ECMAScript want it.
    let double: f64 = text.parse().expect("a JSON number is a Rust number");
    assert!((number.as_f64() - double).abs() <= 0.0, "another double");
    let token = serde_json_canonicalizer::to_string(&double).expect("a finite double");
    assert_eq!(token, canonical, "not the token of RFC 8785");

    match number.as_i64() {
        Some(integer) => assert_eq!(Number::from_text(&integer.to_string()), Ok(number), "another integer"),
        None => assert!(double.fract() != 0.0 || double.abs() > MAX_INTEGER, "an integer that is not given"),
    }
    if let Some(decimal) = number.to_decimal() {
        assert_eq!(Number::from_text(&decimal.to_string()), Ok(number), "another decimal");
    }
}

/// RFC 8259, section 6.
fn is_json_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, power) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let power = power.map(|power| power.strip_prefix(['+', '-']).unwrap_or(power));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && power.is_none_or(digits)
}

/// Sign, significant digits and power of ten of the last of them: two texts are one decimal if and only if these agree.
pub fn exact(text: &str) -> (bool, String, i128) {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_end_matches('0');
    if digits.trim_start_matches('0').is_empty() {
        return (false, String::new(), 0);
    }
    let power: i128 = power.parse().expect("the power of a number within 1e300 has a size");
    let length = |text: &str| i128::try_from(text.len()).expect("a length");
    let power = power - length(fraction) + length(&all) - length(digits);
    (negative, digits.trim_start_matches('0').to_owned(), power)
}
