//! Paths of checks: `lines[*].price`, `$fact.order.total`, `$agent.tenant`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::json::Value;

/// Where a path starts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// The call's arguments.
    Arguments,
    /// Another input, such as `agent`, `delegation`, `call` or `fact`.
    Input(String),
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Member of an object.
    Key(String),
    /// `[n]`: element of an array.
    Index(usize),
    /// `[*]`: all elements; over an empty array indeterminate.
    All,
    /// `[?]`: at least one element; over an empty array false.
    Any,
}

/// A parsed path. Written and read as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Path {
    /// Where it starts.
    pub root: Root,
    /// Its steps, at most [`MAX_STEPS`].
    pub steps: Vec<Step>,
}

/// Longest path in bytes.
pub const MAX_BYTES: usize = 256;
/// Most steps in a path.
pub const MAX_STEPS: usize = 16;
/// Inputs that a path may start from, beside the arguments.
pub const INPUTS: [&str; 6] = ["agent", "delegation", "call", "fact", "run", "dim"];

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Empty.
    #[error("is empty; write a field name such as `amount` or `lines[*].price`")]
    Empty,
    /// Too long.
    #[error("is longer than {MAX_BYTES} bytes or {MAX_STEPS} steps")]
    TooLong,
    /// An input that does not exist.
    #[error("starts with an unknown input; known are $agent, $delegation, $call, $fact, $run and $dim")]
    UnknownInput,
    /// Not well formed at a byte.
    #[error("is not well formed at byte {0}; write names separated by dots, with [*], [?], [0] or [\"name\"]")]
    Syntax(usize),
}

impl Step {
    /// What it leads to from a value: none where that is not there, and for a step that ranges over elements.
    #[inline]
    pub(crate) fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match (value, self) {
            (Value::Object(object), Self::Key(key)) => object.get(key),
            (Value::Array(items), Self::Index(index)) => items.get(*index),
            _ => None,
        }
    }
}

impl Path {
    /// Steps that range over several elements.
    pub fn quantifiers(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::All | Step::Any)).count()
    }

    /// The first key after the root, if the path begins with one.
    pub fn first_key(&self) -> Option<&str> {
        match self.steps.first() {
            Some(Step::Key(key)) => Some(key),
            _ => None,
        }
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(PathError::TooLong);
        }
        let mut reader = Reader { text, at: 0 };
        let root = if reader.eat('$') {
            let name = reader.name()?;
            if !INPUTS.contains(&name.as_str()) {
                return Err(PathError::UnknownInput);
            }
            Root::Input(name)
        } else {
            Root::Arguments
        };
        let mut steps = Vec::new();
        if root == Root::Arguments && !reader.rest().starts_with('[') {
            steps.push(Step::Key(reader.name()?));
        }
        while !reader.rest().is_empty() {
            if reader.eat('.') {
                steps.push(Step::Key(reader.name()?));
            } else if reader.eat('[') {
                steps.push(reader.bracket()?);
            } else {
                return Err(PathError::Syntax(reader.at));
            }
            if steps.len() > MAX_STEPS {
                return Err(PathError::TooLong);
            }
        }
        if root != Root::Arguments && steps.is_empty() {
            return Err(PathError::Syntax(reader.at));
        }
        steps.shrink_to_fit();
        Ok(Self { root, steps })
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, expected: char) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at = self.at.saturating_add(expected.len_utf8());
        }
        found
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let taken: String = self.rest().chars().take_while(|c| accept(*c)).collect();
        self.at = self.at.saturating_add(taken.len());
        taken
    }

    fn name(&mut self) -> Result<String, PathError> {
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if name.is_empty() { Err(PathError::Syntax(self.at)) } else { Ok(name) }
    }

    fn bracket(&mut self) -> Result<Step, PathError> {
        let start = self.at;
        let step = if self.eat('*') {
            Step::All
        } else if self.eat('?') {
            Step::Any
        } else if self.eat('"') {
            let key = self.take_while(|c| c != '"' && c != '\\' && !c.is_control());
            if key.is_empty() || !self.eat('"') {
                return Err(PathError::Syntax(self.at));
            }
            Step::Key(key)
        } else {
            let digits = self.take_while(|c| c.is_ascii_digit());
            let canonical = digits == "0" || !digits.starts_with('0');
            Step::Index(digits.parse().ok().filter(|_| canonical).ok_or(PathError::Syntax(start))?)
        };
        if self.eat(']') { Ok(step) } else { Err(PathError::Syntax(self.at)) }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        if let Root::Input(name) = &self.root {
            write!(f, "${name}")?;
            first = false;
        }
        for step in &self.steps {
            match step {
                Step::Key(key) if plain(key) => write!(f, "{}{key}", if first { "" } else { "." })?,
                Step::Key(key) => write!(f, "[\"{key}\"]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::All => f.write_str("[*]")?,
                Step::Any => f.write_str("[?]")?,
            }
            first = false;
        }
        Ok(())
    }
}

/// Goes on to a member of an object. Two places in a value never have the same text.
pub(crate) fn push_member(place: &mut String, key: &str) {
    if key.is_empty() || !plain(key) {
        place.push('[');
        place.push_str(&serde_json::Value::from(key).to_string());
        place.push(']');
    } else {
        if !place.is_empty() {
            place.push('.');
        }
        place.push_str(key);
    }
}

/// Goes on to an element of a list.
pub(crate) fn push_element(place: &mut String, index: usize) {
    // Writing to a text cannot fail.
    let _ = fmt::Write::write_fmt(place, format_args!("[{index}]"));
}

fn plain(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

impl TryFrom<String> for Path {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("amount")]
    #[test_case("lines[*].price")]
    #[test_case("lines[?][1][\"unit price\"]")]
    #[test_case("$fact.order.total")]
    #[test_case("$agent.tenant")]
    #[test_case("[0].name")]
    fn is_written_as_it_was_read(text: &str) {
        assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
    }

    #[test_case("", PathError::Empty)]
    #[test_case("$clock.now", PathError::UnknownInput)]
    #[test_case("$agent", PathError::Syntax(6))]
    #[test_case("a..b", PathError::Syntax(2))]
    #[test_case("a[01]", PathError::Syntax(2))]
    #[test_case("a[", PathError::Syntax(2))]
    #[test_case("a[*", PathError::Syntax(3))]
    #[test_case("a b", PathError::Syntax(1))]
    fn names_what_is_wrong(text: &str, error: PathError) {
        assert_eq!(text.parse::<Path>().unwrap_err(), error);
    }
}
