//! Known formats of strings.

use iban::Iban;
use iso_currency::Currency;
use jiff::civil::Date;

use crate::policy::Format;

/// Whether the string has the format, as it stands: spaces and lower case in an IBAN need `normalize: Spaces`.
pub(super) fn is(format: Format, text: &str) -> bool {
    match format {
        Format::Iban => is_iban(text),
        Format::Email => is_email(text),
        Format::Domain => is_domain(text),
        Format::Uuid => is_uuid(text),
        Format::Date => is_date(text),
        Format::Currency => Currency::from_code(text).is_some(),
    }
}

/// ISO 13616 in its electronic form: country's length and structure, and the checksum.
fn is_iban(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) && text.parse::<Iban>().is_ok()
}

/// RFC 5321 dot-string and domain, ASCII, no quotes, no comments, no address literal.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let atom = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    text.len() <= 254 && local.len() <= 64 && local.split('.').all(atom) && is_domain(domain)
}

/// RFC 1123 host name of at least two labels; the last is not a number, so an IPv4 address is none. A label with `--` at
/// its third and fourth place must be an IDNA one (RFC 5891, 4.2.3.1).
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let reserved = label.get(2..4) == Some("--");
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
            && (!reserved || label.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("xn")))
    };
    text.len() <= 253
        && text.split('.').all(label)
        && text.rsplit_once('.').is_some_and(|(_, last)| !last.bytes().all(|b| b.is_ascii_digit()))
}

/// RFC 9562: 8-4-4-4-12 hex digits, either case.
fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    text.split('-').map(str::len).eq(lengths) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// RFC 3339 full-date: `YYYY-MM-DD`, a day that exists.
fn is_date(text: &str) -> bool {
    let shaped = text.len() == 10
        && text.bytes().enumerate().all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() });
    shaped && text.parse::<Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(Format::Iban, "DE89370400440532013000")]
    #[test_case(Format::Iban, "NO9386011117947"; "shortest")]
    #[test_case(Format::Iban, "MT84MALT011000012345MTLCAST001S"; "letters")]
    #[test_case(Format::Email, "a@b.example")]
    #[test_case(Format::Email, "first.last+tag@mail.example.com")]
    #[test_case(Format::Domain, "xn--bcher-kva.example"; "idna")]
    #[test_case(Format::Domain, "A-1.example.com")]
    #[test_case(Format::Uuid, "018f4b1e-7d4a-7c3e-9a51-0b2f6d7c8e9f")]
    #[test_case(Format::Uuid, "00000000-0000-0000-0000-000000000000"; "nil")]
    #[test_case(Format::Uuid, "018F4B1E-7D4A-7C3E-9A51-0B2F6D7C8E9F"; "upper case")]
    #[test_case(Format::Date, "2024-02-29")]
    #[test_case(Format::Currency, "EUR")]
    fn has_the_format(format: Format, text: &str) {
        assert!(is(format, text));
    }

    #[test_case(Format::Iban, "DE89370400440532013001"; "checksum")]
    #[test_case(Format::Iban, "DE8937040044053201300"; "too short")]
    #[test_case(Format::Iban, "DE89 3704 0044 0532 0130 00"; "spaces")]
    #[test_case(Format::Iban, "de89370400440532013000"; "lower case")]
    #[test_case(Format::Iban, "XX89370400440532013000"; "no such country")]
    #[test_case(Format::Iban, "DE8937040044053201300０"; "full-width digit")]
    #[test_case(Format::Iban, ""; "empty iban")]
    #[test_case(Format::Email, "a@b"; "one label")]
    #[test_case(Format::Email, "a@b@c.example"; "two at signs")]
    #[test_case(Format::Email, "a..b@c.example"; "two dots")]
    #[test_case(Format::Email, "\"a b\"@c.example"; "quoted")]
    #[test_case(Format::Email, "a@[127.0.0.1]"; "address literal")]
    #[test_case(Format::Email, "a@b.example\n"; "line end")]
    #[test_case(Format::Email, "А@b.example"; "cyrillic")]
    #[test_case(Format::Domain, "localhost"; "one label domain")]
    #[test_case(Format::Domain, "127.0.0.1"; "ip address")]
    #[test_case(Format::Domain, "a.example."; "trailing dot")]
    #[test_case(Format::Domain, "-a.example"; "leading hyphen")]
    #[test_case(Format::Domain, "ab--c.example"; "reserved")]
    #[test_case(Format::Domain, "bücher.example"; "unicode")]
    #[test_case(Format::Domain, "a_b.example"; "underscore")]
    #[test_case(Format::Uuid, "018f4b1e7d4a7c3e9a510b2f6d7c8e9f"; "no hyphens")]
    #[test_case(Format::Uuid, "{018f4b1e-7d4a-7c3e-9a51-0b2f6d7c8e9f}"; "braces")]
    #[test_case(Format::Uuid, "018f4b1e-7d4a-7c3e-9a51-0b2f6d7c8e9g"; "no hex digit")]
    #[test_case(Format::Date, "2023-02-29"; "no such day")]
    #[test_case(Format::Date, "2024-2-29"; "short month")]
    #[test_case(Format::Date, "2024-02-29T00:00:00Z"; "date time")]
    #[test_case(Format::Date, "20240229"; "basic format")]
    #[test_case(Format::Date, "-0024-02-2"; "negative")]
    #[test_case(Format::Currency, "eur"; "lower case currency")]
    #[test_case(Format::Currency, "EURO"; "four letters")]
    #[test_case(Format::Currency, "ZZZ"; "no such currency")]
    fn has_another_format(format: Format, text: &str) {
        assert!(!is(format, text));
    }
}
