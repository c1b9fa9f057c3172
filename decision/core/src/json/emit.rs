//! Writing a tree: keys in the order received, every token in the form of RFC 8785.
//!
//! Some tools depend on the order of keys, none on how a token is spelled. The canonical form with sorted keys, which is
//! what digests are made of, comes from serialising the tree with [`crate::digest::Digest::of`].

use super::plain::plain_length;
use super::{Object, Value};

/// The tree as bytes. Parsing them gives the same tree.
pub fn emit(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    write_value(value, &mut text);
    text.into_bytes()
}

fn write_value(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => number.write(text),
        Value::String(string) => write_string(string, text),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_value(item, text);
            }
            text.push(']');
        }
        Value::Object(object) => write_object(object, text),
    }
}

fn write_object(object: &Object, text: &mut String) {
    text.push('{');
    for (index, (key, value)) in object.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_string(key, text);
        text.push(':');
        write_value(value, text);
    }
    text.push('}');
}

/// RFC 8785, section 3.2.2.2: only what must be escaped is, in its shortest form.
fn write_string(mut string: &str, text: &mut String) {
    text.push('"');
    loop {
        let (plain, rest) = string.split_at_checked(plain_length(string.as_bytes())).unwrap_or((string, ""));
        text.push_str(plain);
        let mut rest = rest.chars();
        match rest.next() {
            Some(special) => write_escape(special, text),
            None => break,
        }
        string = rest.as_str();
    }
    text.push('"');
}

#[cold]
fn write_escape(special: char, text: &mut String) {
    match special {
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        '\u{8}' => text.push_str("\\b"),
        '\t' => text.push_str("\\t"),
        '\n' => text.push_str("\\n"),
        '\u{c}' => text.push_str("\\f"),
        '\r' => text.push_str("\\r"),
        control => {
            text.push_str("\\u00");
            push_hex(text, u32::from(control));
        }
    }
}

/// Two hex digits of a byte.
fn push_hex(text: &mut String, byte: u32) {
    text.extend([byte >> 4, byte & 0xF].into_iter().filter_map(|digit| char::from_digit(digit, 16)));
}
