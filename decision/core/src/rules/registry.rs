//! Registries: whether a value is a known key, and whether it is what the registry says about another one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::RegistryRead;
use super::equal::Comparable;
use super::exact::Exact;
use super::predicate::{CompiledCheck, Question};
use super::resolve::{Found, Resolved, Scope, Subject};
use crate::decision::Truth;
use crate::json::Value;
use crate::policy::Normalize;
use crate::registry::Registry;

/// A registry that a check names, found once.
#[derive(Debug)]
pub(super) struct RegistryName {
    name: String,
    /// Place in the bundle's registries; none when it does not exist.
    place: Option<usize>,
    /// Keys by their normal form, for a check that normalises.
    keys: BTreeMap<String, Vec<String>>,
}

impl RegistryName {
    /// Looks the registry up, and its keys' normal forms where they will be needed.
    pub(super) fn find(name: &str, registries: &[Registry], normalize: Normalize) -> Self {
        let place = registries.iter().position(|registry| registry.name == name);
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        if normalize != Normalize::None
            && let Some(registry) = place.and_then(|place| registries.get(place))
        {
            for key in registry.entries.keys() {
                keys.entry(normalize.apply(key).into_owned()).or_default().push(key.clone());
            }
        }
        Self { name: name.to_owned(), place, keys }
    }

    fn registry<'a>(&self, scope: &Scope<'a>) -> Option<&'a Registry> {
        let registry = scope.inputs.registries.get(self.place?);
        registry.filter(|registry| registry.name == self.name)
    }

    /// The registry's own spellings of a key.
    fn spellings<'k>(&'k self, key: &'k str, normalize: Normalize) -> Vec<&'k str> {
        if normalize == Normalize::None {
            return vec![key];
        }
        self.keys
            .get(normalize.apply(key).as_ref())
            .map(|keys| keys.iter().map(String::as_str).collect())
            .unwrap_or_default()
    }
}

/// The key that a value stands for: a string, or an integer's decimal text.
fn key(subject: Subject<'_>) -> Option<Cow<'_, str>> {
    match subject {
        Subject::Json(Value::Number(number)) => {
            Exact::of_number(number).filter(|number| number.is_integer()).map(|number| Cow::Owned(number.to_string()))
        }
        _ => subject.text().map(Cow::Borrowed),
    }
}

/// Whether the value is a key.
pub(super) fn contains(name: &RegistryName, subject: Subject<'_>, normalize: Normalize, scope: &Scope<'_>) -> Truth {
    let (Some(registry), Some(key)) = (name.registry(scope), key(subject)) else {
        return Truth::Indeterminate;
    };
    name.spellings(&key, normalize).into_iter().any(|key| registry.entries.contains_key(key)).into()
}

/// Whether the value equals the attribute of the entry that `at` names. Without such an entry, or without the attribute,
/// there is nothing to compare with. The key is looked up as it is; `normalize` is for the value.
pub(super) fn attribute_equals(
    name: &RegistryName,
    at: Found<'_>,
    attribute: &str,
    subject: Subject<'_>,
    normalize: Normalize,
    scope: &Scope<'_>,
) -> Truth {
    let known = name.registry(scope).and_then(|registry| {
        let key = at.there().and_then(key)?;
        registry.entries.get(key.as_ref())?.get(attribute).filter(|known| !known.is_empty())
    });
    let (Some(known), Some(value)) = (known, Comparable::of(subject, normalize)) else {
        return Truth::Indeterminate;
    };
    known.iter().map(|text| value.equals(&Comparable::Text(normalize.apply(text)))).fold(Truth::False, Truth::or)
}

/// Adds the entries that the check names for this call.
pub(super) fn reads<'a>(check: &'a CompiledCheck, scope: &'a Scope<'a>, reads: &mut Vec<RegistryRead>) {
    let (name, at) = match &check.question {
        Question::InRegistry(name) => (name, None),
        Question::RegistryField { registry, key, .. } => (registry, Some(key)),
        _ => return,
    };
    let registry = name.registry(scope);
    let mut read = |key: &str| {
        let entry = registry.and_then(|registry| registry.entries.get(key)).cloned();
        reads.push(RegistryRead { registry: name.name.clone(), key: key.to_owned(), entry });
    };
    let field = check.resolved(scope);
    // Indeterminate settles neither quantifier, so every element is visited.
    scope.each(field, &mut |found, places| {
        let named = match at {
            None => found,
            Some(path) => scope.beside(Resolved::of(path, scope.inputs.aliases), field, places),
        };
        if let Some(key) = named.there().and_then(key) {
            let normalize = if at.is_none() { check.normalize } else { Normalize::None };
            match name.spellings(&key, normalize).as_slice() {
                [] => read(&normalize.apply(&key)),
                spellings => spellings.iter().for_each(|key| read(key)),
            }
        }
        Truth::Indeterminate
    });
}
