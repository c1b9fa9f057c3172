//! The strict parser: RFC 8259, less everything that two readers could understand differently.
//!
//! Refused beyond the grammar: a byte order mark, duplicate keys (compared after unescaping), lone surrogates, numbers
//! that a double would change, and documents over the [`Limits`]. The depth is bounded before each descent, so no input
//! exhausts the stack; every byte is looked at a bounded number of times.

use std::fmt;

use super::members::Members;
use super::number::NumberError;
use super::plain::plain_length;
use super::{Number, Object, Text, Value};

/// Bounds on a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most arrays and objects that may stand in each other.
    pub depth: usize,
    /// Most values, containers included; keys do not count.
    pub nodes: usize,
    /// Longest key in bytes of UTF-8, after unescaping.
    pub key_bytes: usize,
}

impl Limits {
    /// What calls are held to.
    pub const STRICT: Self = Self { depth: 32, nodes: 10_000, key_bytes: 256 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::STRICT
    }
}

/// Why bytes are not accepted. Its text says what is, and repeats nothing of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Where, in bytes from the start.
    pub offset: usize,
}

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// Nothing but white space.
    Empty,
    /// A byte order mark, or UTF-16 or UTF-32.
    ByteOrderMark,
    /// Not UTF-8.
    NotUtf8,
    /// The grammar wants something else here.
    Expected(&'static str),
    /// The document ends too early.
    End,
    /// Something follows the value.
    TrailingData,
    /// A key that its object already has.
    DuplicateKey,
    /// A control character in a string.
    ControlCharacter,
    /// An escape that JSON does not have.
    Escape,
    /// Half a surrogate pair.
    LoneSurrogate,
    /// A number that is not well formed or would not survive.
    Number(NumberError),
    /// Nested too deeply; the limit.
    Depth(usize),
    /// Too many values; the limit.
    Nodes(usize),
    /// A key that is too long; the limit in bytes.
    KeyLength(usize),
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a JSON value is expected, there is none"),
            Self::ByteOrderMark => f.write_str("JSON is accepted in UTF-8 without byte order mark only"),
            Self::NotUtf8 => f.write_str("JSON is accepted in UTF-8 only"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::End => f.write_str("the JSON value is not complete"),
            Self::TrailingData => f.write_str("one JSON value is accepted, something follows it"),
            Self::DuplicateKey => f.write_str("a key may be given once per object, this one is repeated"),
            Self::ControlCharacter => f.write_str("control characters in strings must be escaped"),
            Self::Escape => f.write_str("escapes are \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u with four hex digits"),
            Self::LoneSurrogate => f.write_str("surrogates are accepted in pairs only"),
            Self::Number(error) => fmt::Display::fmt(error, f),
            Self::Depth(limit) => write!(f, "at most {limit} levels of arrays and objects are accepted"),
            Self::Nodes(limit) => write!(f, "at most {limit} values are accepted"),
            Self::KeyLength(limit) => write!(f, "keys of at most {limit} bytes are accepted"),
        }
    }
}

/// Parses one document within [`Limits::STRICT`].
pub fn parse(bytes: &[u8]) -> Result<Value, ParseError> {
    parse_with(bytes, Limits::STRICT)
}

/// Parses one document within limits. A depth over 128 counts as 128: the parser descends by recursion.
pub fn parse_with(bytes: &[u8], limits: Limits) -> Result<Value, ParseError> {
    if bytes.starts_with(b"\xEF\xBB\xBF") || bytes.starts_with(b"\xFE\xFF") || bytes.starts_with(b"\xFF\xFE") {
        return Err(ParseError { kind: ParseErrorKind::ByteOrderMark, offset: 0 });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| ParseError { kind: ParseErrorKind::NotUtf8, offset: error.valid_up_to() })?;
    let limits = Limits { depth: limits.depth.min(128), ..limits };
    let error = ParseError { kind: ParseErrorKind::Empty, offset: 0 };
    let mut parser = Parser { length: text.len(), rest: text, limits, nodes: 0, error };
    parser.document().map_err(|Failed| parser.error)
}

