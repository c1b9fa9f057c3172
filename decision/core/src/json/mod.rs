//! JSON as Aegis judges it: one strict parse, one tree, one canonical form.
//!
//! `serde_json` keeps the last duplicate key and turns numbers into doubles silently; both let an attacker show one
//! call to the judge and another to the tool. This tree is parsed strictly ([`parse`]), judged, hashed in RFC 8785 form
//! ([`crate::digest`]) and emitted again with its keys in the order received ([`emit`]).

mod emit;
mod members;
mod number;
mod parse;
mod plain;
mod read;
mod serde_bridge;

pub use emit::emit;
pub(crate) use emit::emit_sorted;
pub use number::{Number, NumberError};
pub use parse::{Limits, ParseError, ParseErrorKind, parse, parse_with};
pub use read::{ReadError, read, to_serde};

/// A string of a tree: up to 24 bytes are kept in place, as most keys, codes and amounts are.
pub type Text = compact_str::CompactString;

/// A JSON value whose numbers are exact.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number that survives exactly.
    Number(Number),
    /// A string of Unicode scalar values.
    String(Text),
    /// An array.
    Array(Vec<Value>),
    /// An object, keys unique, in the order received.
    Object(Object),
}

impl Value {
    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The value that an RFC 6901 pointer names.
    pub fn pointer(&self, pointer: &str) -> Option<&Value> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |value, token| {
            let token = token.replace("~1", "/").replace("~0", "~");
            match value {
                Self::Object(object) => object.get(&token),
                Self::Array(items) => items.get(token.parse::<usize>().ok()?),
                _ => None,
            }
        })
    }
}

/// An object: unique keys in the order received.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    members: Vec<(Text, Value)>,
}

impl Object {
    /// An empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The member of that name, to be changed.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.members.iter_mut().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Takes the member of that name away.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Value> {
        let place = self.members.iter().position(|(key, _)| key == name)?;
        Some(self.members.remove(place).1)
    }

    /// Members in order, their values to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        self.members.iter_mut().map(|(key, value)| (key.as_str(), value))
    }

    /// Adds a member at the end; gives the value back when the name is taken.
    pub fn insert(&mut self, name: impl Into<Text>, value: Value) -> Result<(), Value> {
        let name = name.into();
        if self.get(&name).is_some() {
            return Err(value);
        }
        self.members.push((name, value));
        Ok(())
    }

    /// Members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.members.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Members in order, as they are kept.
    pub(crate) fn entries(&self) -> std::slice::Iter<'_, (Text, Value)> {
        self.members.iter()
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl IntoIterator for Object {
    type Item = (Text, Value);
    type IntoIter = std::vec::IntoIter<(Text, Value)>;

    /// Members in order.
    fn into_iter(self) -> Self::IntoIter {
        self.members.into_iter()
    }
}
