//! How many calls of each tool are under way at once, over all workers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aegis_decision::tool::Tool;

/// Calls under way by tool. Holds only names of declared tools, so it is as small as they are few.
#[derive(Debug, Default)]
pub struct Slots {
    taken: Arc<Mutex<HashMap<String, u16>>>,
}

/// One call under way; ends when dropped.
#[derive(Debug)]
pub struct Slot {
    taken: Arc<Mutex<HashMap<String, u16>>>,
    tool: String,
}

impl Slots {
    /// Takes a slot of the tool; none when its `limits.concurrency` is reached.
    pub fn take(&self, tool: &Tool) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(tool.name.clone()).or_default();
        if *count >= tool.limits.concurrency {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Slot { taken: Arc::clone(&self.taken), tool: tool.name.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.tool) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.tool);
            }
        }
    }
}
