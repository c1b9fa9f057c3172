//! Values by key, such as a registry's entries: one hash lookup finds one, however many there are.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::HashTable;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::keys::Seeded;

/// Values by key: walked through and written like an ordered map, looked up like a hash table. It is made whole and does
/// not change, so clones share it: the bundles of all agents of a namespace hold one.
///
/// The table holds places of values, 10 to 20 bytes for each. A `HashMap` of the standard library would hold every key once
/// more; `hashbrown`, of which that map is made, has a table without keys.
pub struct ByKey<V>(Arc<Content<V>>);

struct Content<V> {
    /// Ordered by key, each key once.
    values: Vec<(String, V)>,
    /// Places in `values`, by the hash of the key.
    places: HashTable<usize>,
    seed: Seeded,
}

impl<V> ByKey<V> {
    /// Whether the two are one in memory, and not only equal.
    pub fn is_one_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The value of a key, if it has one.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.find(key).map(|(_, value)| value)
    }

    /// Whether the key has a value.
    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The key at a place in the order of keys.
    pub(crate) fn key_at(&self, place: usize) -> Option<&str> {
        self.0.values.get(place).map(|(key, _)| key.as_str())
    }

    /// Keys and values in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &V)> {
        self.0.values.iter().map(|(key, value)| (key, value))
    }

    /// Keys in their order.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.values.iter().map(|(key, _)| key)
    }

    /// Values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values.iter().map(|(_, value)| value)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.values.is_empty()
    }

    fn find(&self, key: &str) -> Option<&(String, V)> {
        let Content { values, places, seed } = &*self.0;
        let place = places.find(seed.hash_one(key), |place| self.key_at(*place) == Some(key));
        values.get(*place?)
    }
}

impl<V> From<BTreeMap<String, V>> for ByKey<V> {
    fn from(ordered: BTreeMap<String, V>) -> Self {
        let values: Vec<(String, V)> = ordered.into_iter().collect();
        let seed = Seeded::default();
        let hash = |place: &usize| values.get(*place).map_or(0, |(key, _)| seed.hash_one(key.as_str()));
        let mut places = HashTable::with_capacity(values.len());
        for place in 0..values.len() {
            places.insert_unique(hash(&place), place, hash);
        }
        Self(Arc::new(Content { values, places, seed }))
    }
}

/// Of several values of one key the last counts.
impl<V> FromIterator<(String, V)> for ByKey<V> {
    fn from_iter<I: IntoIterator<Item = (String, V)>>(values: I) -> Self {
        Self::from(values.into_iter().collect::<BTreeMap<_, _>>())
    }
}

impl<V> Clone for ByKey<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V> Default for ByKey<V> {
    fn default() -> Self {
        Self::from(BTreeMap::<String, V>::new())
    }
}

impl<V: PartialEq> PartialEq for ByKey<V> {
    fn eq(&self, other: &Self) -> bool {
        self.is_one_with(other) || self.0.values == other.0.values
    }
}

impl<V: Eq> Eq for ByKey<V> {}

impl<V: fmt::Debug> fmt::Debug for ByKey<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V: Serialize> Serialize for ByKey<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for ByKey<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<String, V>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_ordered_map_that_it_was_made_of(
            map in btree_map("[a-c]{0,3}", 0..9_u8, 0..40),
            keys in vec("[a-d]{0,3}", 20),
        ) {
            let by_key = ByKey::from(map.clone());
            for key in keys.iter().chain(map.keys()) {
                prop_assert_eq!(by_key.get(key), map.get(key), "{}", key);
                prop_assert_eq!(by_key.contains_key(key), map.contains_key(key), "{}", key);
            }
            prop_assert!(by_key.iter().eq(map.iter()));
            prop_assert!(by_key.keys().eq(map.keys()) && by_key.values().eq(map.values()));
            prop_assert_eq!(by_key.is_empty(), map.is_empty());
            prop_assert_eq!(format!("{by_key:?}"), format!("{map:?}"));
            let written = serde_json::to_string(&by_key).unwrap();
            prop_assert_eq!(&written, &serde_json::to_string(&map).unwrap());
            prop_assert_eq!(serde_json::from_str::<ByKey<u8>>(&written).unwrap(), by_key);
        }
    }

    #[test]
    fn clones_are_one_and_equal_ones_are_not() {
        let made = || ByKey::from(BTreeMap::from([("a".to_owned(), 1_u8)]));
        let first = made();
        assert!(first.is_one_with(&first.clone()));
        assert!(!first.is_one_with(&made()) && first == made());
    }

    #[test]
    fn of_several_values_of_one_key_the_last_counts() {
        let read: ByKey<u8> = serde_json::from_str(r#"{"b":1,"a":2,"b":3}"#).unwrap();
        let collected: ByKey<u8> =
            [("b", 1), ("a", 2), ("b", 3)].map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        assert_eq!((read.get("b"), read.keys().count()), (Some(&3), 2));
        assert_eq!(read, collected);
    }
}
