//! The pause before the next connection to the feed. It grows with every connection that is lost, and is short again after
//! one all of whose items were taken. A connection that merely opens, or brings something beside an item that cannot be
//! taken, does not count: it would bring the same again at once, and a bundle is up to 8 MiB.

use std::time::Duration;

/// First pause after a lost connection.
const FIRST: Duration = Duration::from_millis(200);
/// Longest pause after a lost connection.
const LONGEST: Duration = Duration::from_secs(10);

/// What was taken of what a connection brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Taken {
    /// It brought nothing.
    #[default]
    Nothing,
    /// Every item.
    All,
    /// Not every item.
    NotAll,
}

impl Taken {
    /// One more item came, and `is_taken` or not.
    pub fn item(&mut self, is_taken: bool) {
        *self = if is_taken && *self != Self::NotAll { Self::All } else { Self::NotAll };
    }
}

/// How long to wait, before it is jittered.
#[derive(Debug)]
pub struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Pause {
    /// A connection ended.
    pub fn ended(&mut self, taken: Taken) {
        if taken == Taken::All {
            self.0 = FIRST;
        }
    }

    /// The pause that begins now. The next one is twice as long, up to 10 seconds.
    pub fn begin(&mut self) -> Duration {
        let now = self.0;
        self.0 = now.saturating_mul(2).min(LONGEST);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(items: &[bool]) -> Taken {
        let mut taken = Taken::default();
        for is_taken in items {
            taken.item(*is_taken);
        }
        taken
    }

    #[test]
    fn one_item_that_is_not_taken_outweighs_all_others() {
        assert_eq!(after(&[]), Taken::Nothing);
        assert_eq!(after(&[true, true]), Taken::All);
        for items in [&[false][..], &[true, false], &[false, true], &[true, false, true]] {
            assert_eq!(after(items), Taken::NotAll, "{items:?}");
        }
    }

    #[test]
    fn the_pause_grows_until_a_connection_took_all_its_items() {
        let mut pause = Pause::default();
        let mut lost = |taken| {
            pause.ended(taken);
            pause.begin().as_millis()
        };
        let grown: Vec<_> = [Taken::Nothing, Taken::NotAll, Taken::NotAll].map(&mut lost).into();
        assert_eq!(grown, [200, 400, 800]);
        for _ in 0..4 {
            lost(Taken::NotAll);
        }
        assert_eq!(lost(Taken::Nothing), 10_000);
        assert_eq!(lost(Taken::All), 200);
        assert_eq!(lost(Taken::NotAll), 400, "what was taken before does not help");
    }
}
