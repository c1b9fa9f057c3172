//! Taking out of one answer what the agent must not see.
//!
//! Patterns are looked for in the answer as it came, all of them, and then the places are redacted: a pattern cannot miss
//! a text because another took half of it. On any doubt there is no answer ([`RedactError`]).

use std::ops::Range;

use regex::Regex;

use super::redactor::{Redactor, Searched};
use super::transform::MASK;
use super::tree::{self, Unfit};
use crate::json::{self, Limits, ParseError, Value};
use crate::path::Step;

/// Most redactions of one operation.
pub const MAX_REDACTIONS: usize = 32;
/// Longest match of a pattern, in bytes.
pub const MAX_MATCH_BYTES: usize = 256;
/// What an answer is held to that is redacted. Its bytes are bounded by the tool's own limit.
pub const RESPONSE_LIMITS: Limits = Limits { depth: 64, nodes: 100_000, key_bytes: 1_024 };

/// Why an answer cannot be redacted, and is withheld. Says nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedactError {
    /// Neither JSON nor, where no path is redacted, plain text.
    #[error(
        "its content type is not application/json (nor text/plain, which patterns without a path can be looked for in)"
    )]
    MediaType,
    /// JSON that is not strict, or too much of it.
    #[error("it is not the strict JSON that can be redacted: {0}")]
    Json(#[from] ParseError),
    /// Plain text that is no UTF-8.
    #[error("it is not UTF-8")]
    Encoding,
    /// A value of another kind at a redacted place.
    #[error("it is not of the shape that its redactions name: {0}")]
    Shape(#[from] Unfit),
    /// A name of a member that must not be seen.
    #[error("the name of a member matches a pattern, and names cannot be masked")]
    Key,
}

impl Redactor {
    /// The answer's body without what must not be seen. An empty body stays empty. `content_type` is the answer's own.
    pub fn redact(&self, content_type: Option<&str>, body: &[u8]) -> Result<Vec<u8>, RedactError> {
        if body.is_empty() {
            return Ok(Vec::new());
        }
        match media(content_type) {
            Some(Media::Json) => {
                let mut answer = json::parse_with(body, RESPONSE_LIMITS)?;
                self.redact_tree(&mut answer)?;
                Ok(json::emit(&answer))
            }
            Some(Media::Text) if self.places.is_empty() && self.patterns.iter().all(|one| one.within.is_none()) => {
                let text = std::str::from_utf8(body).map_err(|_| RedactError::Encoding)?;
                let everywhere: Vec<_> = self.patterns.iter().map(|one| &one.regex).collect();
                Ok(masked(text, &everywhere).unwrap_or_else(|| text.to_owned()).into_bytes())
            }
            Some(Media::Text) | None => Err(RedactError::MediaType),
        }
    }

    fn redact_tree(&self, answer: &mut Value) -> Result<(), RedactError> {
        let sought: Vec<_> = self
            .patterns
            .iter()
            .map(|Searched { regex, within }| (regex, within.as_deref().unwrap_or_default()))
            .collect();
        search(answer, &[], &sought)?;
        for (steps, action) in &self.places {
            tree::apply(answer, steps, action)?;
        }
        Ok(())
    }
}

/// Masks what matches: `here` are the patterns whose path has been followed to this value or past it, `ahead` the others
/// with the rest of their paths. At most as deep as an answer may be.
fn search(value: &mut Value, here: &[&Regex], ahead: &[(&Regex, &[Step])]) -> Result<(), RedactError> {
    let arrived = ahead.iter().filter(|(_, rest)| rest.is_empty()).map(|(regex, _)| *regex);
    let here: Vec<&Regex> = here.iter().copied().chain(arrived).collect();
    let ahead: Vec<_> = ahead.iter().filter_map(|(regex, rest)| Some((*regex, rest.split_first()?))).collect();
    if here.is_empty() && ahead.is_empty() {
        return Ok(());
    }
    let past = |step: &dyn Fn(&Step) -> bool| -> Vec<(&Regex, &[Step])> {
        ahead.iter().filter(|(_, (next, _))| step(next)).map(|(regex, (_, rest))| (*regex, *rest)).collect()
    };
    match value {
        Value::Object(object) => {
            if ahead.iter().any(|(_, (next, _))| !matches!(next, Step::Key(_))) {
                return Err(Unfit::Place.into());
            }
            for (key, member) in object.iter_mut() {
                if here.iter().any(|regex| regex.is_match(key)) {
                    return Err(RedactError::Key);
                }
                search(member, &here, &past(&|next| matches!(next, Step::Key(name) if name == key)))?;
            }
        }
        Value::Array(items) => {
            if ahead.iter().any(|(_, (next, _))| matches!(next, Step::Key(_))) {
                return Err(Unfit::Place.into());
            }
            for (place, item) in items.iter_mut().enumerate() {
                let enters = |next: &Step| match next {
                    Step::Index(index) => *index == place,
                    Step::All | Step::Any => true,
                    Step::Key(_) => false,
                };
                search(item, &here, &past(&enters))?;
            }
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) if !ahead.is_empty() => return Err(Unfit::Place.into()),
        Value::String(text) => {
            if let Some(masked) = masked(text, &here) {
                *text = masked.into();
            }
        }
        // A card number may come as a number.
        Value::Number(number) => {
            if let Some(masked) = masked(&number.to_string(), &here) {
                *value = Value::String(masked.into());
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
    Ok(())
}

/// The text with every character of every match masked; none where nothing matches.
fn masked(text: &str, patterns: &[&Regex]) -> Option<String> {
    let mut found: Vec<Range<usize>> = patterns.iter().flat_map(|regex| ranges(text, regex)).collect();
    if found.is_empty() {
        return None;
    }
    found.sort_unstable_by_key(|range| range.start);
    let mut ranges = found.into_iter().peekable();
    let mut until: usize = 0;
    let mask = |(place, character): (usize, char)| {
        while let Some(range) = ranges.next_if(|range| range.start <= place) {
            until = until.max(range.end);
        }
        if place < until { MASK } else { character }
    };
    Some(text.char_indices().map(mask).collect())
}

/// Where a pattern matches, from whichever character on, overlaps joined. Looking on behind the end of each match would
/// show the rest of a number that foreign digits stand before. A match is at most [`MAX_MATCH_BYTES`] long, so the cost is
/// at most that many steps for each character, and no search begins before the start of the last match.
fn ranges(text: &str, regex: &Regex) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut from: usize = 0;
    while let Some(found) = regex.find_at(text, from) {
        match ranges.last_mut() {
            Some(last) if found.start() <= last.end => last.end = last.end.max(found.end()),
            _ => ranges.push(found.range()),
        }
        let Some(first) = found.as_str().chars().next() else { break };
        from = found.start().saturating_add(first.len_utf8());
    }
    ranges
}

/// What an answer may be.
enum Media {
    Json,
    Text,
}

fn media(content_type: Option<&str>) -> Option<Media> {
    let mut parts = content_type?.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let utf8 = |part: &str| match part.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            ["utf-8", "us-ascii"].iter().any(|known| value.trim_matches('"').eq_ignore_ascii_case(known))
        }
        _ => true,
    };
    if !parts.all(utf8) {
        return None;
    }
    match media_type.as_str() {
        "text/plain" => Some(Media::Text),
        "application/json" => Some(Media::Json),
        other => (other.starts_with("application/") && other.ends_with("+json")).then_some(Media::Json),
    }
}

#[cfg(test)]
mod tests {
    // A helper fails as a test does.
    #![allow(clippy::unwrap_in_result)]

    use serde_json::json;
    use test_case::test_case;

    use super::*;
    use crate::sanitize::RedactionError;
    use crate::tool::Redaction;

    fn redactor(redactions: &serde_json::Value) -> Result<Option<Redactor>, RedactionError> {
        let redactions: Vec<Redaction> = serde_json::from_value(redactions.clone()).unwrap();
        Redactor::compile(&redactions)
    }

    fn redacted(redactions: &serde_json::Value, answer: &str) -> Result<String, RedactError> {
        let redactor = redactor(redactions).unwrap().unwrap();
        let redacted = redactor.redact(Some("application/json; charset=utf-8"), answer.as_bytes())?;
        Ok(String::from_utf8(redacted).unwrap())
    }

    fn card() -> serde_json::Value {
        json!([{"pattern": {"pattern": "[0-9]{13,19}"}}])
    }

    #[test]
    fn places_are_removed_masked_and_truncated() {
        let redactions = json!([
            {"at": {"field": "people[*].iban", "action": {"mask": {"keep": 4, "end": "End"}}}},
            {"at": {"field": "people[*].born", "action": "remove"}},
            {"at": {"field": "note", "action": {"truncate": {"characters": 3}}}},
        ]);
        let answer =
            r#"{"people":[{"iban":"DE89370400440532013000","born":1970},{"name":"x"}],"note":"abcdef","n":1.50}"#;
        let expected = r#"{"people":[{"iban":"******************3000"},{"name":"x"}],"note":"abc","n":1.5}"#;
        assert_eq!(redacted(&redactions, answer), Ok(expected.to_owned()));
    }

    #[test]
    fn a_pattern_is_masked_wherever_it_stands() {
        let answer = r#"{"a":["card 4111111111111111!",4111111111111111],"b":{"c":"411111"},"d":true,"e":null}"#;
        let expected = r#"{"a":["card ****************!","****************"],"b":{"c":"411111"},"d":true,"e":null}"#;
        assert_eq!(redacted(&card(), answer), Ok(expected.to_owned()));
    }

    #[test]
    fn what_stands_directly_before_a_secret_does_not_show_its_tail() {
        let (before, number) = ("9".repeat(15), "4111111111111111");
        let answer = json!({"a": format!("é{before}{number} 123"), "b": format!("{number}é{number}")}).to_string();
        let masked = json!({"a": format!("é{} 123", "*".repeat(31)), "b": format!("{0}é{0}", "*".repeat(16))});
        assert_eq!(redacted(&card(), &answer), Ok(masked.to_string()));
        // A search that begins anew inside of a text still sees what stands before.
        let words = json!([{"pattern": {"pattern": r"\b[0-9]{4}\b"}}]);
        assert_eq!(redacted(&words, r#"{"a":"1234 56789"}"#), Ok(r#"{"a":"**** 56789"}"#.to_owned()));
    }

    #[test]
    fn a_pattern_with_a_path_looks_there_only() {
        let redactions = json!([{"pattern": {"pattern": "[0-9]{3}", "field": "a[*].b"}}]);
        let answer = r#"{"a":[{"b":{"c":"123"},"d":"123"},{"d":"123"},null],"b":"123"}"#;
        let expected = r#"{"a":[{"b":{"c":"***"},"d":"123"},{"d":"123"},null],"b":"123"}"#;
        assert_eq!(redacted(&redactions, answer), Ok(expected.to_owned()));
    }

    #[test_case(&json!([{"pattern": {"pattern": "[a-z]{4}-[0-9]{4}"}}, {"pattern": {"pattern": "[0-9]{4}"}}]))]
    #[test_case(&json!([{"pattern": {"pattern": "[0-9]{4}"}}, {"pattern": {"pattern": "[a-z]{4}-[0-9]{4}"}}]))]
    #[test_case(&json!([{"pattern": {"pattern": "[0-9]{4}", "field": "a"}}, {"pattern": {"pattern": "[a-z]{4}-[0-9]{4}"}}]))]
    fn no_pattern_hides_a_text_from_another(redactions: &serde_json::Value) {
        assert_eq!(redacted(redactions, r#"{"a":"é abcd-1234 x"}"#), Ok(r#"{"a":"é ********* x"}"#.to_owned()));
    }

    #[test]
    fn a_truncated_text_is_searched_whole() {
        let redactions = json!([
            {"at": {"field": "note", "action": {"truncate": {"characters": 8}}}},
            {"pattern": {"pattern": "[0-9]{10}"}},
        ]);
        assert_eq!(redacted(&redactions, r#"{"note":"1234567890"}"#), Ok(r#"{"note":"********"}"#.to_owned()));
    }

    #[test]
    fn what_cannot_be_redacted_is_no_answer() {
        let masked = json!([{"at": {"field": "a.b", "action": {"mask": {"keep": 0, "end": "End"}}}}]);
        assert_eq!(redacted(&masked, r#"{"a":[{"b":"x"}]}"#), Err(RedactError::Shape(Unfit::Place)));
        assert_eq!(redacted(&masked, r#"{"a":{"b":5}}"#), Err(RedactError::Shape(Unfit::NotText)));
        assert!(matches!(redacted(&masked, r#"{"a":{"b":"x"},"a":1}"#), Err(RedactError::Json(_))));
        assert!(matches!(redacted(&masked, "{"), Err(RedactError::Json(_))));
        assert_eq!(redacted(&card(), r#"{"4111111111111111":1}"#), Err(RedactError::Key));
        let narrow = json!([{"pattern": {"pattern": "[0-9]{3}", "field": "a.b"}}]);
        for answer in [r#"{"a":"123"}"#, r#"{"a":[{"b":"123"}]}"#, "[]", "5"] {
            assert_eq!(redacted(&narrow, answer), Err(RedactError::Shape(Unfit::Place)), "{answer}");
        }
    }

    #[test]
    fn plain_text_is_searched_and_has_no_places() {
        let by_pattern = redactor(&card()).unwrap().unwrap();
        let text = "card 4111111111111111, paid";
        let redacted = by_pattern.redact(Some("text/plain"), text.as_bytes());
        assert_eq!(redacted, Ok(b"card ****************, paid".to_vec()));
        assert_eq!(by_pattern.redact(Some("text/plain"), b"\xff"), Err(RedactError::Encoding));
        for other in [None, Some("text/html"), Some("image/png"), Some("text/plain; charset=utf-16"), Some("")] {
            assert_eq!(by_pattern.redact(other, text.as_bytes()), Err(RedactError::MediaType), "{other:?}");
        }
        assert_eq!(by_pattern.redact(None, b""), Ok(Vec::new()), "nothing hides nothing");
        let by_place = redactor(&json!([{"at": {"field": "a", "action": "remove"}}])).unwrap().unwrap();
        assert_eq!(by_place.redact(Some("text/plain"), text.as_bytes()), Err(RedactError::MediaType));
        assert_eq!(by_place.redact(Some("application/problem+json"), b"{\"a\":1}"), Ok(b"{}".to_vec()));
    }

    #[test_case(&json!([{"pattern": {"pattern": "a+"}}]), "must bound")]
    #[test_case(&json!([{"pattern": {"pattern": ".{0,300}x"}}]), "must bound")]
    #[test_case(&json!([{"pattern": {"pattern": "a{0,3}"}}]), "empty text")]
    #[test_case(&json!([{"pattern": {"pattern": "(a"}}]), "not a regular expression")]
    #[test_case(&json!([{"pattern": {"pattern": "a", "field": "$agent.name"}}]), "path into the answer")]
    #[test_case(&json!([{"at": {"field": "a[?]", "action": "remove"}}]), "path into the answer")]
    #[test_case(&json!([{"at": {"field": "a[0]", "action": "remove"}}]), "one element")]
    #[test_case(&json!([{"at": {"field": "a", "action": {"set": {"integer": 5}}}}]), "is for arguments")]
    #[test_case(&json!([{"at": {"field": "a", "action": "remove"}}, {"at": {"field": "a.b", "action": {"truncate": {"characters": 1}}}}]), "[0]")]
    fn mistakes_are_found_when_it_is_compiled(redactions: &serde_json::Value, says: &str) {
        let error = redactor(redactions).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn no_redactions_are_no_redactor() {
        assert!(redactor(&json!([])).unwrap().is_none());
    }
}
