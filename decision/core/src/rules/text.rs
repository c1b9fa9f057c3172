//! Patterns and lengths.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use super::automaton::Automaton;
use super::error::RuleProblem;
use super::resolve::Subject;
use crate::decision::Truth;
use crate::json::Value;
use crate::policy::Normalize;
use crate::room::{self, Room};

/// Longest pattern in bytes.
pub const MAX_PATTERN_BYTES: usize = 1_024;
/// Longest string that any pattern is asked about, in bytes.
pub const MAX_MATCHED_BYTES: usize = 16_384;
/// Time to match grows with the product of the pattern's compiled size and the string's length, so the product is
/// bounded: compiled size in bytes, and the longest string that such a pattern is asked about. A pattern over the last
/// size is refused. `[A-Z]{2}[0-9]{2}[A-Z0-9]{1,30}` is in the first class, one `\w` of all alphabets in the second.
const CLASSES: [(usize, usize); 4] = [(16_384, MAX_MATCHED_BYTES), (65_536, 4_096), (262_144, 1_024), (MAX_SIZE, 256)];
/// Largest compiled pattern, in bytes.
const MAX_SIZE: usize = 1_048_576;

/// Memory for each pattern's lazily built automaton.
const LAZY_BYTES: usize = 262_144;

/// A compiled pattern for whole strings.
#[derive(Debug)]
pub(super) struct Pattern {
    automaton: Arc<Automaton>,
    /// Between its anchors.
    source: String,
    /// Largest size that it may have once compiled, in bytes.
    size: usize,
    /// About a longer string it cannot tell.
    max_bytes: usize,
}

/// The patterns of one policy while it is compiled: equal ones are one, and together they fit into a room.
#[derive(Debug)]
pub(super) struct Patterns<'a> {
    room: Room<'a>,
    known: RefCell<BTreeMap<String, Arc<Pattern>>>,
}

impl<'a> Patterns<'a> {
    /// None yet.
    pub(super) fn new(room: Room<'a>) -> Self {
        Self { room, known: RefCell::default() }
    }

    /// The pattern, compiled where it is new.
    pub(super) fn compile(&self, pattern: &str) -> Result<Arc<Pattern>, RuleProblem> {
        let known = self.known.borrow().get(pattern).map(Arc::clone);
        if let Some(known) = known {
            return Ok(known);
        }
        let compiled = Arc::new(Pattern::compile(pattern)?);
        self.room.take(compiled.size, false)?;
        self.known.borrow_mut().insert(pattern.to_owned(), Arc::clone(&compiled));
        Ok(compiled)
    }
}

impl Pattern {
    /// Compiles a pattern that must match the whole string.
    pub(super) fn compile(pattern: &str) -> Result<Self, RuleProblem> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(RuleProblem::PatternTooLong);
        }
        // Alone first: `a)|(b` is no pattern, but would become one between the anchors.
        let alone = regex_syntax::ParserBuilder::new().nest_limit(64).build().parse(pattern);
        alone.map_err(|error| no_pattern(&error))?;
        let source = format!(r"\A(?:{pattern})\z");
        let built = room::smallest(MAX_SIZE, |size| Automaton::of(vec![source.clone()], size, LAZY_BYTES));
        let (automaton, size) = built.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => RuleProblem::PatternTooBig,
            error => no_pattern(&error),
        })?;
        let class = CLASSES.iter().find(|(largest, _)| size <= *largest);
        let max_bytes = class.map_or(0, |(_, max_bytes)| *max_bytes);
        Ok(Self { automaton, source, size, max_bytes })
    }

    /// The pattern between its anchors.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Largest size that it may have once compiled, in bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Longest string that it is asked about, in bytes.
    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Whether the whole string matches. A string that is too long for the pattern cannot be told.
    pub(super) fn matches(&self, subject: Subject<'_>, normalize: Normalize) -> Truth {
        match subject.text() {
            Some(text) if text.len() <= self.max_bytes => self.automaton.set().is_match(&normalize.apply(text)).into(),
            _ => Truth::Indeterminate,
        }
    }
}

fn no_pattern(error: &dyn Display) -> RuleProblem {
    RuleProblem::NotAPattern(why_no_pattern(error))
}

/// The message ends in the one line that says what is wrong, below a drawing of where.
pub(crate) fn why_no_pattern(error: &dyn Display) -> String {
    let message = error.to_string();
    let last = message.lines().last().unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}

/// Characters (Unicode scalar values) of a string, elements of an array.
pub(super) fn length(subject: Subject<'_>, normalize: Normalize) -> Option<usize> {
    match subject {
        Subject::Json(Value::Array(items)) => Some(items.len()),
        _ => subject.text().map(|text| normalize.apply(text).chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("a|ab", "ab", true; "the whole string though a shorter branch comes first")]
    #[test_case("a|b", "ab", false)]
    #[test_case("^a$", "a\n", false; "no line end is forgiven")]
    #[test_case("(?m)^a$", "a\nb", false; "multi-line anchors do not loosen the whole match")]
    #[test_case("(?i)straße", "STRAßE", true)]
    #[test_case("[A-Z]{2}[0-9]{2}[A-Z0-9]{1,30}", "DE89370400440532013000", true)]
    #[test_case(r"\w{1,8}", "größe", true)]
    fn matches_whole(pattern: &str, text: &str, expected: bool) {
        let pattern = Pattern::compile(pattern).unwrap();
        assert_eq!(pattern.matches(Subject::Text(text), Normalize::None), expected.into());
    }

    #[test_case("a)|(?:b"; "closes the anchor's group")]
    #[test_case("(?x) a # comment"; "comments the anchor out")]
    #[test_case("("; "unclosed")]
    #[test_case(r"(a)\1"; "back reference")]
    #[test_case("(?=a)"; "look ahead")]
    #[test_case("a{2000000}"; "huge repetition")]
    fn refuses_what_is_no_linear_pattern(pattern: &str) {
        assert!(Pattern::compile(pattern).is_err());
    }

    #[test_case(r"(\w{100}){100}"; "nested repetitions")]
    #[test_case(r"\pL{1,1000}"; "large class repeated")]
    #[test_case("((((((a{9}){9}){9}){9}){9}){9}){9}"; "exponential repetition")]
    fn refuses_what_compiles_too_big(pattern: &str) {
        assert_eq!(Pattern::compile(pattern).unwrap_err(), RuleProblem::PatternTooBig);
    }

    #[test]
    fn refuses_long_patterns() {
        assert_eq!(Pattern::compile(&"a".repeat(MAX_PATTERN_BYTES + 1)).unwrap_err(), RuleProblem::PatternTooLong);
    }

    #[test_case("a*", 16_384)]
    #[test_case(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{1,30}|a*", 16_384)]
    #[test_case(r"\w*", 4_096)]
    #[test_case(r"\w{3}|a*", 1_024)]
    #[test_case(r"\w{20}|a*", 256)]
    fn a_large_pattern_is_asked_about_short_strings_only(pattern: &str, longest: usize) {
        let pattern = Pattern::compile(pattern).unwrap();
        let ask = |length| pattern.matches(Subject::Text(&"a".repeat(length)), Normalize::None);
        assert_eq!((ask(longest), ask(longest + 1)), (Truth::True, Truth::Indeterminate));
    }
}