struct Parser<'a> {
    /// Bytes of the whole document.
    length: usize,
    /// What is left to read.
    rest: &'a str,
    limits: Limits,
    nodes: usize,
    /// What was wrong, once something has [`Failed`].
    error: ParseError,
}

/// Something was wrong: see [`Parser::error`], which is not carried through every step for its size.
struct Failed;

impl<'a> Parser<'a> {
    #[cold]
    fn fail<T>(&mut self, kind: ParseErrorKind) -> Result<T, Failed> {
        self.fail_at(self.rest, kind)
    }

    /// Fails where so much was left to read.
    #[cold]
    fn fail_at<T>(&mut self, rest: &str, kind: ParseErrorKind) -> Result<T, Failed> {
        self.error = ParseError { kind, offset: self.length.saturating_sub(rest.len()) };
        Err(Failed)
    }

    /// Fails here because something else is wanted, or because the document has ended.
    #[cold]
    fn expected<T>(&mut self, what: &'static str) -> Result<T, Failed> {
        self.fail(if self.rest.is_empty() { ParseErrorKind::End } else { ParseErrorKind::Expected(what) })
    }

    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    /// The next bytes, which must end between characters; all that is left when there are not so many.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn eat(&mut self, character: char) -> bool {
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The text that starts here and whose bytes, all of them ASCII, satisfy `accept`.
    fn run(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let length = self.rest.bytes().take_while(|byte| accept(*byte)).count();
        self.take(length)
    }

    fn skip_space(&mut self) {
        // Few documents have any, and every other byte that is accepted lies above.
        while self.peek().is_some_and(|byte| byte <= b' ') {
            let Some(rest) = self.rest.strip_prefix([' ', '\t', '\n', '\r']) else { return };
            self.rest = rest;
        }
    }

    fn document(&mut self) -> Result<Value, Failed> {
        self.skip_space();
        if self.rest.is_empty() {
            return self.fail(ParseErrorKind::Empty);
        }
        let value = self.value(0)?;
        self.skip_space();
        if !self.rest.is_empty() {
            return self.fail(ParseErrorKind::TrailingData);
        }
        Ok(value)
    }

    #[inline]
    fn value(&mut self, depth: usize) -> Result<Value, Failed> {
        if self.nodes >= self.limits.nodes {
            return self.fail(ParseErrorKind::Nodes(self.limits.nodes));
        }
        self.nodes = self.nodes.saturating_add(1);
        match self.peek() {
            Some(b'"') => {
                self.take(1);
                self.string().map(Value::String)
            }
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.expected("a JSON value"),
        }
    }

    fn deeper(&mut self, depth: usize) -> Result<usize, Failed> {
        if depth >= self.limits.depth {
            self.fail(ParseErrorKind::Depth(self.limits.depth))
        } else {
            Ok(depth.saturating_add(1))
        }
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, Failed> {
        let start = self.rest;
        if self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_') == word {
            return Ok(value);
        }
        self.fail_at(start, ParseErrorKind::Expected("a JSON value (the words are true, false and null)"))
    }

    #[inline(never)]
    fn number(&mut self) -> Result<Value, Failed> {
        let start = self.rest;
        // Everything that could belong to a number, so that `1_0` or `0x1` is one wrong number and not trailing data.
        let token = self.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_'));
        match Number::from_text(token) {
            Ok(number) => Ok(Value::Number(number)),
            Err(error) => self.fail_at(start, ParseErrorKind::Number(error)),
        }
    }

    #[inline(never)]
    fn array(&mut self, depth: usize) -> Result<Value, Failed> {
        let depth = self.deeper(depth)?;
        self.take(1);
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(']') {
            return Ok(Value::Array(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth)?);
            self.skip_space();
            if self.eat(',') {
                continue;
            }
            if self.eat(']') {
                return Ok(Value::Array(items));
            }
            return self.expected("a comma or the end of the array");
        }
    }

