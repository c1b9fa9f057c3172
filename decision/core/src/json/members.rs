//! Collecting an object's members without looking at each one again for every new name.

use std::collections::HashSet;

use super::{Object, Text, Value};

/// From how many members on names are kept in a set. Below it, comparing is cheaper than hashing.
const LARGE: usize = 16;
/// Members that there is room for at first.
const USUAL: usize = 8;

/// Members on their way into an [`Object`].
#[derive(Debug)]
pub(super) struct Members {
    given: Vec<(Text, Value)>,
    /// A bit for each name, several names to a bit: a name whose bit is not set is new.
    seen: u64,
    /// The names, once there are [`LARGE`] of them.
    names: Option<HashSet<Text>>,
}

impl Default for Members {
    fn default() -> Self {
        Self { given: Vec::with_capacity(USUAL), seen: 0, names: None }
    }
}

impl Members {
    /// Whether the name is free. The caller pushes it next.
    #[inline]
    pub(super) fn take_name(&mut self, name: &str) -> bool {
        let bit = bit(name.as_bytes());
        let surely_new = self.seen & bit == 0;
        self.seen |= bit;
        (surely_new && self.given.len() < LARGE) || self.is_new(name)
    }

    /// The same by comparing.
    #[inline(never)]
    fn is_new(&mut self, name: &str) -> bool {
        if self.given.len() < LARGE {
            return self.given.iter().all(|(taken, _)| taken != name);
        }
        let given = || self.given.iter().map(|(taken, _)| taken.clone()).collect();
        self.names.get_or_insert_with(given).insert(name.into())
    }

    /// Adds a member whose name was free.
    pub(super) fn push(&mut self, name: Text, value: Value) {
        self.given.push((name, value));
    }

    /// The object.
    pub(super) fn into_object(self) -> Object {
        Object { members: self.given }
    }
}

/// One bit of 64, by length and the bytes at both ends: equal names have the same.
fn bit(name: &[u8]) -> u64 {
    let (first, last) = match name {
        [first, .., last] => (*first, *last),
        [only] => (*only, *only),
        [] => (0, 0),
    };
    1 << ((usize::from(first).wrapping_mul(31) ^ usize::from(last).wrapping_mul(7) ^ name.len()) % 64)
}
