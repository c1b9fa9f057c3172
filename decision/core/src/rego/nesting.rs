//! How deep a module nests at some place of its text, and what reading it may cost by that.

/// Brackets in brackets.
const MAX_BRACKETS: usize = 32;
/// Operators in a row, `.` and brackets among them.
const MAX_ROW: usize = 128;
/// Characters, each by its weight.
const MAX_WEIGHT: u64 = 1_000_000;
/// Of the indices of one expression, the product of one more than the names in each.
const MAX_INDICES: u64 = 256;

/// A place.
#[derive(Debug)]
pub(super) struct Nesting {
    here: Level,
    /// What the brackets around it interrupt: it goes on behind them.
    around: Vec<Level>,
    weight: u64,
}

/// What stands in one bracket so far.
#[derive(Debug)]
struct Level {
    is_index: bool,
    /// Operators of the expression.
    row: usize,
    indices: u64,
    /// In the whole bracket.
    names: u64,
}

impl Level {
    fn new(is_index: bool) -> Self {
        Self { is_index, row: 0, indices: 1, names: 0 }
    }
}

impl Nesting {
    pub(super) fn new() -> Self {
        Self { here: Level::new(false), around: Vec::new(), weight: 0 }
    }

    pub(super) fn is_in_brackets(&self) -> bool {
        !self.around.is_empty()
    }

    /// A character that is no white space.
    pub(super) fn character(&mut self) {
        let levels = u32::try_from(self.around.len()).unwrap_or(u32::MAX);
        self.weight = self.weight.saturating_add(4_u64.saturating_pow(levels));
    }

    pub(super) fn name(&mut self) {
        self.here.names = self.here.names.saturating_add(1);
    }

    pub(super) fn operator(&mut self) {
        self.here.row = self.here.row.saturating_add(1);
    }

    pub(super) fn expression_ends(&mut self) {
        (self.here.row, self.here.indices) = (0, 1);
    }

    pub(super) fn open(&mut self, is_index: bool) {
        self.operator();
        self.around.push(std::mem::replace(&mut self.here, Level::new(is_index)));
    }

    pub(super) fn close(&mut self) {
        let Some(around) = self.around.pop() else { return };
        let Level { is_index, indices, names, .. } = std::mem::replace(&mut self.here, around);
        if is_index {
            let inside = indices.saturating_mul(names.saturating_add(1));
            self.here.indices = self.here.indices.saturating_mul(inside);
        }
        self.here.names = self.here.names.saturating_add(names);
    }

    /// What there is too much of.
    pub(super) fn excess(&self) -> Option<&'static str> {
        [
            (self.around.len() > MAX_BRACKETS, "more than 32 brackets in brackets"),
            (self.here.row > MAX_ROW, "more than 128 operators in a row"),
            (self.here.indices > MAX_INDICES, "too many indices with names in one expression"),
            (self.weight > MAX_WEIGHT, "too much text in too many brackets"),
        ]
        .into_iter()
        .find_map(|(is_over, what)| is_over.then_some(what))
    }
}
