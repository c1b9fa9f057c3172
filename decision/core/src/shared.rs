//! Values that are held once, however many hold them.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that its clones share: the bundles of all agents of a namespace hold the same operations. It is copied when one
/// of several holders changes it, and not before.
#[derive(Default, PartialEq, Eq)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// Whether the two are one value in memory, and not only equal.
    pub fn is_one_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<'a, T> IntoIterator for &'a Shared<Vec<T>> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<T: fmt::Display> fmt::Display for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        T::serialize(&self.0, serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_one_until_one_of_them_changes() {
        let first = Shared::from(vec![1, 2]);
        let mut second = first.clone();
        assert!(first.is_one_with(&second));
        second.push(3);
        assert!(!first.is_one_with(&second));
        assert_eq!((first.len(), second.len()), (2, 3));
        assert!(first != Shared::from(vec![2]) && first == Shared::from(vec![1, 2]));
    }

    #[test]
    fn it_is_written_and_read_as_what_it_holds() {
        let texts = Shared::from(vec!["a".to_owned()]);
        let written = serde_json::to_string(&texts).unwrap();
        assert_eq!(written, r#"["a"]"#);
        assert_eq!(serde_json::from_str::<Shared<Vec<String>>>(&written).unwrap(), texts);
        assert_eq!(format!("{texts:?}"), r#"["a"]"#);
    }
}
