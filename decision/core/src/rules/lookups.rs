//! What the checks of one bundle look registries up in: made when the first check needs it, shared by all.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::host_in::Domains;
use super::host_name::HostMap;
use super::spellings::Spellings;
use crate::policy::Normalize;
use crate::registry::Registry;

/// The registries of a bundle while its policies are compiled, with what was made of them so far.
#[derive(Debug)]
pub(crate) struct Lookups<'s> {
    registries: &'s [Registry],
    /// Places by name.
    places: BTreeMap<&'s str, usize>,
    spellings: RefCell<BTreeMap<(usize, Normalize), Arc<Spellings>>>,
    domains: RefCell<BTreeMap<usize, Domains>>,
}

impl<'s> Lookups<'s> {
    /// Nothing is made yet.
    pub(crate) fn new(registries: &'s [Registry]) -> Self {
        let mut places = BTreeMap::new();
        for (place, registry) in registries.iter().enumerate() {
            places.entry(registry.name.as_str()).or_insert(place);
        }
        Self { registries, places, spellings: RefCell::default(), domains: RefCell::default() }
    }

    /// Place of a registry in the bundle; none when it does not exist.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// The keys of the registry at that place by their normal form; none where nothing is normalised.
    pub(super) fn spellings(&self, place: usize, normalize: Normalize) -> Option<Arc<Spellings>> {
        let registry = self.registries.get(place).filter(|_| normalize != Normalize::None)?;
        let mut known = self.spellings.borrow_mut();
        let made =
            known.entry((place, normalize)).or_insert_with(|| Arc::new(Spellings::of(&registry.entries, normalize)));
        Some(Arc::clone(made))
    }

    /// The hosts of the entries of a registry; none of one that does not exist.
    pub(super) fn domains(&self, name: &str) -> Domains {
        let Some((place, registry)) = self.place(name).and_then(|place| Some((place, self.registries.get(place)?)))
        else {
            return Domains::default();
        };
        let mut known = self.domains.borrow_mut();
        Arc::clone(known.entry(place).or_insert_with(|| Arc::new(HostMap::of_registry(registry))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_checks_look_up_is_made_once() {
        let registry = |name: &str| serde_json::json!({"name": name, "key": "id", "entries": {"A": {}, "b": {}}});
        let registries: Vec<Registry> =
            serde_json::from_value(serde_json::json!([registry("a"), registry("b")])).unwrap();
        let lookups = Lookups::new(&registries);
        let spellings = |name: &str, normalize| lookups.spellings(lookups.place(name).unwrap(), normalize);
        let [one, same, other] = [("a", Normalize::Case), ("a", Normalize::Case), ("a", Normalize::Spaces)]
            .map(|(name, normalize)| spellings(name, normalize).unwrap());
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        assert!(spellings("a", Normalize::None).is_none());
        assert!(Arc::ptr_eq(&lookups.domains("b"), &lookups.domains("b")));
        assert!(!Arc::ptr_eq(&lookups.domains("a"), &lookups.domains("b")));
        assert_eq!((lookups.place("b"), lookups.place("c")), (Some(1), None));
    }
}
