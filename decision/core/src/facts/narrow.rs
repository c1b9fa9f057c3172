//! Keeping the declared paths of an answer and nothing else.

use std::collections::BTreeMap;

use crate::json::{Object, Value};
use crate::path::{Path, Step};

/// The paths of a fact, joined at their common starts.
#[derive(Debug, Default)]
struct Node<'a> {
    /// A path ends here: all of the value is kept.
    whole: bool,
    members: BTreeMap<&'a str, Node<'a>>,
    elements: Option<Box<Node<'a>>>,
}

/// What the paths keep of a value: objects with the named members only, in the order received, and arrays whole in
/// length (an element that is not of the shape becomes `null`). None when the value itself is not of the shape.
/// Narrowing again changes nothing.
pub(super) fn narrow(value: &Value, paths: &[Path]) -> Option<Value> {
    let mut root = Node::default();
    for path in paths {
        root.add(&path.steps);
    }
    root.keep(value)
}

impl<'a> Node<'a> {
    fn add(&mut self, steps: &'a [Step]) {
        match steps.split_first() {
            None => self.whole = true,
            Some((Step::Key(key), rest)) => self.members.entry(key).or_default().add(rest),
            // A path with an index keeps the list around the element, so that the index still fits.
            Some((Step::All | Step::Any | Step::Index(_), rest)) => self.elements.get_or_insert_default().add(rest),
        }
    }

    fn keep(&self, value: &Value) -> Option<Value> {
        if self.whole {
            return Some(value.clone());
        }
        match (value, &self.elements) {
            (Value::Array(items), Some(node)) => {
                Some(Value::Array(items.iter().map(|item| node.keep(item).unwrap_or(Value::Null)).collect()))
            }
            (Value::Object(object), _) if !self.members.is_empty() => {
                let mut kept = Object::new();
                for (key, value) in object.iter() {
                    if let Some(value) = self.members.get(key).and_then(|node| node.keep(value)) {
                        let _taken = kept.insert(key, value);
                    }
                }
                Some(Value::Object(kept))
            }
            _ => None,
        }
    }
}
