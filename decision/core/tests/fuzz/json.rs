//! Strict JSON: what is accepted is one value, however it is written, read again, hashed or shown to serde.

use aegis_decision::digest::Digest;
use aegis_decision::json::{self, Value, emit, parse};

/// Panics where bytes are accepted and one of the ways to read them again gives another value.
pub fn check(bytes: &[u8]) {
    let value = match parse(bytes) {
        Ok(value) => value,
        Err(error) => {
            assert!(error.offset <= bytes.len(), "the error lies outside the document: {error}");
            assert!(json::read::<Value>(bytes).is_err(), "refused by one entrance, accepted by the other");
            return;
        }
    };
    assert_eq!(parse(&emit(&value)).as_ref(), Ok(&value), "written and read again");
    assert_eq!(json::read::<Value>(bytes).ok().as_ref(), Some(&value), "through serde");
    assert_eq!(serde_json::from_slice::<Value>(bytes).ok().as_ref(), Some(&value), "by serde_json's reader");

    let canonical = serde_json_canonicalizer::to_vec(&value).expect("a tree has a canonical form");
    let digest = Digest::of(&value);
    assert_eq!(digest, Digest::of_bytes(&canonical), "the digest is that of the canonical form");
    let sorted = parse(&canonical).expect("the canonical form is strict JSON");
    assert_eq!(Digest::of(&sorted), digest, "the order of keys does not change the digest");

    let theirs: serde_json::Value = serde_json::from_slice(bytes).expect("serde_json reads what is accepted");
    let theirs = serde_json_canonicalizer::to_vec(&theirs).expect("a value has a canonical form");
    assert_eq!(theirs, canonical, "serde_json reads another value");
}
