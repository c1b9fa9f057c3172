//! How much is remembered of the epochs of sidecars: no agent pushes out what others told.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Most epochs of one agent: one sidecar cannot push out those of others by inventing epochs.
pub(crate) const MAX_PER_AGENT: usize = 256;

/// Makes room for another epoch of an agent: its own oldest goes where it has its most, else the oldest of all where there
/// are `most`.
pub(crate) fn make_room<K: Ord + Clone, V>(
    epochs: &mut BTreeMap<K, V>,
    most: usize,
    is_own: impl Fn(&K) -> bool,
    at: impl Fn(&V) -> Timestamp,
) {
    let own = epochs.iter().filter(|(key, _)| is_own(key));
    let oldest = if own.clone().count() >= MAX_PER_AGENT {
        own.min_by_key(|(_, epoch)| at(epoch)).map(|(key, _)| key.clone())
    } else if epochs.len() >= most {
        epochs.iter().min_by_key(|(_, epoch)| at(epoch)).map(|(key, _)| key.clone())
    } else {
        None
    };
    if let Some(key) = oldest {
        epochs.remove(&key);
    }
}
