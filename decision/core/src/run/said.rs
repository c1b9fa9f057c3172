//! What a call said to its tool: an answer that only says it again has supplied nothing.
//!
//! A value counts as said wherever its letters and digits stand in the call, whatever is between and around them: in a
//! list within a text, behind a prefix, in JSON in a text, as the name of a member. Too much is held to be said rather
//! than too little. What a tool computes from what it was told, or decodes in another way than JSON and URLs are, is not
//! seen.

use std::collections::HashSet;
use std::fmt;

use super::answer::{Answer, Reader, Told};
use super::fingerprint::{Fingerprint, Fingerprinter};
use crate::call::ToolCall;
use crate::json::Value;
use crate::provenance::Canonical;

/// Most letters and digits of a call that are kept while it is under way, in bytes. Each value of an answer is looked for
/// in them, so this also bounds what an answer costs.
const MAX_SAID_BYTES: usize = 32_768;
/// Longest value that must stand in the call as a word of its own, in bytes. `1` or `de` stand in nearly every call by
/// chance; a word ends where letters, digits and anything else meet.
const MAX_SHORT_BYTES: usize = 3;

/// What a call said. Held in clear, and only while the call is under way.
pub struct Said {
    /// Letters and digits in lower case, with one space before each word.
    text: String,
    /// Texts, numbers and words of texts that say the same in another spelling, such as `5.0` for `5`.
    same: HashSet<Fingerprint>,
    /// There was more than is kept: then anything may have been said.
    cut: bool,
}

/// The letters and digits of an answer's value.
pub(super) struct Spelling {
    text: Box<str>,
    /// Of a decimal: without zeros that say nothing.
    digits: Option<Box<str>>,
}

/// What was said, ready to be searched.
pub(super) struct Repeats<'a> {
    said: &'a Said,
    joined: String,
    short: HashSet<String>,
}

impl Said {
    /// All that reaches the tool of what the agent wrote: arguments with names, wherever in the request they are, the body
    /// around them, and headers.
    pub fn of_call(call: &ToolCall, fingerprinter: &Fingerprinter) -> Self {
        let mut listener = Listener::new(fingerprinter);
        listener.value(&call.arguments);
        if let Some(request) = &call.request {
            if let Some(body) = request.body.as_ref().filter(|body| !is_within(body, &call.arguments)) {
                listener.value(body);
            }
            for (name, value) in &request.passed {
                // Random digits, in which a short number would stand by chance: they are compared as they are.
                if name == "traceparent" {
                    value.split('-').for_each(|part| listener.reader.words(part, ""));
                } else {
                    listener.text(value);
                }
            }
        }
        if let Some(key) = &call.idempotency_key {
            listener.text(key);
        }
        listener.finish()
    }

    /// Of arguments alone.
    pub fn of_value(arguments: &Value, fingerprinter: &Fingerprinter) -> Self {
        let mut listener = Listener::new(fingerprinter);
        listener.value(arguments);
        listener.finish()
    }

    pub(super) fn repeats(&self) -> Repeats<'_> {
        let words: Vec<&str> = self.text.split(' ').collect();
        let mut short = HashSet::new();
        let mut rest = words.as_slice();
        while let Some((_, behind)) = rest.split_first() {
            let mut joined = String::new();
            for word in rest {
                joined.push_str(word);
                if joined.len() > MAX_SHORT_BYTES {
                    break;
                }
                short.insert(joined.clone());
            }
            rest = behind;
        }
        Repeats { said: self, joined: words.concat(), short }
    }
}

impl Repeats<'_> {
    /// Whether the call said a value that the answer tells.
    pub(super) fn has(&self, told: &Told) -> bool {
        let stands = |spelling: &Spelling| {
            self.stands(&spelling.text) || spelling.digits.as_deref().is_some_and(|digits| self.stands(digits))
        };
        self.said.cut || self.said.same.contains(&told.fingerprint) || told.spelling.as_ref().is_none_or(stands)
    }

    /// A value without letters and digits stands everywhere.
    fn stands(&self, spelled: &str) -> bool {
        if spelled.len() <= MAX_SHORT_BYTES {
            spelled.is_empty() || self.short.contains(spelled)
        } else {
            self.joined.contains(spelled)
        }
    }
}

