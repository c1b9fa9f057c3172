//! The keys of a registry by their normal form, for the checks that normalise.

use std::hash::BuildHasher as _;
use std::iter;

use hashbrown::HashTable;

use crate::keys::Seeded;
use crate::policy::Normalize;
use crate::registry::{ByKey, Entry};

/// The keys of a registry by their normal form. Holds places of keys, and texts only of keys that are not in normal form
/// already.
#[derive(Debug)]
pub(super) struct Spellings {
    forms: HashTable<Form>,
    seed: Seeded,
}

/// A normal form and the keys that have it.
#[derive(Debug)]
pub(super) struct Form {
    /// None where it is the first key.
    text: Option<Box<str>>,
    /// Places of its keys in the registry, rising.
    first: usize,
    others: Vec<usize>,
}

impl Spellings {
    /// Of a registry's entries.
    pub(super) fn of(entries: &ByKey<Entry>, normalize: Normalize) -> Self {
        let seed = Seeded::default();
        let mut forms: HashTable<Form> = HashTable::new();
        for (place, key) in entries.keys().enumerate() {
            let normal = normalize.apply(key);
            let text: &str = &normal;
            let hash = seed.hash_one(text);
            if let Some(form) = forms.find_mut(hash, |form| form.text(entries) == Some(text)) {
                form.others.push(place);
                continue;
            }
            let form = Form { text: (text != key).then(|| text.into()), first: place, others: Vec::new() };
            forms.insert_unique(hash, form, |form| seed.hash_one(form.text(entries).unwrap_or_default()));
        }
        Self { forms, seed }
    }

    /// The normal form with its keys, if some key has it. `entries` are those that the table was made of.
    pub(super) fn find(&self, normal: &str, entries: &ByKey<Entry>) -> Option<&Form> {
        self.forms.find(self.seed.hash_one(normal), |form| form.text(entries) == Some(normal))
    }
}

impl Form {
    fn text<'k>(&'k self, entries: &'k ByKey<Entry>) -> Option<&'k str> {
        self.text.as_deref().or_else(|| entries.key_at(self.first))
    }

    /// The registry's own spellings, in the order of keys.
    pub(super) fn keys<'k>(&'k self, entries: &'k ByKey<Entry>) -> impl Iterator<Item = &'k str> {
        iter::once(&self.first).chain(&self.others).filter_map(move |place| entries.key_at(*place))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_look_at_every_key_finds(
            keys in btree_set("[aAB ]{0,4}", 0..40),
            asked in vec("[aAB ]{0,4}", 20),
            normalize in select(vec![Normalize::Trim, Normalize::Case, Normalize::Spaces]),
        ) {
            let entries: ByKey<Entry> = keys.iter().map(|key| (key.clone(), Entry::new())).collect();
            let spellings = Spellings::of(&entries, normalize);
            for text in asked.iter().chain(&keys) {
                let normal = normalize.apply(text);
                let found: Vec<&str> =
                    spellings.find(&normal, &entries).map(|form| form.keys(&entries).collect()).unwrap_or_default();
                let plain: Vec<&String> = keys.iter().filter(|key| normalize.apply(key) == normal).collect();
                prop_assert_eq!(found, plain, "{}", text);
            }
        }
    }
}