    #[inline(never)]
    fn object(&mut self, depth: usize) -> Result<Value, Failed> {
        let depth = self.deeper(depth)?;
        self.take(1);
        self.skip_space();
        if self.eat('}') {
            return Ok(Value::Object(Object::new()));
        }
        let mut members = Members::default();
        loop {
            self.skip_space();
            let key = self.key(&mut members)?;
            self.skip_space();
            if !self.eat(':') {
                return self.expected("a colon after the key");
            }
            self.skip_space();
            members.push(key, self.value(depth)?);
            self.skip_space();
            if self.eat(',') {
                continue;
            }
            if self.eat('}') {
                return Ok(Value::Object(members.into_object()));
            }
            return self.expected("a comma or the end of the object");
        }
    }

    /// The name of a member, which none of the others has.
    #[inline]
    fn key(&mut self, members: &mut Members) -> Result<Text, Failed> {
        let start = self.rest;
        if !self.eat('"') {
            return self.expected("a key in double quotes");
        }
        if let Some(key) = self.unescaped() {
            return self.named(start, members, key).map(|()| Text::from(key));
        }
        let key = self.escaped()?;
        self.named(start, members, &key).map(|()| key)
    }

    #[inline]
    fn named(&mut self, start: &str, members: &mut Members, key: &str) -> Result<(), Failed> {
        if key.len() > self.limits.key_bytes {
            return self.fail_at(start, ParseErrorKind::KeyLength(self.limits.key_bytes));
        }
        if members.take_name(key) { Ok(()) } else { self.fail_at(start, ParseErrorKind::DuplicateKey) }
    }

    /// A string, after its opening quote.
    #[inline]
    fn string(&mut self) -> Result<Text, Failed> {
        match self.unescaped() {
            Some(text) => Ok(Text::from(text)),
            None => self.escaped(),
        }
    }

    /// A string of plain characters only, as most are, after its opening quote. Nothing is read if it is none.
    #[inline]
    fn unescaped(&mut self) -> Option<&'a str> {
        let (text, rest) = self.rest.split_at_checked(plain_length(self.rest.as_bytes()))?;
        self.rest = rest.strip_prefix('"')?;
        Some(text)
    }

    /// Any string, after its opening quote.
    #[cold]
    fn escaped(&mut self) -> Result<Text, Failed> {
        let mut text = Text::default();
        loop {
            text.push_str(self.take(plain_length(self.rest.as_bytes())));
            match self.peek() {
                Some(b'"') => {
                    self.take(1);
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return self.fail(ParseErrorKind::ControlCharacter),
                None => return self.fail(ParseErrorKind::End),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Failed> {
        let start = self.rest;
        self.take(1);
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.take(1);
                return self.unicode(start);
            }
            Some(_) => return self.fail_at(start, ParseErrorKind::Escape),
            None => return self.fail(ParseErrorKind::End),
        };
        self.take(1);
        Ok(character)
    }

    /// The character of `\uXXXX`, or of a pair of them; `start` begins with its backslash.
    fn unicode(&mut self, start: &str) -> Result<char, Failed> {
        let first = self.hex(start)?;
        let second = match first {
            0xD800..0xDC00 if self.eat('\\') && self.eat('u') => Some(self.hex(start)?),
            _ => None,
        };
        let mut characters = char::decode_utf16([first].into_iter().chain(second));
        match (characters.next(), characters.next()) {
            (Some(Ok(character)), None) => Ok(character),
            _ => self.fail_at(start, ParseErrorKind::LoneSurrogate),
        }
    }

    fn hex(&mut self, start: &str) -> Result<u16, Failed> {
        let digits = self.rest.get(..4).unwrap_or_default();
        match u16::from_str_radix(digits, 16) {
            // `from_str_radix` takes a sign as well.
            Ok(unit) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                self.take(4);
                Ok(unit)
            }
            _ => self.fail_at(start, ParseErrorKind::Escape),
        }
    }
}
