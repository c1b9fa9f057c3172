//! Collecting an object's members without looking at each one again for every new name.

use std::collections::HashSet;

use super::{Object, Value};

/// From how many members on names are kept in a set. Below it, comparing is cheaper than hashing.
const LARGE: usize = 16;

/// Members on their way into an [`Object`].
#[derive(Debug, Default)]
pub(super) struct Members {
    members: Vec<(String, Value)>,
    /// The names, once there are [`LARGE`] of them.
    names: HashSet<String>,
}

impl Members {
    /// Whether the name is free. The caller pushes it next.
    pub(super) fn take_name(&mut self, name: &str) -> bool {
        if self.members.len() < LARGE {
            return self.members.iter().all(|(taken, _)| taken != name);
        }
        if self.names.is_empty() {
            self.names.extend(self.members.iter().map(|(taken, _)| taken.clone()));
        }
        self.names.insert(name.to_owned())
    }

    /// Adds a member whose name was free.
    pub(super) fn push(&mut self, name: String, value: Value) {
        self.members.push((name, value));
    }

    /// The object.
    pub(super) fn into_object(self) -> Object {
        Object { members: self.members }
    }
}
