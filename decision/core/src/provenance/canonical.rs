//! One spelling for each value, so that a value is found again however it was written.

use crate::json::Value;
use crate::policy::{Format, Normalize};
use crate::rules::exact::Exact;
use crate::rules::has_format;

/// A text or number in its one spelling. Its first letter says what it was read as, so that values of two kinds never
/// meet.
///
/// | read as | spelling |
/// | --- | --- |
/// | number, or a text that is a decimal | the decimal without trailing zeros: `5`, `5.0` and `"5.00"` are one |
/// | IBAN, VAT number | without white space, upper case |
/// | absolute URL | as the WHATWG standard writes it: scheme and host in lower case, no default port |
/// | other text with `/` or `\` | without white space at both ends, otherwise as it is: paths may tell case apart |
/// | other text | lower case, white space as one blank, none at both ends |
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Canonical(String);

/// What a text was read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A decimal.
    Decimal,
    /// A number that people write in groups: IBAN, VAT number.
    Grouped,
    /// A URL: never has white space.
    Url,
    /// Words.
    Words,
}

impl Canonical {
    /// Of a text or a number. None for all else, and for a text without anything to see: these name nothing.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::of_text(text),
            Value::Number(number) => Some(match Exact::of_number(number) {
                Some(exact) => Self::decimal(exact),
                None => Self(format!("n{number}")),
            }),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Of a text; none for one without anything to see.
    pub fn of_text(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        if let Some(exact) = Exact::parse(text) {
            return Some(Self::decimal(exact));
        }
        if let Some(grouped) = grouped(text) {
            return Some(grouped);
        }
        if let Some(url) = url(text) {
            return Some(Self(format!("u{url}")));
        }
        if text.contains(['/', '\\']) {
            return Some(Self(format!("p{text}")));
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        Some(Self(format!("t{}", Normalize::Case.apply(&words.join(" ")))))
    }

    /// As bytes, for a fingerprint.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The spelling with its first letter.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The decimal, where it was read as one.
    pub(crate) fn decimal_text(&self) -> Option<&str> {
        self.0.strip_prefix('n')
    }

    /// What it was read as.
    pub(crate) fn kind(&self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'n') => Kind::Decimal,
            Some(b'i' | b'v') => Kind::Grouped,
            Some(b'u') => Kind::Url,
            _ => Kind::Words,
        }
    }

    fn decimal(exact: Exact) -> Self {
        Self(format!("n{exact}"))
    }
}

/// A number that people write in groups. Most texts are told apart by their first four characters.
fn grouped(text: &str) -> Option<Canonical> {
    let mut start = text.chars().filter(|c| !c.is_whitespace()).take(2);
    let letters = start.next()?.is_ascii_alphabetic() && start.next()?.is_ascii_alphabetic();
    if !letters || text.len() > 64 {
        return None;
    }
    let joined = Normalize::Spaces.apply(text);
    if has_format(Format::Iban, &joined) {
        return Some(Canonical(format!("i{joined}")));
    }
    has_format(Format::VatId, &joined).then(|| Canonical(format!("v{joined}")))
}

/// An absolute URL in the standard's spelling. What readers of URLs could take apart differently is none.
fn url(text: &str) -> Option<String> {
    if !text.contains("://") || text.contains('\\') || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    let url = url::Url::parse(text).ok().filter(url::Url::has_host)?;
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::json;

    fn of(json: &str) -> Option<Canonical> {
        Canonical::of(&json::parse(json.as_bytes()).unwrap())
    }

    #[test_case("5", r#""5.00""#; "numbers and decimal texts")]
    #[test_case(r#""DE89 3704 0044 0532 0130 00""#, r#""de89370400440532013000""#; "iban in groups")]
    #[test_case(r#"" Acme  GmbH ""#, r#""acme gmbh""#; "case and spaces")]
    #[test_case(r#""HTTPS://Shop.Example:443/a""#, r#""https://shop.example/a""#; "url")]
    #[test_case(r#""Dora@Acme.Example""#, r#""dora@acme.example""#; "mail address")]
    fn are_one_value(a: &str, b: &str) {
        assert!(of(a).is_some());
        assert_eq!(of(a), of(b));
    }

    #[test_case("5", r#""05""#; "leading zeros name another account")]
    #[test_case(r#""https://shop.example/A""#, r#""https://shop.example/a""#; "path of a url")]
    #[test_case(r#""/etc/Passwd""#, r#""/etc/passwd""#; "file path")]
    #[test_case(r#""acme gmbh""#, r#""acmegmbh""#; "words")]
    #[test_case(r#""\u212a""#, r#""k""#; "kelvin sign")]
    fn are_two_values(a: &str, b: &str) {
        assert_ne!(of(a), of(b));
    }

    #[test_case("null")]
    #[test_case("true")]
    #[test_case("[1]")]
    #[test_case(r#"" \t""#; "white space")]
    fn names_nothing(json: &str) {
        assert_eq!(of(json), None);
    }
}
