//! What one call answers: its slots, and the truth of the checks that several rules share, each found when first needed.

use std::cell::{Cell, OnceCell};

use super::Table;
use super::index::Index;
use super::intern::CheckId;
use super::search::{Search, Wanted};
use super::slots::{SlotId, SlotValue};
use crate::decision::Truth;
use crate::rules::CompiledPolicy;
use crate::rules::resolve::Scope;

/// The answers of one call to one table. Two allocations, however many rules there are.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    table: &'a Table,
    policies: &'a [CompiledPolicy],
    scope: &'a Scope<'a>,
    truths: Vec<Cell<Option<Truth>>>,
    values: Vec<OnceCell<SlotValue<'a>>>,
}

impl<'a> Answers<'a> {
    /// Nothing is asked yet.
    pub(super) fn new(table: &'a Table, policies: &'a [CompiledPolicy], scope: &'a Scope<'a>) -> Self {
        Self {
            table,
            policies,
            scope,
            truths: vec![Cell::new(None); table.remembered],
            values: table.slots.iter().map(|_| OnceCell::new()).collect(),
        }
    }

    /// Place of the first rule of the index that is as wanted.
    pub(super) fn search(&self, index: &Index, wanted: Wanted) -> Option<usize> {
        let mut search = Search::new(self, wanted);
        index.search(&mut search);
        search.found()
    }

    /// The truth of a check. One whose policy is gone cannot be told.
    pub(super) fn truth(&self, check: CheckId) -> Truth {
        let Some(interned) = self.table.checks.get(check) else { return Truth::Indeterminate };
        let kept = interned.memory.and_then(|memory| self.truths.get(memory));
        if let Some(truth) = kept.and_then(Cell::get) {
            return truth;
        }
        let truth =
            interned.place.find(self.policies).map_or(Truth::Indeterminate, |compiled| compiled.ask(self.scope));
        if let Some(kept) = kept {
            kept.set(Some(truth));
        }
        truth
    }

    /// The value in a slot; none for a slot that the table does not have.
    pub(super) fn value(&self, slot: SlotId) -> Option<&SlotValue<'a>> {
        let known = self.table.slots.get(slot)?;
        Some(self.values.get(slot)?.get_or_init(|| known.read(self.scope)))
    }
}
