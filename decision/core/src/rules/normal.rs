//! How strings are changed before they are compared.

use std::borrow::Cow;

use crate::policy::Normalize;

impl Normalize {
    /// The text in normal form. Applied to both sides of a comparison.
    ///
    /// No letter beyond ASCII becomes an ASCII one (`K` the kelvin sign stays apart from `k`, long `ſ` from `S`): the
    /// tool would see another letter than the one that was judged.
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            Self::Trim => Cow::Borrowed(text.trim()),
            Self::Case => Cow::Owned(text.trim().chars().map(lower).collect()),
            Self::Spaces => {
                let mut normal = String::with_capacity(text.len());
                text.chars().filter(|c| !c.is_whitespace()).for_each(|c| push_upper(&mut normal, c));
                Cow::Owned(normal)
            }
        }
    }
}

/// Simple lower case: one character each, whatever stands around it (no final sigma).
fn lower(c: char) -> char {
    match c.to_lowercase().next() {
        Some(small) if c.is_ascii() || !small.is_ascii() => small,
        _ => c,
    }
}

fn push_upper(normal: &mut String, c: char) {
    if c.is_ascii() {
        normal.push(c.to_ascii_uppercase());
    } else if c.to_uppercase().all(|large| !large.is_ascii()) {
        normal.extend(c.to_uppercase());
    } else {
        normal.push(c);
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(Normalize::None, " aB ", " aB ")]
    #[test_case(Normalize::Trim, "\u{a0} a B\t\n", "a B")]
    #[test_case(Normalize::Case, " ÄB Σ ", "äb σ"; "case beyond ascii")]
    #[test_case(Normalize::Case, "\u{212a}İ", "\u{212a}İ"; "kelvin sign and dotted capital i stay")]
    #[test_case(Normalize::Spaces, " de89 3704\u{2009}0044 ", "DE8937040044")]
    #[test_case(Normalize::Spaces, "ſıßäﬁ", "ſıßÄﬁ"; "letters that would become ascii stay")]
    fn normalises(normalize: Normalize, text: &str, normal: &str) {
        assert_eq!(normalize.apply(text), normal);
    }
}
