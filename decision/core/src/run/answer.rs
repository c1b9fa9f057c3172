//! An answer of a tool as the values that it tells.

use super::fingerprint::{Fingerprint, Fingerprinter};
use super::said::{Said, Spelling};
use crate::json::{self, Value};
use crate::path;
use crate::policy::Format;
use crate::provenance::{Canonical, MAX_GROUPS, bare};
use crate::rules::has_format;

/// Most values of their own, and most words of texts, that are kept of one answer.
const MAX_OF_EACH: usize = 1024;
/// Longest text that is one value, in bytes.
const MAX_VALUE_BYTES: usize = 1024;
/// Longest path that is kept, in bytes.
const MAX_PATH_BYTES: usize = 96;

/// What a tool returned, reduced to fingerprints.
#[derive(Debug)]
pub struct Answer {
    /// In the order of the answer, values of their own before words of texts.
    pub(super) told: Vec<Told>,
    /// There was more than is kept.
    pub(super) cut: bool,
}

/// One value of an answer.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) fingerprint: Fingerprint,
    pub(super) path: Box<str>,
    pub(super) whole: bool,
    /// None for a word of a text.
    pub(super) spelling: Option<Spelling>,
}

impl Answer {
    /// Of the bytes of an answer. Strict JSON tells the texts and numbers in it; any other UTF-8 text tells the words in
    /// it, and nothing that is a value of its own; other bytes tell nothing.
    pub fn of_bytes(bytes: &[u8], fingerprinter: &Fingerprinter) -> Self {
        match (json::parse(bytes), str::from_utf8(bytes)) {
            (Ok(value), _) => Self::of_value(&value, fingerprinter),
            (Err(_), Ok(text)) => {
                let mut reader = Reader::new(fingerprinter);
                reader.words(text, "");
                reader.finish()
            }
            (Err(_), Err(_)) => Self { told: Vec::new(), cut: false },
        }
    }

    /// Of a JSON value.
    pub fn of_value(value: &Value, fingerprinter: &Fingerprinter) -> Self {
        let mut reader = Reader::new(fingerprinter);
        reader.walk(value, &mut String::new());
        reader.finish()
    }

    /// Without the credit for what the call itself said: a tool that repeats an argument, or a part of one, has not
    /// supplied it.
    #[must_use]
    pub fn to(mut self, said: &Said) -> Self {
        let repeats = said.repeats();
        for told in &mut self.told {
            told.whole = told.whole && !repeats.has(told);
        }
        self
    }

    /// Without any credit, as of an answer that refuses the call: what it says is remembered and makes nothing known.
    #[must_use]
    pub fn refusing(mut self) -> Self {
        self.told.iter_mut().for_each(|told| told.whole = false);
        self
    }
}

/// Takes values down.
pub(super) struct Reader<'a> {
    fingerprinter: &'a Fingerprinter,
    whole: Vec<Told>,
    words: Vec<Told>,
    cut: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(fingerprinter: &'a Fingerprinter) -> Self {
        Self { fingerprinter, whole: Vec::new(), words: Vec::new(), cut: false }
    }

    pub(super) fn finish(self) -> Answer {
        Answer { told: self.whole.into_iter().chain(self.words).collect(), cut: self.cut }
    }

    /// As deep as the parser lets values be.
    pub(super) fn walk(&mut self, value: &Value, path: &mut String) {
        let length = path.len();
        match value {
            Value::Object(object) => {
                for (key, member) in object.iter() {
                    path::push_member(path, key);
                    self.walk(member, path);
                    path.truncate(length);
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    path::push_element(path, place);
                    self.walk(item, path);
                    path.truncate(length);
                }
            }
            Value::String(text) if text.len() > MAX_VALUE_BYTES => self.words(text, path),
            Value::String(text) => {
                self.value(Canonical::of_text(text), text, path);
                self.words(text, path);
            }
            Value::Number(number) => self.value(Canonical::of(value), &number.to_string(), path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// The words of a text, and the numbers that stand in it in groups.
    pub(super) fn words(&mut self, text: &str, path: &str) {
        let words: Vec<&str> = text.split_whitespace().take(MAX_OF_EACH.saturating_add(1)).collect();
        for (place, word) in words.iter().enumerate() {
            self.word(bare(word), path);
            let group = word.trim_start_matches(|c: char| !c.is_alphanumeric());
            if group.len() == 4 && group.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) {
                self.grouped(words.get(place..).unwrap_or_default(), path);
            }
        }
    }

    /// An IBAN at the beginning of these words, in groups of four.
    fn grouped(&mut self, words: &[&str], path: &str) {
        let mut joined = String::new();
        for word in words.iter().take(MAX_GROUPS) {
            let bare = bare(word);
            joined.push_str(bare);
            if has_format(Format::Iban, &joined.to_ascii_uppercase()) {
                self.word(&joined, path);
                return;
            }
            // Punctuation behind a group, or a group of another size, is the end.
            if !word.ends_with(bare) || bare.len() != 4 {
                return;
            }
        }
    }

    /// A value of its own, and how it was written.
    fn value(&mut self, value: Option<Canonical>, text: &str, path: &str) {
        if let Some(value) = value {
            self.keep(&value, path, Some(Spelling::of(text, &value)));
        }
    }

    fn word(&mut self, word: &str, path: &str) {
        if let Some(value) = Canonical::of_text(word) {
            self.keep(&value, path, None);
        }
    }

    fn keep(&mut self, value: &Canonical, path: &str, spelling: Option<Spelling>) {
        let whole = spelling.is_some();
        let kept = if whole { &mut self.whole } else { &mut self.words };
        self.cut |= kept.len() >= MAX_OF_EACH;
        if kept.len() < MAX_OF_EACH {
            let fingerprint = self.fingerprinter.of(b'v', value.as_bytes());
            kept.push(Told { fingerprint, path: cut(path), whole, spelling });
        }
    }
}

fn cut(path: &str) -> Box<str> {
    if path.len() <= MAX_PATH_BYTES {
        return path.into();
    }
    let end = path.floor_char_boundary(MAX_PATH_BYTES.saturating_sub('…'.len_utf8()));
    format!("{}…", path.get(..end).unwrap_or_default()).into()
}
