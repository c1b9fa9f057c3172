//! The literals that every match of a pattern begins with.
//!
//! A literal stops where the pattern goes on with too many ways: before a counted class, most of the time. That is enough
//! to find a pattern by, since a pattern that is found is asked itself.

use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::Extractor;

/// Shortest literal that a pattern is found by, in bytes; shorter ones say too little.
const MIN_LITERAL: usize = 2;
/// Most literals that one pattern is found by. A table has an entry for each of them.
pub(crate) const MAX_LITERALS: usize = 16;
/// Largest class, in characters, that a literal goes through. Tried in this order: first both cases of a letter (with `K`
/// of Kelvin and `S` of the long s three) and no more, so that `INV-[0-9]{4}` is found by one literal and not by ten; then,
/// where a pattern begins with a class, digits.
const CLASSES: [usize; 2] = [3, 10];

/// The literals, if there are few (at most 16) and each says something (at least 2 bytes); none where there are no such.
/// `pattern` may hold anchors.
pub(super) fn of(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let parsed = regex_syntax::parse(pattern).ok()?;
    CLASSES.into_iter().find_map(|class| through(&parsed, class))
}

fn through(pattern: &Hir, class: usize) -> Option<Vec<Vec<u8>>> {
    // What would be more literals than that is cut short instead.
    let found = Extractor::new().limit_class(class).limit_total(MAX_LITERALS).extract(pattern);
    let literals: Vec<_> = found.literals()?.iter().map(|literal| literal.as_bytes().to_vec()).collect();
    let useful = !literals.is_empty() && literals.iter().all(|literal| literal.len() >= MIN_LITERAL);
    useful.then_some(literals)
}

#[cfg(test)]
mod tests {
    use regex::Regex;
    use test_case::test_case;

    use super::*;

    fn whole(pattern: &str) -> String {
        format!(r"\A(?:{pattern})\z")
    }

    #[test_case("INV-2026-[0-9]+", &["INV-2026-"]; "one literal")]
    #[test_case("(cat|dog)s?", &["cats", "cat", "dogs", "dog"]; "a few")]
    #[test_case("ORD-7-[0-9]{4,8}", &["ORD-7-"]; "before counted digits")]
    #[test_case("ORD-7-[0-9]{4}-[A-Z]", &["ORD-7-"]; "before counted digits with more behind them")]
    #[test_case(r"ORD-7-\d{4}", &["ORD-7-"]; "before digits of all alphabets")]
    #[test_case(r"ORD-7-\w{1,30}", &["ORD-7-"]; "before counted letters")]
    #[test_case("(AB|CD)-[0-9]{3}", &["AB-", "CD-"]; "of each branch")]
    #[test_case("(?i)ab[0-9]{2}", &["AB", "Ab", "aB", "ab"]; "in either case")]
    #[test_case("[0-2]X[0-9]{3}", &["0X", "1X", "2X"]; "through a small class")]
    #[test_case("[0-9]X-[0-9]{3}", &["0X-", "1X-", "2X-", "3X-", "4X-", "5X-", "6X-", "7X-", "8X-", "9X-"]; "digits in front")]
    #[test_case("x{12}[0-9]", &["xxxxxxxxxx"]; "of a long repetition the beginning")]
    fn a_pattern_is_found_by(pattern: &str, expected: &[&str]) {
        let found = of(&whole(pattern)).unwrap();
        assert_eq!(found, expected.iter().map(|literal| literal.as_bytes().to_vec()).collect::<Vec<_>>());
    }

    #[test_case(".*foo"; "begins with anything")]
    #[test_case("[A-Z]{2}[0-9]{2}"; "begins with any of many")]
    #[test_case("[0-9]{4,8}"; "only counted digits")]
    #[test_case("a?"; "may be empty")]
    #[test_case("a[0-9]*|b"; "too short")]
    fn a_pattern_without_a_beginning_is_found_by_none(pattern: &str) {
        assert_eq!(of(&whole(pattern)), None);
    }

    #[test_case("[a-c][a-c][a-c][a-c]x"; "small classes in a row")]
    #[test_case("(aa|bb|cc|dd|ee|ff|gg|hh|ii|jj|kk|ll|mm|nn|oo|pp|qq)x"; "one branch more than there may be literals")]
    #[test_case("[0-9][0-9]X"; "more ways than there may be literals")]
    #[test_case("(?i)abcdef"; "both cases of many letters")]
    fn no_pattern_is_found_by_more(pattern: &str) {
        assert!(of(&whole(pattern)).is_none_or(|found| found.len() <= MAX_LITERALS));
    }

    /// A pattern that did not stand at its literals would be a rule that is never looked at.
    #[test_case("ORD-7-[0-9]{4,8}", &["ORD-7-1234", "ORD-7-12345678"])]
    #[test_case("(?i)invoice-[0-9]{2}", &["INVOICE-12", "invoice-12", "InVoIcE-99"])]
    #[test_case("(?i)ask[0-9]{2}", &["a\u{17f}\u{212a}12", "ASK12"]; "letters that only fold to others")]
    #[test_case("(?m)^ab$|bcd", &["ab", "bcd"]; "anchors within")]
    #[test_case(r"a\bb|abc", &["abc"]; "a branch that never matches")]
    fn every_match_begins_with_one_of_the_literals(pattern: &str, texts: &[&str]) {
        let pattern = whole(pattern);
        let found = of(&pattern).unwrap();
        for text in texts {
            assert!(Regex::new(&pattern).unwrap().is_match(text), "{text}");
            assert!(found.iter().any(|literal| text.as_bytes().starts_with(literal)), "{text} {found:?}");
        }
    }
}
