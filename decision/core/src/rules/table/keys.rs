//! Hash tables of what rules name: fast, and seeded anew for every table, so that nobody can choose keys that collide.
//!
//! There is no way to walk through one, so its seed changes what nothing answers: equal bundles judge equally.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};

use crate::rules::exact::Exact;

/// Values by key.
#[derive(Debug)]
pub(super) struct Keys<K, V>(HashMap<K, V, Seeded>);

impl<K, V> Default for Keys<K, V> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<K: Eq + Hash, V> Keys<K, V> {
    /// The value of a key, made where there is none yet.
    pub(super) fn of_key(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.0.entry(key).or_insert_with(make)
    }

    /// The value of a key, if it has one.
    #[inline]
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }
}

/// Values by number: of integers only 64 bits are hashed and compared.
#[derive(Debug)]
pub(super) struct NumberKeys<V> {
    integers: Keys<i64, V>,
    /// Numbers with a fraction, and integers beyond 64 bits.
    others: Keys<Exact, V>,
}

impl<V> Default for NumberKeys<V> {
    fn default() -> Self {
        Self { integers: Keys::default(), others: Keys::default() }
    }
}

impl<V> NumberKeys<V> {
    /// The value of a number, made where there is none yet.
    pub(super) fn of_key(&mut self, number: Exact, make: impl FnOnce() -> V) -> &mut V {
        match number.to_i64() {
            Some(integer) => self.integers.of_key(integer, make),
            None => self.others.of_key(number, make),
        }
    }

    /// The value of a number, if it has one.
    pub(super) fn get(&self, number: Exact) -> Option<&V> {
        match number.to_i64() {
            Some(integer) => self.integers.get(&integer),
            None => self.others.get(&number),
        }
    }
}

/// foldhash with seeds of the operating system's randomness. `foldhash` alone would take addresses for them.
#[derive(Debug)]
struct Seeded(SeedableRandomState);

impl Default for Seeded {
    fn default() -> Self {
        static SHARED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(random()));
        Self(SeedableRandomState::with_seed(random(), &SHARED))
    }
}

/// A number that the standard library took from the operating system's randomness.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

impl BuildHasher for Seeded {
    type Hasher = FoldHasher<'static>;

    #[inline]
    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("0")]
    #[test_case("-7")]
    #[test_case("0.5"; "a fraction")]
    #[test_case("9223372036854775807"; "the largest of 64 bits")]
    #[test_case("9223372036854775808"; "one more")]
    #[test_case("-9223372036854775808"; "the smallest of 64 bits")]
    #[test_case("-9223372036854775809"; "one less")]
    fn a_number_is_found_by_its_value(text: &str) {
        let number = Exact::parse(text).unwrap();
        let mut keys = NumberKeys::default();
        keys.of_key(number, || text);
        let other = number.checked_add(Exact::from(1)).unwrap();
        assert_eq!((keys.get(number), keys.get(other)), (Some(&text), None));
    }

    #[test]
    fn every_table_hashes_in_its_own_way() {
        let hash = || Seeded::default().hash_one("supplier-7");
        assert_ne!(hash(), hash());
    }
}
