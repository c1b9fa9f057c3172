//! What the patterns of a schema take once compiled, found before the schema is.
//!
//! The validator compiles each distinct pattern of a schema once. Here each is compiled by itself, measured and let go.
//! What stands where a pattern could is counted, schema or not: too much is counted at times, too little never.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::{MAX_PATTERN_BYTES, SchemaError};
use crate::room::{self, Room};

/// Takes room for all patterns.
pub(super) fn check(schema: &Value, room: &Room<'_>) -> Result<(), SchemaError> {
    walk(schema, "", room, &mut BTreeSet::new())
}

fn walk<'a>(
    value: &'a Value,
    pointer: &str,
    room: &Room<'_>,
    known: &mut BTreeSet<&'a str>,
) -> Result<(), SchemaError> {
    let at = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(members) => members.iter().try_for_each(|(key, value)| {
            let pointer = at(key);
            match (key.as_str(), value) {
                ("pattern", Value::String(pattern)) => take(pattern, &pointer, room, known)?,
                ("patternProperties", Value::Object(patterns)) => {
                    patterns.keys().try_for_each(|pattern| take(pattern, &pointer, room, known))?;
                }
                _ => {}
            }
            walk(value, &pointer, room, known)
        }),
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(index, item)| walk(item, &at(&index.to_string()), room, known))
        }
        _ => Ok(()),
    }
}

fn take<'a>(
    pattern: &'a str,
    pointer: &str,
    room: &Room<'_>,
    known: &mut BTreeSet<&'a str>,
) -> Result<(), SchemaError> {
    if !known.insert(pattern) {
        return Ok(());
    }
    let pattern = ascii(pattern);
    let build =
        |class| RegexBuilder::new(&pattern).size_limit(class).dfa_size_limit(MAX_PATTERN_BYTES).nest_limit(64).build();
    // What cannot be measured may be as large as the validator lets it be.
    let (class, groups) = room::smallest(MAX_PATTERN_BYTES, build)
        .map_or((MAX_PATTERN_BYTES, true), |(regex, class): (Regex, usize)| (class, regex.captures_len() > 1));
    room.take(class, groups).map_err(|problem| SchemaError::NoRoom { pointer: pointer.to_owned(), problem })
}

/// The pattern with the classes that ECMA 262 means by `\d` and `\w`: those of all alphabets are some hundred times as
/// large.
fn ascii(pattern: &str) -> String {
    let mut plain = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let escaped = if character == '\\' { characters.next() } else { None };
        match (character, escaped) {
            ('\\', Some('d')) => plain.push_str("[0-9]"),
            ('\\', Some('D')) => plain.push_str("[^0-9]"),
            ('\\', Some('w')) => plain.push_str("[A-Za-z0-9_]"),
            ('\\', Some('W')) => plain.push_str("[^A-Za-z0-9_]"),
            (character, escaped) => {
                plain.push(character);
                plain.extend(escaped);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use test_case::test_case;

    use super::*;
    use crate::room::{BundleRoom, NoRoom};

    fn many(pattern: impl Fn(usize) -> String) -> Value {
        let member = |number| (format!("m{number}"), json!({"type": "string", "pattern": pattern(number)}));
        json!({"type": "object", "properties": (0..200).map(member).collect::<serde_json::Map<_, _>>()})
    }

    fn checked(schema: &Value) -> Result<(), SchemaError> {
        check(schema, &Room::of_tool(&BundleRoom::default()))
    }

    #[test_case(r"^\d{4}-\w{1,20}$", "^[0-9]{4}-[A-Za-z0-9_]{1,20}$")]
    #[test_case(r"\\d[\w-]\W\", r"\\d[[A-Za-z0-9_]-][^A-Za-z0-9_]\")]
    fn classes_are_those_of_the_validator(pattern: &str, plain: &str) {
        assert_eq!(ascii(pattern), plain);
    }

    #[test]
    fn many_large_patterns_are_refused_where_they_do_not_fit() {
        let error = checked(&many(|number| format!(r"^\p{{L}}{{{}}}$", 2 + number % 90))).unwrap_err();
        let SchemaError::NoRoom { pointer, problem } = error else { panic!("{error}") };
        assert!(pointer.starts_with("/properties/m") && pointer.ends_with("/pattern"), "{pointer}");
        assert_eq!(problem, NoRoom::Tool);
    }

    #[test]
    fn equal_and_small_patterns_fit() {
        assert_eq!(checked(&many(|_| r"^\p{L}{2}$".to_owned())), Ok(()));
        assert_eq!(checked(&many(|number| format!(r"^[A-Z]{{2}}\d{{{number}}}$"))), Ok(()));
    }
}
