//! Registries: whether a value is a known key, and whether it is what the registry says about another one.

use std::borrow::Cow;
use std::sync::Arc;

use super::RegistryRead;
use super::equal::Comparable;
use super::exact::Exact;
use super::host_in::HostSet;
use super::lookups::Lookups;
use super::predicate::{CompiledCheck, Question};
use super::resolve::{Found, Resolved, Scope, Subject};
use super::spellings::Spellings;
use crate::decision::Truth;
use crate::json::Value;
use crate::policy::Normalize;
use crate::registry::{DOMAINS, Registry};

/// A registry that a check names, found once.
#[derive(Debug)]
pub(super) struct RegistryName {
    name: String,
    /// Place in the bundle's registries; none when it does not exist.
    place: Option<usize>,
    /// Its keys by their normal form, for a check that normalises; none when it does not exist.
    spellings: Option<Arc<Spellings>>,
}

impl RegistryName {
    /// Looks the registry up, and its keys' normal forms where they will be needed.
    pub(super) fn find(name: &str, lookups: &Lookups<'_>, normalize: Normalize) -> Self {
        let place = lookups.place(name);
        let spellings = place.and_then(|place| lookups.spellings(place, normalize));
        Self { name: name.to_owned(), place, spellings }
    }

    /// The registry's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The registry of the call's bundle, if it is the one that was found.
    pub(super) fn registry<'a>(&self, scope: &Scope<'a>) -> Option<&'a Registry> {
        let registry = scope.inputs.registries.get(self.place?);
        registry.filter(|registry| registry.name == self.name)
    }

    /// What the registry says under a key.
    fn read(&self, key: &str, scope: &Scope<'_>) -> RegistryRead {
        let registry = self.registry(scope);
        RegistryRead {
            registry: self.name.clone(),
            key: key.to_owned(),
            entry: registry.and_then(|registry| registry.entries.get(key)).cloned(),
            documents: registry.and_then(|registry| registry.documents.get(key)).cloned().unwrap_or_default(),
        }
    }

    /// Tells the registry's own spellings of a key in normal form; the key itself, where it has none or where nothing is
    /// normalised.
    fn each_spelling(&self, normal: &str, scope: &Scope<'_>, tell: &mut dyn FnMut(&str)) {
        let known = self.spellings.as_ref().zip(self.registry(scope)).and_then(|(spellings, registry)| {
            let form = spellings.find(normal, &registry.entries)?;
            Some(form.keys(&registry.entries))
        });
        match known {
            Some(keys) => keys.for_each(tell),
            None => tell(normal),
        }
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
    match &name.spellings {
        None => registry.entries.contains_key(&key).into(),
        Some(spellings) => spellings.find(&normalize.apply(&key), &registry.entries).is_some().into(),
    }
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
        registry.entries.get(&key)?.get(attribute).filter(|known| !known.is_empty())
    });
    let (Some(known), Some(value)) = (known, Comparable::of(subject, normalize)) else {
        return Truth::Indeterminate;
    };
    known.iter().map(|text| value.equals(&Comparable::Text(normalize.apply(text)))).fold(Truth::False, Truth::or)
}

/// Whether the entry has a document of that name that is valid when the call is judged. `at` leads to the key; none: the
/// subject is the key. Without such an entry there is nothing to tell.
pub(super) fn has_document(
    name: &RegistryName,
    at: Option<Found<'_>>,
    document: &str,
    subject: Subject<'_>,
    scope: &Scope<'_>,
) -> Truth {
    let named = match at {
        // As for all predicates, null is of the wrong type, also where only the key is looked at.
        Some(_) if matches!(subject, Subject::Json(Value::Null)) => None,
        Some(found) => found.there(),
        None => Some(subject),
    };
    let known = name.registry(scope).and_then(|registry| {
        let key = named.and_then(key)?;
        registry.entries.contains_key(&key).then(|| registry.documents.get(&key))
    });
    let Some(documents) = known else {
        return Truth::Indeterminate;
    };
    let now = scope.inputs.call.time;
    documents.into_iter().flatten().any(|one| one.name == document && one.is_valid_at(now)).into()
}

/// Adds the entries that the check names for this call.
pub(super) fn reads<'a>(check: &'a CompiledCheck, scope: &'a Scope<'a>, reads: &mut Vec<RegistryRead>) {
    let (name, at) = match &check.question {
        Question::InRegistry(name) | Question::Document { registry: name, key: None, .. } => (name, None),
        Question::RegistryField { registry, key, .. } | Question::Document { registry, key: Some(key), .. } => {
            (registry, Some(key))
        }
        Question::HostIn(hosts) => return host_reads(check, hosts, scope, reads),
        _ => return,
    };
    // Only `inRegistry` looks for other spellings of a key.
    let normalize = match &check.question {
        Question::InRegistry(_) => check.normalize,
        _ => Normalize::None,
    };
    let mut read = |key: &str| reads.push(name.read(key, scope));
    let field = check.resolved(scope);
    // Indeterminate settles neither quantifier, so every element is visited.
    scope.each(field, &mut |found, places| {
        let named = match at {
            None => found,
            Some(path) => scope.beside(Resolved::of(path, scope.names()), field, places),
        };
        if let Some(key) = named.there().and_then(key) {
            name.each_spelling(&normalize.apply(&key), scope, &mut read);
        }
        Truth::Indeterminate
    });
}

/// The entries that name each host, and a host that none names: an entry that is to name it later changes the answer.
fn host_reads<'a>(check: &'a CompiledCheck, hosts: &'a HostSet, scope: &'a Scope<'a>, reads: &mut Vec<RegistryRead>) {
    scope.each(check.resolved(scope), &mut |found, _| {
        let named = found.there().and_then(|subject| hosts.named(subject, check.normalize, scope));
        if let Some((name, host, keys)) = named {
            if keys.is_empty() {
                let registry = format!("{}#{DOMAINS}", name.name);
                reads.push(RegistryRead { registry, key: host.text(), entry: None, documents: Vec::new() });
            }
            reads.extend(keys.into_iter().map(|key| name.read(key, scope)));
        }
        Truth::Indeterminate
    });
}
