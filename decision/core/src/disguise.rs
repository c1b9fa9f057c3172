//! Characters that a screen does not show as themselves, and how a text is shown that may hold some.
//!
//! What people read to decide or to understand goes through here: the preview of a held call, the text of `aegis why`,
//! all that the command line prints.

/// Control, format, direction, variation and filler characters, and every white space but the plain one: they hide or
/// turn text, or move the cursor.
pub fn disguises(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
        || (c.is_whitespace() && c != ' ')
}

/// The text with each such character written as `\u{...}`.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if disguises(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case('\u{1b}'; "control")]
    #[test_case('\n'; "line feed")]
    #[test_case('\u{9b}'; "control of eight bits")]
    #[test_case('\u{a0}'; "space that does not break")]
    #[test_case('\u{ad}'; "soft hyphen")]
    #[test_case('\u{34f}'; "grapheme joiner")]
    #[test_case('\u{61c}'; "Arabic letter mark")]
    #[test_case('\u{115f}'; "Hangul leading filler")]
    #[test_case('\u{1160}'; "Hangul vowel filler")]
    #[test_case('\u{1680}'; "Ogham space")]
    #[test_case('\u{17b4}'; "Khmer vowel AQ")]
    #[test_case('\u{17b5}'; "Khmer vowel AA")]
    #[test_case('\u{180e}'; "Mongolian vowel separator")]
    #[test_case('\u{2003}'; "wide space")]
    #[test_case('\u{200b}'; "space without width")]
    #[test_case('\u{200e}'; "direction mark")]
    #[test_case('\u{2028}'; "line separator")]
    #[test_case('\u{202e}'; "override of the direction")]
    #[test_case('\u{205f}'; "mathematical space")]
    #[test_case('\u{2066}'; "isolate")]
    #[test_case('\u{3000}'; "ideographic space")]
    #[test_case('\u{3164}'; "Hangul filler")]
    #[test_case('\u{fe0f}'; "variation selector")]
    #[test_case('\u{feff}'; "byte order mark")]
    #[test_case('\u{ffa0}'; "filler of half width")]
    #[test_case('\u{fff9}'; "annotation")]
    #[test_case('\u{e0041}'; "tag")]
    #[test_case('\u{e0100}'; "further variation selector")]
    fn is_written_out(c: char) {
        assert_eq!(printable(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
    }

    #[test_case(" plain text, 1/2 (a-z) \\ \"'"; "ASCII")]
    #[test_case("Größe Ίδα Нина 北京 ありがとう 👍"; "letters of other alphabets")]
    fn is_shown_as_it_is(text: &str) {
        assert_eq!(printable(text), text);
    }
}