impl Spelling {
    /// Of a value as it was written, and as it is compared.
    pub(super) fn of(text: &str, value: &Canonical) -> Self {
        let digits = value.decimal_text().map(|decimal| {
            let digits = spelled(decimal);
            let bare = digits.trim_start_matches('0');
            Box::from(if bare.is_empty() { "0" } else { bare })
        });
        Self { text: spelled(text).into(), digits }
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Said")
    }
}

impl fmt::Debug for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spelling")
    }
}

struct Listener<'a> {
    reader: Reader<'a>,
    text: String,
    cut: bool,
}

impl<'a> Listener<'a> {
    fn new(fingerprinter: &'a Fingerprinter) -> Self {
        Self { reader: Reader::new(fingerprinter), text: String::new(), cut: false }
    }

    fn finish(self) -> Said {
        let Answer { told, cut } = self.reader.finish();
        let same = told.into_iter().map(|told| told.fingerprint).collect();
        Said { text: self.text, same, cut: cut || self.cut }
    }

    fn value(&mut self, value: &Value) {
        self.reader.walk(value, &mut String::new());
        self.walk(value);
    }

    fn text(&mut self, text: &str) {
        self.reader.words(text, "");
        self.hear(text);
    }

    /// As deep as the parser lets values be.
    fn walk(&mut self, value: &Value) {
        match value {
            Value::Object(object) => {
                for (name, member) in object.iter() {
                    self.hear(name);
                    self.walk(member);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::String(text) => self.hear(text),
            Value::Number(number) => self.push(&number.to_string()),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// The text as it is, and as somebody reads it who takes it for JSON or a part of a URL, however often. Each reading
    /// counts towards the bound, so that there are few.
    fn hear(&mut self, text: &str) {
        self.push(text);
        let mut next = unescaped(text);
        while let Some(inner) = next {
            if self.cut {
                return;
            }
            self.push(&inner);
            next = unescaped(&inner);
        }
    }

    fn push(&mut self, text: &str) {
        let mut before = None;
        for character in text.chars() {
            let kind = character.is_alphanumeric().then(|| character.is_numeric());
            if kind.is_some() {
                if before != kind {
                    self.text.push(' ');
                }
                self.text.extend(character.to_lowercase());
                if self.text.len() > MAX_SAID_BYTES {
                    self.cut = true;
                    return;
                }
            }
            before = kind;
        }
    }
}

/// Whether all of a body is among the arguments: they begin with its members.
fn is_within(body: &Value, arguments: &Value) -> bool {
    if std::ptr::eq(body, arguments) {
        return true;
    }
    let Some(arguments) = arguments.as_object() else { return false };
    match body {
        Value::Object(body) => body.iter().eq(arguments.iter().take(body.len())),
        other => arguments.get("body") == Some(other),
    }
}

/// Letters and digits in lower case. Of a part of a text it is a part of the text's.
fn spelled(text: &str) -> String {
    text.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The text with escapes of JSON and of URLs read once; none where that changes nothing.
fn unescaped(text: &str) -> Option<String> {
    if !text.contains(['\\', '%']) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.find(['\\', '%']).and_then(|place| rest.split_at_checked(place)) {
        bytes.extend_from_slice(before.as_bytes());
        let hex = |prefix: &str, count: usize| {
            let digits = escape.strip_prefix(prefix)?.get(..count)?;
            u32::from_str_radix(digits, 16).ok()
        };
        let length = if let Some(code) = hex("\\u", 4) {
            bytes.extend(char::from_u32(code).map(String::from).unwrap_or_default().into_bytes());
            6
        } else if let Some(byte) = hex("%", 2) {
            bytes.extend(u8::try_from(byte));
            3
        } else if escape.starts_with('%') {
            bytes.push(b'%');
            1
        } else {
            // Any other character behind a backslash is itself, unless it names a control character.
            let behind = escape.chars().nth(1);
            let meant = behind.map(|character| if "bfnrt".contains(character) { ' ' } else { character });
            bytes.extend(meant.map(String::from).unwrap_or_default().into_bytes());
            behind.map_or(1, |character| character.len_utf8().saturating_add(1))
        };
        rest = escape.get(length..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    let read = String::from_utf8_lossy(&bytes).into_owned();
    (read != text).then_some(read)
}
