//! Percent-encoding: read strictly, written in one way.

/// Why an encoded text is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PercentError {
    /// `%` without two hex digits.
    #[error("must use % only before two hex digits")]
    Escape,
    /// A character that must be encoded.
    #[error("must percent-encode spaces, control characters, non-ASCII characters and delimiters")]
    Character,
    /// The bytes are not UTF-8.
    #[error("must be UTF-8 when decoded")]
    NotUtf8,
    /// NUL or another control character, encoded.
    #[error("must not hold control characters")]
    Control,
    /// An escape remains after decoding: a reader that decodes twice would see something else.
    #[error("must not be encoded twice")]
    Twice,
}

/// Which characters stay as they are; every other byte is written `%XX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// RFC 3986 unreserved: letters, digits, `-`, `.`, `_`, `~`.
    Unreserved,
    /// The form serialiser of the WHATWG URL standard: letters, digits, `*`, `-`, `.`, `_`, and a space as `+`.
    Form,
}

/// Writes a text in its one encoded form.
pub(super) fn encode(text: &str, kept: Kept, into: &mut String) {
    for byte in text.bytes() {
        let plain = match byte {
            b'-' | b'.' | b'_' => true,
            b'~' => kept == Kept::Unreserved,
            b'*' => kept == Kept::Form,
            _ => byte.is_ascii_alphanumeric(),
        };
        if plain {
            into.push(char::from(byte));
        } else if byte == b' ' && kept == Kept::Form {
            into.push('+');
        } else {
            into.push('%');
            let digits = [byte >> 4, byte & 0xF].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16));
            into.extend(digits.map(|digit| digit.to_ascii_uppercase()));
        }
    }
}

/// Decodes every escape. `plain` tells which bytes may stand for themselves.
pub(super) fn decode(text: &str, plus_is_space: bool, plain: impl Fn(u8) -> bool) -> Result<String, PercentError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let (high, low) = (rest.next().and_then(hex_digit), rest.next().and_then(hex_digit));
                let (Some(high), Some(low)) = (high, low) else { return Err(PercentError::Escape) };
                bytes.push(high.saturating_mul(16).saturating_add(low));
            }
            b'+' if plus_is_space => bytes.push(b' '),
            _ if plain(byte) => bytes.push(byte),
            _ => return Err(PercentError::Character),
        }
    }
    String::from_utf8(bytes).map_err(|_| PercentError::NotUtf8)
}

/// Refuses a decoded text that still holds an escape.
pub(super) fn once(text: &str) -> Result<(), PercentError> {
    let mut parts = text.split('%');
    parts.next();
    let escaped = |part: &str| part.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if parts.any(escaped) { Err(PercentError::Twice) } else { Ok(()) }
}

/// Bytes of an RFC 3986 `pchar`, beside escapes.
pub(super) fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

/// Bytes of an RFC 3986 query name or value, beside escapes and the separators `&` and `=`.
pub(super) fn is_query_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$'()*,;:@/?=".contains(&byte)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
