//! The public JSON test suite: every `n_` is refused, every `y_` accepted or on the list below with its reason, every
//! `i_` pinned.

// Helpers of tests may panic as tests do; the lints' own exceptions cover test functions only.
#![allow(
    clippy::expect_used,
    clippy::float_cmp,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::result_large_err,
    clippy::unwrap_in_result,
    clippy::unwrap_used
)]

use std::collections::{BTreeMap, BTreeSet};

use aegis_decision::json::{emit, parse};
use serde_json::Value;

const VECTORS: &str = include_str!("json/suite/vectors.jsonl");

/// What must be accepted and ours refuses, with the reason.
const REFUSED_ON_PURPOSE: [(&str, &str); 2] =
    [("y_object_duplicated_key.json", TWO_READERS), ("y_object_duplicated_key_and_value.json", TWO_READERS)];
const TWO_READERS: &str = "two readers may take different members";

/// What is left to the implementation and ours accepts, with the reason. All others are refused.
const ACCEPTED_FREELY: [(&str, &str); 11] = [
    ("i_number_too_big_pos_int.json", "1e20 has one significant digit, so every reader sees the same value"),
    ("i_string_UTF-8_invalid_sequence.json", NOW_UTF8),
    ("i_string_UTF8_surrogate_U+D800.json", NOW_UTF8),
    ("i_string_invalid_utf-8.json", NOW_UTF8),
    ("i_string_iso_latin_1.json", NOW_UTF8),
    ("i_string_lone_utf8_continuation_byte.json", NOW_UTF8),
    ("i_string_not_in_unicode_range.json", NOW_UTF8),
    ("i_string_overlong_sequence_2_bytes.json", NOW_UTF8),
    ("i_string_overlong_sequence_6_bytes.json", NOW_UTF8),
    ("i_string_overlong_sequence_6_bytes_null.json", NOW_UTF8),
    ("i_string_truncated-utf-8.json", NOW_UTF8),
];
const NOW_UTF8: &str =
    "the package holds U+FFFD, which is valid; with bytes that are not UTF-8 it is refused, see below";

fn vectors() -> BTreeMap<String, String> {
    let read = |line: &str| {
        let vector: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| vector[key].as_str().unwrap_or_default().to_owned();
        let times = usize::try_from(vector["times"].as_u64().unwrap_or(1)).unwrap();
        let unit = if vector["input"].is_string() { text("input") } else { text("unit") };
        (text("name"), format!("{}{}", unit.repeat(times), text("rest")))
    };
    VECTORS.lines().map(read).collect()
}

fn refused(vectors: &BTreeMap<String, String>, prefix: &str) -> BTreeSet<String> {
    let of_kind = vectors.iter().filter(|(name, _)| name.starts_with(prefix));
    of_kind.filter(|(_, input)| parse(input.as_bytes()).is_err()).map(|(name, _)| name.clone()).collect()
}

fn all(vectors: &BTreeMap<String, String>, prefix: &str) -> BTreeSet<String> {
    vectors.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
}

#[test]
fn the_suite_is_whole() {
    let vectors = vectors();
    let count = |prefix| all(&vectors, prefix).len();
    assert_eq!((vectors.len(), count("y_"), count("n_"), count("i_")), (318, 95, 188, 35));
    assert_eq!(vectors["n_structure_100000_opening_arrays.json"].len(), 100_000);
    assert_eq!(vectors["n_structure_open_array_object.json"].len(), 250_001);
}

#[test]
fn every_n_is_refused() {
    let vectors = vectors();
    assert_eq!(refused(&vectors, "n_"), all(&vectors, "n_"));
}

#[test]
fn every_y_is_accepted_or_refused_on_purpose() {
    let on_purpose: BTreeSet<_> = REFUSED_ON_PURPOSE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(refused(&vectors(), "y_"), on_purpose);
}

#[test]
fn every_i_is_refused_but_the_listed() {
    let vectors = vectors();
    let accepted: BTreeSet<_> = ACCEPTED_FREELY.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(&all(&vectors, "i_") - &refused(&vectors, "i_"), accepted);
}

#[test]
fn what_is_accepted_is_written_and_read_again() {
    for (name, input) in vectors() {
        if let Ok(value) = parse(input.as_bytes()) {
            assert_eq!(parse(&emit(&value)), Ok(value), "{name}");
        }
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    let lost: Vec<_> = vectors().into_iter().filter(|(_, input)| input.contains('\u{FFFD}')).collect();
    assert_eq!(lost.len(), 25);
    let not_utf8: [&[u8]; 7] =
        [b"\xFF", b"\xE9", b"\x80", b"\xC0\xAF", b"\xED\xA0\x80", b"\xF4\xBF\xBF\xBF", b"\xE0\xFF"];
    for (name, input) in lost {
        for bytes in not_utf8 {
            let parts: Vec<&[u8]> = input.split('\u{FFFD}').map(str::as_bytes).collect();
            assert!(parse(&parts.join(bytes)).is_err(), "{name} with {bytes:x?}");
        }
    }
}
