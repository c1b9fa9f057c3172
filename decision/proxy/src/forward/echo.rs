//! Echoes of a credential in an answer: as it was sent, and as JSON spells it (`\/`, `\u002B`), also where that JSON is
//! itself a text in JSON. A tool that wants to give its credential away can (backwards, compressed): what is meant here is
//! one that repeats requests.

use std::collections::VecDeque;
use std::ops::Range;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use zeroize::Zeroizing;

/// Shortest text that is looked for: a shorter one would match by chance.
const MIN_BYTES: usize = 6;
/// Shortest password that is looked for without its user. One of letters only may be a common word: it needs twice as many.
const MIN_PASSWORD: usize = 8;
/// What an answer holds in place of the credential.
const SCRUBBED: &[u8] = b"[redacted]";
/// How `user:password` is written (RFC 7617, 2); some leave out the padding.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is looked for.
pub struct Echoes(Vec<Needle>);

/// One text that is looked for, in time that grows with the answer only (Knuth, Morris and Pratt).
struct Needle {
    bytes: Zeroizing<Vec<u8>>,
    /// For each beginning of it, how long the longest shorter beginning is that this one ends with.
    borders: Vec<usize>,
}

/// One byte as it is meant, and where what spells it stands.
#[derive(Clone, Copy)]
struct Unit {
    byte: u8,
    from: usize,
    to: usize,
}

/// Units with JSON's escapes read. What is no escape stays as it is.
#[derive(Clone)]
struct Unescaped<I> {
    units: I,
    /// Bytes that are left of an escaped letter, the last first.
    left: Vec<Unit>,
}

impl std::fmt::Debug for Echoes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Echoes")
    }
}

impl Echoes {
    /// Those of a secret that is sent after this scheme.
    pub fn of(scheme: Option<&str>, secret: &[u8]) -> Self {
        // Without a scheme the Secret may hold one, as part of the whole value.
        let mut parts = secret.splitn(2, |byte| *byte == b' ');
        let (scheme, token) = match (scheme, parts.next(), parts.next()) {
            (Some(scheme), ..) => (scheme.as_bytes(), secret),
            (None, Some(scheme), Some(token)) => (scheme, token),
            (None, ..) => (b"".as_slice(), secret),
        };
        let mut texts = vec![Zeroizing::new(secret.to_vec())];
        if token.len() < secret.len() {
            texts.push(Zeroizing::new(token.to_vec()));
        }
        if scheme.eq_ignore_ascii_case(b"basic")
            && let Ok(pair) = BASIC.decode(token)
        {
            let pair = Zeroizing::new(pair);
            let password = pair.splitn(2, |byte| *byte == b':').nth(1).unwrap_or_default();
            if is_no_word(password) {
                texts.push(Zeroizing::new(password.to_vec()));
            }
            texts.push(pair);
        }
        Self(texts.into_iter().filter(|text| text.len() >= MIN_BYTES).map(Needle::new).collect())
    }

    /// Takes all of them out of an answer.
    pub fn scrub(&self, answer: Vec<u8>) -> Vec<u8> {
        let mut found = Vec::new();
        let is_escaped = answer.contains(&b'\\');
        for needle in &self.0 {
            needle.find(units(&answer), &mut found);
            if is_escaped {
                let json = Unescaped::new(units(&answer));
                needle.find(json.clone(), &mut found);
                needle.find(Unescaped::new(json), &mut found);
            }
        }
        if found.is_empty() {
            return answer;
        }
        // One place may be found several times, in several spellings.
        found.sort_unstable_by_key(|range| (range.start, range.end));
        let mut clean = Vec::with_capacity(answer.len());
        let mut at = 0;
        for Range { start, end } in found {
            if end <= at {
                continue;
            }
            if start >= at {
                clean.extend_from_slice(answer.get(at..start).unwrap_or_default());
                clean.extend_from_slice(SCRUBBED);
            }
            at = end;
        }
        clean.extend_from_slice(answer.get(at..).unwrap_or_default());
        clean
    }
}

/// Whether a password is long enough to be looked for without its user.
fn is_no_word(password: &[u8]) -> bool {
    let enough = if password.iter().all(u8::is_ascii_alphabetic) { MIN_PASSWORD * 2 } else { MIN_PASSWORD };
    password.len() >= enough
}

impl Needle {
    fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        let mut borders = vec![0];
        let mut matched = 0;
        for byte in bytes.iter().skip(1) {
            matched = longer(&bytes, &borders, matched, *byte);
            borders.push(matched);
        }
        Self { bytes, borders }
    }

    fn find(&self, units: impl Iterator<Item = Unit>, found: &mut Vec<Range<usize>>) {
        // Of the bytes that match so far.
        let mut starts = VecDeque::new();
        for unit in units {
            let matched = longer(&self.bytes, &self.borders, starts.len(), unit.byte);
            starts.push_back(unit.from);
            while starts.len() > matched {
                starts.pop_front();
            }
            if matched == self.bytes.len() {
                found.extend(starts.front().map(|start| *start..unit.to));
                starts.clear();
            }
        }
    }
}

