//! Hash tables of what rules and registries name: fast, and seeded anew for every table, so that nobody can choose keys
//! that collide.
//!
//! There is no way to walk through one, so its seed changes what nothing answers: equal bundles judge equally.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};

/// Values by key.
#[derive(Debug)]
pub(crate) struct Keys<K, V>(HashMap<K, V, Seeded>);

impl<K, V> Default for Keys<K, V> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<K: Eq + Hash, V> Keys<K, V> {
    /// The value of a key, made where there is none yet.
    pub(crate) fn of_key(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.0.entry(key).or_insert_with(make)
    }

    /// The value of a key, if it has one.
    #[inline]
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }
}

/// foldhash with seeds of the operating system's randomness. `foldhash` alone would take addresses for them.
#[derive(Debug, Clone)]
pub(crate) struct Seeded(SeedableRandomState);

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
    use super::*;

    #[test]
    fn every_table_hashes_in_its_own_way() {
        let hash = || Seeded::default().hash_one("supplier-7");
        assert_ne!(hash(), hash());
    }
}
