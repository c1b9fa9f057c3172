//! Looking for one rule: the first that is true, or any that is not false.

use super::answers::Answers;
use super::intern::CheckId;
use crate::decision::Truth;

/// What a rule must be to be found. It is the Kleene AND of its checks, so it is true when every check is, and not false
/// when no check is false: either way the question can be put to each check alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// True.
    True,
    /// True or indeterminate.
    NotFalse,
}

impl Wanted {
    /// Whether a check of that truth leaves its rule possible.
    pub(super) fn takes(self, truth: Truth) -> bool {
        match self {
            Self::True => truth == Truth::True,
            Self::NotFalse => truth != Truth::False,
        }
    }
}

/// A rule that hangs on one check, with the checks that remain.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Its place among all rules of the operation.
    pub(super) order: usize,
    /// What must be as wanted beside the check that led here.
    pub(super) rest: Box<[CheckId]>,
}

/// A search under way.
#[derive(Debug)]
pub(super) struct Search<'s, 'a> {
    pub(super) answers: &'s Answers<'a>,
    wanted: Wanted,
    first: Option<usize>,
    looked: usize,
}

impl<'s, 'a> Search<'s, 'a> {
    /// Nothing found yet.
    pub(super) fn new(answers: &'s Answers<'a>, wanted: Wanted) -> Self {
        Self { answers, wanted, first: None, looked: 0 }
    }

    /// The first rule found.
    pub(super) fn found(&self) -> Option<usize> {
        self.first
    }

    /// Counts a look at a rule, at a group of rules with bounds, or at a check that is asked: what a call costs by.
    pub(super) fn look(&mut self) {
        self.looked = self.looked.saturating_add(1);
    }

    /// Looks so far.
    #[cfg(test)]
    pub(super) fn looked(&self) -> usize {
        self.looked
    }

    /// Whether nothing that may still come changes the answer: of rules that are not false, one is enough.
    pub(super) fn settled(&self) -> bool {
        self.wanted == Wanted::NotFalse && self.first.is_some()
    }

    /// Whether a check of that truth leaves its rules possible.
    pub(super) fn takes(&self, truth: Truth) -> bool {
        self.wanted.takes(truth)
    }

    /// Looks at rules in their order, whose key is `truth` for the call. `places` are places in `candidates`, rising.
    pub(super) fn consider(&mut self, candidates: &[Candidate], places: &[usize], truth: Truth) {
        if !self.takes(truth) {
            return;
        }
        for candidate in places.iter().filter_map(|place| candidates.get(*place)) {
            if self.is_late(candidate.order) || self.consider_one(candidate.order, &candidate.rest) {
                return;
            }
        }
    }

    /// Looks at one rule; whether it is as wanted.
    pub(super) fn consider_one(&mut self, order: usize, rest: &[CheckId]) -> bool {
        self.look();
        let holds = !self.is_late(order) && rest.iter().all(|check| self.takes(self.answers.truth(*check)));
        if holds {
            self.first = Some(order);
        }
        holds
    }

    /// Whether an earlier rule was found already.
    pub(super) fn is_late(&self, order: usize) -> bool {
        self.first.is_some_and(|first| first <= order)
    }
}
