//! One lock per name, such as an agent's uid: what an agent asks for is done one after another, and no agent waits for
//! another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Map, PoisonError};

use tokio::sync::Mutex;

/// The locks, by name. Those that nobody holds are dropped when another is asked for.
#[derive(Debug, Default)]
pub struct Turns(Map<HashMap<String, Arc<Mutex<()>>>>);

impl Turns {
    /// The lock of that name.
    pub fn of(&self, name: &str) -> Arc<Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|known, lock| known == name || Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(name.to_owned()).or_default())
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
}
