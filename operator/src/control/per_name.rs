//! One thing for each name, such as a lock for each agent's uid: who waits for one holds up no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Map, PoisonError};

use tokio::sync::Mutex;

/// One lock for each: what an agent asks for is done one after another.
pub type Turns = PerName<Mutex<()>>;

/// The things, by name. Those that nobody holds are dropped when another is asked for.
#[derive(Debug)]
pub struct PerName<T>(Map<HashMap<String, Arc<T>>>);

impl<T> Default for PerName<T> {
    fn default() -> Self {
        Self(Map::default())
    }
}

impl<T> PerName<T> {
    /// The one of that name; a new one where nobody holds it.
    pub fn of_with(&self, name: &str, new: impl FnOnce() -> T) -> Arc<T> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|known, one| known == name || Arc::strong_count(one) > 1);
        Arc::clone(held.entry(name.to_owned()).or_insert_with(|| Arc::new(new())))
    }
}

impl<T: Default> PerName<T> {
    /// The one of that name; the default where nobody holds it.
    pub fn of(&self, name: &str) -> Arc<T> {
        self.of_with(name, T::default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_has_one_lock_while_it_is_held_and_delays_no_other() {
        let turns = Turns::default();
        let first = turns.of("a");
        let held = first.try_lock().unwrap();
        assert!(turns.of("a").try_lock().is_err(), "the same agent waits");
        assert!(turns.of("b").try_lock().is_ok(), "another does not");
        assert!(turns.of("a").try_lock().is_err(), "and still waits after others came and went");
        drop(held);
        assert!(turns.of("a").try_lock().is_ok());
    }

    #[test]
    fn what_is_held_stays_and_nothing_is_kept_of_what_is_not() {
        let numbers = PerName::default();
        let first = numbers.of_with("a", || 1);
        assert_eq!(*numbers.of_with("b", || 2), 2);
        assert_eq!(*numbers.of_with("a", || 3), 1, "somebody holds it");
        assert!(!numbers.0.lock().unwrap().contains_key("b"));
        drop(first);
        assert_eq!(*numbers.of_with("b", || 4), 4);
        assert!(!numbers.0.lock().unwrap().contains_key("a"));
    }
}
