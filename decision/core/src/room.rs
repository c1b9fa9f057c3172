//! What the patterns of a bundle may take once they are compiled.
//!
//! Each pattern is bounded by itself, but a policy of 45 KB has room for a thousand of them. So they are counted as they
//! are compiled, and the first that does not fit ends it: what is too large is refused before it takes the memory of
//! those that judge for others too. Counted are size classes, so that the same patterns always fit or never do.

use std::cell::Cell;

/// What the patterns of one policy, or of one tool, may take, in bytes. A thousand patterns of the smallest class do.
const MAX_OWN_BYTES: usize = 8 * 1_048_576;
/// What all patterns of one bundle may take, in bytes.
const MAX_BUNDLE_BYTES: usize = 32 * 1_048_576;
/// Size classes of a compiled pattern, in bytes.
const CLASSES: [usize; 5] = [4_096, 16_384, 65_536, 262_144, 1_048_576];
/// What a pattern with groups may take beside, in bytes: the regex crate keeps an automaton that tells where they are.
const GROUPS_BYTES: usize = 1_048_576;

/// Patterns that take too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// Those of one policy.
    #[error("patterns of this policy take over 8 MiB compiled: use fewer or smaller ones")]
    Policy,
    /// Those of one tool.
    #[error("patterns of this tool take over 8 MiB compiled: use fewer or smaller ones")]
    Tool,
    /// Those of all policies and tools together.
    #[error("patterns of all policies and tools of one agent take over 32 MiB compiled: use fewer or smaller ones")]
    Bundle,
}

/// What is left for the patterns of one bundle.
#[derive(Debug)]
pub(crate) struct BundleRoom(Cell<usize>);

impl Default for BundleRoom {
    fn default() -> Self {
        Self(Cell::new(MAX_BUNDLE_BYTES))
    }
}

/// What is left for the patterns of one policy or tool.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    whose: NoRoom,
    own: Cell<usize>,
    bundle: &'a BundleRoom,
}

impl<'a> Room<'a> {
    /// For a policy.
    pub(crate) fn of_policy(bundle: &'a BundleRoom) -> Self {
        Self { whose: NoRoom::Policy, own: Cell::new(MAX_OWN_BYTES), bundle }
    }

    /// For a tool.
    pub(crate) fn of_tool(bundle: &'a BundleRoom) -> Self {
        Self { whose: NoRoom::Tool, own: Cell::new(MAX_OWN_BYTES), bundle }
    }

    /// Takes room for a pattern of this size class; `groups` if the compiled pattern can tell where its groups are.
    pub(crate) fn take(&self, class: usize, groups: bool) -> Result<(), NoRoom> {
        // One automaton reads forwards, one backwards.
        let both = class.saturating_mul(2);
        // In the smallest class the third one is small, too.
        let beside = if groups && CLASSES.first() != Some(&class) { GROUPS_BYTES } else { 0 };
        let bytes = both.saturating_add(beside);
        let own = self.own.get().checked_sub(bytes).ok_or(self.whose)?;
        let bundle = self.bundle.0.get().checked_sub(bytes).ok_or(NoRoom::Bundle)?;
        self.own.set(own);
        self.bundle.0.set(bundle);
        Ok(())
    }
}

/// Builds something in the smallest size class that it fits in, none above `largest`. Answers the class, too.
pub(crate) fn smallest<T>(
    largest: usize,
    build: impl Fn(usize) -> Result<T, regex::Error>,
) -> Result<(T, usize), regex::Error> {
    for class in CLASSES.into_iter().filter(|class| *class <= largest) {
        match build(class) {
            Err(regex::Error::CompiledTooBig(_)) => {}
            done => return done.map(|made| (made, class)),
        }
    }
    Err(regex::Error::CompiledTooBig(largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_small_patterns_fit_and_one_more_does_not() {
        let bundle = BundleRoom::default();
        let room = Room::of_policy(&bundle);
        for _ in 0..1_024 {
            room.take(4_096, true).unwrap();
        }
        assert_eq!(room.take(4_096, false), Err(NoRoom::Policy));
    }

    #[test]
    fn what_one_policy_or_tool_may_take_is_taken_from_the_bundle() {
        let bundle = BundleRoom::default();
        for _ in 0..4 {
            let room = Room::of_tool(&bundle);
            for _ in 0..4 {
                room.take(1_048_576, false).unwrap();
            }
            assert_eq!(room.take(4_096, false), Err(NoRoom::Tool));
        }
        assert_eq!(Room::of_tool(&bundle).take(4_096, false), Err(NoRoom::Bundle));
    }

    #[test]
    fn groups_of_all_but_the_smallest_patterns_take_room() {
        let bundle = BundleRoom::default();
        let room = Room::of_tool(&bundle);
        let fitting = std::iter::repeat_with(|| room.take(16_384, true)).take_while(Result::is_ok).count();
        assert_eq!(fitting, 7);
    }
}
