//! Whether a text in a person's words names a value: verbatim, as whole words.

use super::canonical::{Canonical, Kind};

/// Most groups that an IBAN is written in: 34 characters in fours.
pub(crate) const MAX_GROUPS: usize = 9;
/// Most words of a value that is looked for.
const MAX_WORDS: usize = 32;

/// Whether `text` has the value as whole words, in any of its spellings. Punctuation around it does not count.
pub(super) fn mentions(text: &str, wanted: &Canonical) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let widths = match wanted.kind() {
        Kind::Decimal | Kind::Url => 1..=1,
        Kind::Grouped => 1..=MAX_GROUPS,
        Kind::Words => {
            let count = wanted.as_str().split_whitespace().count();
            count..=count
        }
    };
    if *widths.end() > MAX_WORDS {
        return false;
    }
    widths.into_iter().any(|width| words.windows(width.max(1)).any(|window| is(&window.join(" "), wanted)))
}

fn is(text: &str, wanted: &Canonical) -> bool {
    let bare = bare(text);
    Canonical::of_text(bare).as_ref() == Some(wanted)
        || (bare.len() != text.len() && Canonical::of_text(text).as_ref() == Some(wanted))
}

/// A word without the punctuation around it.
pub(crate) fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| {
        matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '"' | '\'' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>')
            || matches!(c, '«' | '»' | '“' | '”' | '„' | '‘' | '’')
    })
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    const REQUEST: &str =
        "Please pay 5000.00 EUR to Blue Paper Inc. (IBAN: DE89 3704 0044 0532 0130 00), see https://Blue.example/Bill.";

    #[test_case("5000", true; "amount")]
    #[test_case("DE89370400440532013000", true; "iban in groups")]
    #[test_case("blue paper", true; "words in another case")]
    #[test_case("Blue Paper Inc.", true; "words with their own punctuation")]
    #[test_case("https://blue.example/Bill", true; "url before a full stop")]
    #[test_case("500", false; "part of a number")]
    #[test_case("lue Paper", false; "part of a word")]
    #[test_case("Paper Blue", false; "words in another order")]
    #[test_case("GB82WEST12345698765432", false; "another iban")]
    #[test_case("https://blue.example/bill", false; "another path")]
    fn names_whole_words(value: &str, named: bool) {
        assert_eq!(mentions(REQUEST, &Canonical::of_text(value).unwrap()), named);
    }
}