/// How much of the needle is matched by what was matched and this byte.
fn longer(needle: &[u8], borders: &[usize], mut matched: usize, byte: u8) -> usize {
    loop {
        if needle.get(matched) == Some(&byte) {
            return matched + 1;
        }
        let Some(last) = matched.checked_sub(1) else { return 0 };
        matched = borders.get(last).copied().unwrap_or_default();
    }
}

/// The bytes as they stand.
fn units(bytes: &[u8]) -> impl Iterator<Item = Unit> + Clone {
    bytes.iter().enumerate().map(|(at, byte)| Unit { byte: *byte, from: at, to: at + 1 })
}

impl<I> Unescaped<I> {
    fn new(units: I) -> Self {
        Self { units, left: Vec::new() }
    }
}

impl<I: Iterator<Item = Unit> + Clone> Iterator for Unescaped<I> {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        if let Some(unit) = self.left.pop() {
            return Some(unit);
        }
        let first = self.units.next()?;
        if first.byte != b'\\' {
            return Some(first);
        }
        // At most eleven further units, so the whole takes time that grows with the answer only.
        let mut ahead = self.units.clone();
        let Some((letter, to)) = escaped(&mut ahead) else { return Some(first) };
        self.units = ahead;
        let mut utf8 = [0; 4];
        let bytes = letter.encode_utf8(&mut utf8).bytes();
        self.left.extend(bytes.rev().map(|byte| Unit { byte, from: first.from, to }));
        self.left.pop()
    }
}

