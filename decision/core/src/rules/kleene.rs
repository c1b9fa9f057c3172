//! Kleene's three-valued logic: what is not known stays unknown until something else settles the question.

use crate::decision::Truth;

impl Truth {
    /// Both: one false settles it.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Indeterminate,
        }
    }

    /// One of both: one true settles it.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::True, _) | (_, Self::True) => Self::True,
            (Self::False, Self::False) => Self::False,
            _ => Self::Indeterminate,
        }
    }

    /// The opposite; what is not known stays unknown.
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Indeterminate => Self::Indeterminate,
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{False, Indeterminate, True};

    #[test]
    fn follows_kleenes_tables() {
        let all = [True, False, Indeterminate];
        let and = [[True, False, Indeterminate], [False, False, False], [Indeterminate, False, Indeterminate]];
        for (a, row) in all.iter().zip(and) {
            for (b, expected) in all.iter().zip(row) {
                assert_eq!(a.and(*b), expected, "{a:?} and {b:?}");
                assert_eq!(a.negate().or(b.negate()), expected.negate(), "De Morgan for {a:?}, {b:?}");
            }
        }
    }
}
