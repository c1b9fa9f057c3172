//! The redactions of one operation's answers, compiled: every mistake in them is found here.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

use super::tree;
use crate::path::{Path, Step};
use crate::policy::Transform;
use crate::policy::transform::Action;
use crate::room::{self, BundleRoom, NoRoom, Room};
use crate::rules::{MAX_PATTERN_BYTES, sanitizer, why_no_pattern};
use crate::sanitize::{MAX_MATCH_BYTES, MAX_REDACTIONS};
use crate::tool::Redaction;

/// Largest compiled pattern, and memory for its lazily built automaton, in bytes.
const COMPILED_BYTES: usize = 262_144;

/// A redaction that cannot be compiled, such as `[2].pattern: is not a regular expression`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedactionError {
    /// What is wrong with one of them.
    #[error("[{place}].{field}: {reason}")]
    One {
        /// Its place.
        place: usize,
        /// The field in it.
        field: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// A text that is no regular expression.
    #[error("[{place}].pattern: is not a regular expression: {message}")]
    Syntax {
        /// Its place.
        place: usize,
        /// What is wrong, and where.
        message: String,
    },
    /// A pattern for which there is no room beside the others.
    #[error("[{place}].pattern: {problem}")]
    NoRoom {
        /// Its place.
        place: usize,
        /// What is full.
        problem: NoRoom,
    },
    /// Two that would make two things of one value.
    #[error("[{second}]: redacts the place of [{first}] in another way; leave one of them out, or make them alike")]
    Conflict {
        /// Place of the first.
        first: usize,
        /// Place of the second.
        second: usize,
    },
    /// Too many.
    #[error(": at most {MAX_REDACTIONS} are possible")]
    TooMany,
}

/// Takes out of answers what the agent must not see: [`Redactor::redact`].
#[derive(Debug)]
pub struct Redactor {
    /// In the order of their paths, so that the order in which they are written makes no difference.
    pub(super) places: Vec<(Vec<Step>, Action)>,
    pub(super) patterns: Vec<Searched>,
}

/// A pattern and where it is looked for.
#[derive(Debug)]
pub(super) struct Searched {
    pub(super) regex: Regex,
    /// None: everywhere.
    pub(super) within: Option<Vec<Step>>,
}

/// The patterns of one tool's redactions while they are compiled: equal ones are one, and all fit into its room.
#[derive(Debug)]
pub(crate) struct Patterns<'a> {
    room: &'a Room<'a>,
    known: RefCell<BTreeMap<String, Regex>>,
}

impl<'a> Patterns<'a> {
    /// None yet.
    pub(crate) fn new(room: &'a Room<'a>) -> Self {
        Self { room, known: RefCell::default() }
    }

    /// The pattern, compiled where it is new.
    fn compile(&self, place: usize, pattern: &str) -> Result<Regex, RedactionError> {
        let known = self.known.borrow().get(pattern).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let (regex, class) = search(place, pattern)?;
        let taken = self.room.take(class, regex.captures_len() > 1);
        taken.map_err(|problem| RedactionError::NoRoom { place, problem })?;
        self.known.borrow_mut().insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    }
}

impl Redactor {
    /// Compiles redactions; none where there are none.
    pub fn compile(redactions: &[Redaction]) -> Result<Option<Self>, RedactionError> {
        let bundle = BundleRoom::default();
        Self::compile_beside(redactions, &Patterns::new(&Room::of_tool(&bundle)))
    }

    /// Compiles redactions whose patterns fit beside those that the tool has already.
    pub(crate) fn compile_beside(
        redactions: &[Redaction],
        known: &Patterns<'_>,
    ) -> Result<Option<Self>, RedactionError> {
        if redactions.is_empty() {
            return Ok(None);
        }
        if redactions.len() > MAX_REDACTIONS {
            return Err(RedactionError::TooMany);
        }
        let (mut places, mut patterns) = (Vec::new(), Vec::new());
        for (place, redaction) in redactions.iter().enumerate() {
            match redaction {
                Redaction::At(transform) => places.push((place, at(place, transform)?)),
                Redaction::Pattern { pattern, field } => {
                    let within = field.as_ref().map(|field| steps(place, field)).transpose()?;
                    patterns.push(Searched { regex: known.compile(place, pattern)?, within });
                }
            }
        }
        for (index, (first, (one, action))) in places.iter().enumerate() {
            for (second, (other, others)) in places.iter().skip(index.saturating_add(1)) {
                if tree::conflict((one, action), (other, others)) {
                    return Err(RedactionError::Conflict { first: *first, second: *second });
                }
            }
        }
        let mut places: Vec<_> = places.into_iter().map(|(_, place)| place).collect();
        places.sort_by(|(one, _), (other, _)| tree::order(one, other));
        Ok(Some(Self { places, patterns }))
    }
}

fn at(place: usize, transform: &Transform) -> Result<(Vec<Step>, Action), RedactionError> {
    let steps = steps(place, &transform.field)?;
    let wrong = |reason| RedactionError::One { place, field: transform.action.name(), reason };
    if !transform.action.only_takes_away() {
        return Err(wrong("is for arguments; an answer is only removed, masked or truncated in parts"));
    }
    sanitizer::fits(transform).map_err(wrong)?;
    Ok((steps, transform.action.clone()))
}

fn steps(place: usize, field: &Path) -> Result<Vec<Step>, RedactionError> {
    match sanitizer::of_the_arguments(field) {
        Ok(()) => Ok(field.steps.clone()),
        Err(_) => Err(RedactionError::One {
            place,
            field: "path",
            reason: "must be a path into the answer, with [*] for every element of a list",
        }),
    }
}

/// A pattern whose matches have at most [`MAX_MATCH_BYTES`]: a search then looks at each byte of an answer a bounded
/// number of times, whatever the answer is. With its size class.
fn search(place: usize, pattern: &str) -> Result<(Regex, usize), RedactionError> {
    let wrong = |reason| RedactionError::One { place, field: "pattern", reason };
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(wrong("is longer than 1024 bytes"));
    }
    let syntax = |error: &dyn std::fmt::Display| RedactionError::Syntax { place, message: why_no_pattern(error) };
    let parsed = regex_syntax::ParserBuilder::new().nest_limit(64).build().parse(pattern);
    let parsed = parsed.map_err(|error| syntax(&error))?;
    let properties = parsed.properties();
    if properties.minimum_len().is_none_or(|bytes| bytes == 0) {
        return Err(wrong("matches the empty text, or nothing"));
    }
    if properties.maximum_len().is_none_or(|bytes| bytes > MAX_MATCH_BYTES) {
        return Err(wrong("must bound what it matches to 256 bytes: write {1,64} for + and {0,64} for *"));
    }
    let built = room::smallest(COMPILED_BYTES, |class| {
        RegexBuilder::new(pattern).size_limit(class).dfa_size_limit(COMPILED_BYTES).nest_limit(64).build()
    });
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            wrong("is too large once compiled; use smaller repetitions or ASCII classes such as [0-9]")
        }
        error => syntax(&error),
    })
}
