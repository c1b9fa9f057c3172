//! The values of a protected argument, each with its place.

use super::canonical::Canonical;
use crate::facts;
use crate::json::Value;
use crate::path::{self, Path, Step};
use crate::run::Asked;
use crate::tool::Operation;

/// Most values of one entry that are asked for their origin. Beyond it the origin is unknown.
const MAX_VALUES: usize = 256;

/// What an entry protects in a call.
#[derive(Debug, Default)]
pub(super) struct Protected {
    pub(super) values: Vec<Asked>,
    /// There are more.
    pub(super) more: bool,
}

impl Protected {
    /// Every text and number at the field or below it. Where a value is of another kind than the field's path needs (a text
    /// where the path names a member), everything in that value counts, so that no other form of an argument goes unasked.
    pub(super) fn of(field: &Path, operation: &Operation, arguments: &Value) -> Self {
        let (_, alias, rest) = facts::resolve(field, operation);
        let steps: Vec<&Step> = alias.iter().chain(rest).collect();
        let mut protected = Self::default();
        protected.follow(arguments, &steps, &mut String::new());
        protected
    }

    fn follow(&mut self, value: &Value, steps: &[&Step], path: &mut String) {
        let Some((step, rest)) = steps.split_first() else { return self.all(value, path) };
        match (value, step) {
            (Value::Object(object), Step::Key(key)) => {
                if let Some(member) = object.get(key) {
                    within(path, key, |path| self.follow(member, rest, path));
                }
            }
            (Value::Array(items), Step::Index(index)) => {
                if let Some(item) = items.get(*index) {
                    within_list(path, *index, |path| self.follow(item, rest, path));
                }
            }
            (Value::Array(items), Step::All | Step::Any) => {
                for (index, item) in items.iter().enumerate() {
                    within_list(path, index, |path| self.follow(item, rest, path));
                }
            }
            _ => self.all(value, path),
        }
    }

    /// As deep as the parser lets values be.
    fn all(&mut self, value: &Value, path: &mut String) {
        match value {
            Value::Object(object) => {
                for (key, member) in object.iter() {
                    within(path, key, |path| self.all(member, path));
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    within_list(path, index, |path| self.all(item, path));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                let Some(value) = Canonical::of(value) else { return };
                if self.values.len() < MAX_VALUES {
                    self.values.push(Asked { path: path.clone(), value });
                } else {
                    self.more = true;
                }
            }
        }
    }
}

fn within(path: &mut String, key: &str, then: impl FnOnce(&mut String)) {
    let length = path.len();
    path::push_member(path, key);
    then(path);
    path.truncate(length);
}

fn within_list(path: &mut String, index: usize, then: impl FnOnce(&mut String)) {
    let length = path.len();
    path::push_element(path, index);
    then(path);
    path.truncate(length);
}
