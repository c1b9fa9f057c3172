//! One thing per agent, such as a lock or a bound: an agent that waits for its own holds up no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Map, PoisonError};

use tokio::sync::Mutex;

/// One lock per agent: what an agent asks for is done one after another.
pub type Turns = PerAgent<Mutex<()>>;

/// The things, by agent uid. Those that nobody holds are dropped when another is asked for.
#[derive(Debug)]
pub struct PerAgent<T>(Map<HashMap<String, Arc<T>>>);

impl<T> Default for PerAgent<T> {
    fn default() -> Self {
        Self(Map::default())
    }
}

impl<T> PerAgent<T> {
    /// The agent's own; a new one where nobody holds it.
    pub fn of_with(&self, agent_uid: &str, new: impl FnOnce() -> T) -> Arc<T> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|uid, one| uid == agent_uid || Arc::strong_count(one) > 1);
        Arc::clone(held.entry(agent_uid.to_owned()).or_insert_with(|| Arc::new(new())))
    }
}

impl<T: Default> PerAgent<T> {
    /// The agent's own; the default where nobody holds it.
    pub fn of(&self, agent_uid: &str) -> Arc<T> {
        self.of_with(agent_uid, T::default)
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
        let numbers = PerAgent::default();
        let first = numbers.of_with("a", || 1);
        assert_eq!(*numbers.of_with("b", || 2), 2);
        assert_eq!(*numbers.of_with("a", || 3), 1, "somebody holds it");
        assert!(!numbers.0.lock().unwrap().contains_key("b"));
        drop(first);
        assert_eq!(*numbers.of_with("b", || 4), 4);
        assert!(!numbers.0.lock().unwrap().contains_key("a"));
    }
}