/// The letter that an escape means, after its backslash, and where it ends (RFC 8259, 7).
fn escaped(units: &mut impl Iterator<Item = Unit>) -> Option<(char, usize)> {
    let kind = units.next()?;
    let letter = match kind.byte {
        b'"' | b'\\' | b'/' => char::from(kind.byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return coded(units),
        _ => return None,
    };
    Some((letter, kind.to))
}

/// The letter of four hexadecimal digits, or of a surrogate pair.
fn coded(units: &mut impl Iterator<Item = Unit>) -> Option<(char, usize)> {
    let (first, to) = four_digits(units)?;
    if let Some(letter) = char::from_u32(first.into()) {
        return Some((letter, to));
    }
    if units.next()?.byte != b'\\' || units.next()?.byte != b'u' {
        return None;
    }
    let (second, to) = four_digits(units)?;
    let letter = char::decode_utf16([first, second]).next()?.ok()?;
    Some((letter, to))
}

fn four_digits(units: &mut impl Iterator<Item = Unit>) -> Option<(u16, usize)> {
    let (mut value, mut to) = (0_u16, 0);
    for _ in 0..4 {
        let unit = units.next()?;
        let digit = u16::try_from(char::from(unit.byte).to_digit(16)?).ok()?;
        value = (value << 4) | digit;
        to = unit.to;
    }
    Some((value, to))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scrubbed(echoes: &Echoes, answer: &str) -> String {
        String::from_utf8(echoes.scrub(answer.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn echoes_are_scrubbed_wherever_they_are() {
        let echoes = Echoes::of(Some("Bearer"), b"s3cr3t!");
        for (answer, clean) in [
            ("s3cr3t!", "[redacted]"),
            ("you sent s3cr3t!s3cr3t! twice", "you sent [redacted][redacted] twice"),
            ("s3s3cr3s3cr3t!", "s3s3cr3[redacted]"),
            ("s3cr3t", "s3cr3t"),
            ("", ""),
        ] {
            assert_eq!(scrubbed(&echoes, answer), clean);
        }
        let short = Echoes::of(Some("Bearer"), b"abcde");
        assert_eq!(scrubbed(&short, "abcde"), "abcde", "too short to be no chance");
        let twice = Echoes::of(None, b"aabaab");
        assert_eq!(scrubbed(&twice, "aabaabaab aabaaabaab"), "[redacted]aab aaba[redacted]");
    }

    #[test]
    fn echoes_are_scrubbed_in_every_spelling_of_json() {
        let echoes = Echoes::of(Some("Bearer"), b"ab/cd+ef==");
        for spelling in [
            r"ab/cd+ef==",
            r"ab\/cd+ef==",
            r"ab/cd+ef\u003d\u003d",
            r"ab/cd\u002Bef==",
            r"ab\u002fcd\u002bef\u003D=",
            r"\u0061\u0062\u002f\u0063\u0064\u002b\u0065\u0066\u003d\u003d",
            // JSON as a text in JSON.
            r"ab\\/cd+ef==",
            r"ab\\\/cd+ef\\u003d\\u003D",
            r"ab\u005c/cd+ef==",
        ] {
            let answer = format!(r#"{{"a":"\n{spelling}","b":"\ud83d x \u00","c":"{spelling}\\"}}"#);
            let clean = r#"{"a":"\n[redacted]","b":"\ud83d x \u00","c":"[redacted]\\"}"#;
            assert_eq!(scrubbed(&echoes, &answer), clean, "{spelling}");
        }
        for other in [r"ab\cd+ef==", r"ab\u003fcd+ef==", r"ab\u002gcd+ef==", r"ab/cd+ef\u003"] {
            assert_eq!(scrubbed(&echoes, other), other);
        }
    }

    #[test]
    fn a_secret_with_backslashes_is_found_as_it_is_and_as_json() {
        let echoes = Echoes::of(None, br#"a\u003d"b\n\"#);
        for spelling in [r#"a\u003d"b\n\"#, r#"a\\u003d\"b\\n\\"#, r"a\u005cu003d\u0022b\\n\\"] {
            assert_eq!(scrubbed(&echoes, &format!("<{spelling}>")), "<[redacted]>", "{spelling}");
        }
    }

    #[test]
    fn of_basic_the_pair_and_a_long_password_are_scrubbed_too() {
        // ann:p/ss+w0rd\u{1f511}
        let echoes = Echoes::of(Some("Basic"), b"YW5uOnAvc3MrdzByZPCflJE=");
        for (answer, clean) in [
            ("YW5uOnAvc3MrdzByZPCflJE=", "[redacted]"),
            (r"YW5uOnAvc3MrdzByZPCflJE\u003d", "[redacted]"),
            ("ann:p/ss+w0rd\u{1f511}", "[redacted]"),
            (r"ann:p\/ss+w0rd\ud83d\udd11", "[redacted]"),
            (r#"{"user":"ann","password":"p\/ss\u002bw0rd\uD83D\uDD11"}"#, r#"{"user":"ann","password":"[redacted]"}"#),
            ("ann", "ann"),
        ] {
            assert_eq!(scrubbed(&echoes, answer), clean, "{answer}");
        }
        // Without padding, and with the scheme in the Secret.
        for echoes in [Echoes::of(Some("basic"), b"YW5uOnB1cmNoYXNl"), Echoes::of(None, b"Basic YW5uOnB1cmNoYXNl")] {
            assert_eq!(scrubbed(&echoes, "YW5uOnB1cmNoYXNl"), "[redacted]");
            assert_eq!(scrubbed(&echoes, "ann:purchase"), "[redacted]");
            assert_eq!(scrubbed(&echoes, "ann did purchase"), "ann did purchase", "a word");
        }
        assert_eq!(scrubbed(&Echoes::of(Some("Basic"), b"YW5uOnBlbg"), "ann:pen or a pen"), "[redacted] or a pen");
        let bearer = Echoes::of(Some("Bearer"), b"YW5uOnAvc3MrdzByZA==");
        assert_eq!(scrubbed(&bearer, "ann:p/ss+w0rd"), "ann:p/ss+w0rd", "no pair");
    }

    #[test]
    fn a_token_is_found_without_the_scheme_that_its_secret_holds() {
        let echoes = Echoes::of(None, b"Bearer s3cr3t!");
        assert_eq!(scrubbed(&echoes, "Bearer s3cr3t!, or s3cr3t!"), "[redacted], or [redacted]");
    }

    proptest! {
        #[test]
        fn no_spelling_is_left(
            secret in "[a-d/+=\"\\\\]{6,12}",
            around in "[a-d\\\\u0-9\"/ ]{0,12}",
            spell in proptest::collection::vec(0..3_u8, 12),
        ) {
            let echoes = Echoes::of(Some("Bearer"), secret.as_bytes());
            let spelled: String = secret
                .chars()
                .zip(spell)
                .map(|(letter, how)| match (letter, how) {
                    ('"' | '\\' | '/', 0) => format!("\\{letter}"),
                    ('"' | '\\', _) | (_, 1) => format!("\\u{:04x}", u32::from(letter)),
                    (letter, _) => letter.to_string(),
                })
                .collect();
            let text = |part: &str| serde_json::to_string(part).unwrap();
            let answer = format!(r#"[{},"{spelled}",{}]"#, text(&around), text(&around));
            let clean = scrubbed(&echoes, &answer);
            prop_assert!(clean.contains("[redacted]"), "{answer} -> {clean}");
            if let Ok(left) = serde_json::from_str::<Vec<String>>(&clean) {
                prop_assert!(left.iter().all(|text| !text.contains(&secret)), "{answer} -> {clean}");
            }
        }
    }
}
