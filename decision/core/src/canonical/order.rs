//! The order of keys (RFC 8785, 3.2.3): by their UTF-16 code units.

use std::cmp::Ordering;

/// The first eight bytes of a key, with zeros behind a shorter one, as one number: most keys differ in them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Head(u64);

impl Head {
    pub(super) fn of(key: &str) -> Self {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(key.bytes()) {
            *to = from;
        }
        Self(u64::from_be_bytes(bytes))
    }

    /// The order of two keys, where these are ASCII and differ. Where they are equal the keys need not be.
    pub(super) fn order(self, other: Self) -> Option<Ordering> {
        let is_ascii = (self.0 | other.0) & 0x8080_8080_8080_8080 == 0;
        (is_ascii && self != other).then(|| self.0.cmp(&other.0))
    }
}

/// A key, to be put in order.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    text: &'a str,
    head: Head,
}

impl<'a> Key<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, head: Head::of(text) }
    }

    pub(crate) fn as_str(self) -> &'a str {
        self.text
    }

    pub(crate) fn order(self, other: Self) -> Ordering {
        self.head.order(other.head).unwrap_or_else(|| by_units(self.text, other.text))
    }
}

/// Bytes of ASCII have the same order.
pub(super) fn by_units(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}
