//! Checks that ask the same of the same field are one check, whatever rules and policies they stand in.

use super::access::Access;
use super::slots::{Slot, SlotId};
use super::texts::SetRoom;
use crate::keys::Keys;
use crate::path::Path;
use crate::policy::{Check, Normalize};
use crate::rules::CompiledPolicy;
use crate::rules::predicate::CompiledCheck;
use crate::rules::resolve::{Names, Resolved};

/// Number of a distinct check.
pub(super) type CheckId = usize;

/// Where a check stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Place of its policy.
    pub(super) policy: usize,
    /// Place of its rule in the policy.
    pub(super) rule: usize,
    /// Its place in the rule.
    pub(super) check: usize,
}

impl Place {
    /// The check that stands there.
    pub(super) fn find<'p>(&self, policies: &'p [CompiledPolicy]) -> Option<&'p CompiledCheck> {
        policies.get(self.policy)?.rules.get(self.rule)?.get(self.check)
    }
}

/// A distinct check while the table is made.
#[derive(Debug)]
pub(super) struct Known<'p> {
    pub(super) place: Place,
    /// How its value leads to it.
    pub(super) access: Access<'p>,
    /// Rules that have it.
    pub(super) uses: usize,
}

/// Numbers checks and slots of one operation.
#[derive(Debug)]
pub(super) struct Interner<'p> {
    names: Names<'p>,
    ids: Keys<String, CheckId>,
    slot_ids: Keys<String, SlotId>,
    pub(super) checks: Vec<Known<'p>>,
    pub(super) slots: Vec<Slot>,
    /// What is left for sets of patterns.
    pub(super) sets: &'p SetRoom,
}

impl<'p> Interner<'p> {
    /// With the operation's aliases and dimensions: two spellings of one path are one path.
    pub(super) fn new(names: Names<'p>, sets: &'p SetRoom) -> Self {
        Self { names, ids: Keys::default(), slot_ids: Keys::default(), checks: Vec::new(), slots: Vec::new(), sets }
    }

    /// The check's number, the same for checks that ask the same.
    pub(super) fn intern(&mut self, place: Place, written: &Check, compiled: &'p CompiledCheck) -> CheckId {
        let path = self.resolved(&written.field);
        // `Debug` of these types writes every member, texts in quotes: equal texts mean equal checks.
        let key = format!("{:?}", (&path, written.normalize, written.not, &written.predicate));
        let next = self.checks.len();
        let id = *self.ids.of_key(key, || next);
        if id != next {
            return id;
        }
        let access = Access::of(compiled, path, self);
        self.checks.push(Known { place, access, uses: 0 });
        id
    }

    /// Counts a rule that has the check.
    pub(super) fn used(&mut self, check: CheckId) {
        if let Some(known) = self.checks.get_mut(check) {
            known.uses = known.uses.saturating_add(1);
        }
    }

    /// The slot of a path without quantifiers and without alias.
    pub(super) fn slot(&mut self, path: Path, normalize: Normalize) -> SlotId {
        let next = self.slots.len();
        let id = *self.slot_ids.of_key(format!("{:?}", (&path, normalize)), || next);
        if id == next {
            self.slots.push(Slot { path, normalize });
        }
        id
    }

    /// The path with its alias, if its first key is one, replaced.
    pub(super) fn resolved(&self, path: &Path) -> Path {
        Resolved::of(path, self.names).whole()
    }

    /// How a check's value leads to it.
    pub(super) fn access(&self, check: CheckId) -> &Access<'p> {
        self.checks.get(check).map_or(&Access::Asked, |known| &known.access)
    }
}
