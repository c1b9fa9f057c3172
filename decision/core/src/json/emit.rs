//! Writing a tree: keys in the order received or sorted, every token in the form of RFC 8785.
//!
//! Some tools depend on the order of keys, none on how a token is spelled. Digests are made of the canonical form, whose
//! keys are sorted.

use super::plain::plain_length;
use super::{Object, Value};
use crate::canonical::Key;

/// The tree as bytes. Parsing them gives the same tree.
pub fn emit(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    write_value(value, &mut AsReceived, &mut text);
    text.into_bytes()
}

/// The tree in the form of RFC 8785: the members of each object stand in the order of their names.
pub(crate) fn emit_sorted(value: &Value) -> String {
    let mut text = String::new();
    write_value(value, &mut ByName(Vec::new()), &mut text);
    text
}

/// In which order the members of an object are written.
trait Order<'v> {
    fn write_members(&mut self, object: &'v Object, text: &mut String);
}

struct AsReceived;

impl<'v> Order<'v> for AsReceived {
    fn write_members(&mut self, object: &'v Object, text: &mut String) {
        for (index, (key, value)) in object.iter().enumerate() {
            write_member(index == 0, key, value, self, text);
        }
    }
}

/// Members of the objects that are being written, those of the innermost last.
struct ByName<'v>(Vec<(Key<'v>, &'v Value)>);

impl<'v> Order<'v> for ByName<'v> {
    fn write_members(&mut self, object: &'v Object, text: &mut String) {
        let first = self.0.len();
        self.0.extend(object.iter().map(|(key, value)| (Key::new(key), value)));
        let end = self.0.len();
        let members = self.0.get_mut(first..).unwrap_or_default();
        if !members.is_sorted_by(|(a, _), (b, _)| a.order(*b).is_le()) {
            members.sort_unstable_by(|(a, _), (b, _)| a.order(*b));
        }
        for at in first..end {
            let Some((key, value)) = self.0.get(at).copied() else { break };
            write_member(at == first, key.as_str(), value, self, text);
        }
        self.0.truncate(first);
    }
}

fn write_value<'v>(value: &'v Value, order: &mut impl Order<'v>, text: &mut String) {
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
                write_value(item, order, text);
            }
            text.push(']');
        }
        Value::Object(object) => {
            text.push('{');
            order.write_members(object, text);
            text.push('}');
        }
    }
}

fn write_member<'v>(is_first: bool, key: &str, value: &'v Value, order: &mut impl Order<'v>, text: &mut String) {
    if !is_first {
        text.push(',');
    }
    write_string(key, text);
    text.push(':');
    write_value(value, order, text);
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
