//! Known formats of strings.

use iso_country::Country;
use iso_currency::Currency;
use jiff::civil::Date;

use super::host::Host;
use super::{iban, instant, vat};
use crate::policy::Format;

/// Whether the string has the format, as it stands: spaces and lower case in an IBAN need `normalize: Spaces`.
pub(crate) fn is(format: Format, text: &str) -> bool {
    match format {
        Format::Iban => iban::is_iban(text),
        Format::Bic => is_bic(text),
        Format::Email => is_email(text),
        Format::Domain => is_domain(text),
        Format::Url => Host::of_url(text).is_some(),
        Format::Uuid => is_uuid(text),
        Format::Date => is_date(text),
        Format::DateTime => instant::is_date_time(text),
        Format::Currency => Currency::from_code(text).is_some(),
        Format::VatId => vat::is_vat_id(text),
        Format::Luhn => is_luhn(text),
    }
}

/// ISO 9362: four characters for the party, its country, two for the place, and three for a branch or none. Kosovo has no
/// code in ISO 3166; its banks are registered under `XK`.
fn is_bic(text: &str) -> bool {
    let country = |code: &str| code == "XK" || (code.len() == 2 && code.parse::<Country>().is_ok());
    matches!(text.len(), 8 | 11)
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && text.get(4..6).is_some_and(country)
}

/// ISO/IEC 7812-1, annex B: counted from the right, every second digit is doubled and its digits are summed.
fn is_luhn(text: &str) -> bool {
    let digits = || text.bytes().map(|b| u32::from(b.wrapping_sub(b'0')));
    let weighed = digits().rev().enumerate().map(|(place, digit)| match place % 2 {
        0 => digit,
        // 2 x 5 to 2 x 9 have the digit sums 1, 3, 5, 7, 9.
        _ => (digit * 2) % 10 + u32::from(digit > 4),
    });
    text.len() > 1 && digits().all(|digit| digit < 10) && weighed.fold(0, |sum, digit| (sum + digit) % 10) == 0
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
/// its third and fourth place must be an IDNA one (RFC 5891, 4.2.3.1), and what it stands for must be a name by UTS 46.
/// A suffix that belongs to nobody, such as `co.uk`, is no domain; a hoster's suffix, such as `github.io`, is.
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
        && idna::domain_to_ascii(text)
            .is_ok_and(|ascii| ascii.eq_ignore_ascii_case(text) && !is_registry_suffix(&ascii))
}

fn is_registry_suffix(name: &str) -> bool {
    psl::suffix(name.as_bytes())
        .is_some_and(|suffix| suffix.typ() == Some(psl::Type::Icann) && suffix.as_bytes() == name.as_bytes())
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
    #[test_case(Format::Bic, "DEUTDEFF"; "bic of a head office")]
    #[test_case(Format::Bic, "DEUTDEFF500"; "bic of a branch")]
    #[test_case(Format::Bic, "1234XK22"; "digits and kosovo")]
    #[test_case(Format::Domain, "db.corp.internal"; "suffix that no list knows")]
    #[test_case(Format::Domain, "github.io"; "suffix of a hoster")]
    #[test_case(Format::Domain, "shop.co.uk")]
    #[test_case(Format::Url, "https://shop.example/a?b=c#d")]
    #[test_case(Format::Url, "http://10.0.0.7:8080"; "address and port")]
    #[test_case(Format::DateTime, "2031-05-06T07:08:09+02:00")]
    #[test_case(Format::VatId, "DE123456789")]
    #[test_case(Format::Luhn, "4111111111111111"; "card")]
    #[test_case(Format::Luhn, "79927398713"; "odd number of digits")]
    #[test_case(Format::Luhn, "00"; "two zeros")]
    fn has_the_format(format: Format, text: &str) {
        assert!(is(format, text));
    }

    #[test_case(Format::Iban, "DE89370400440532013001"; "checksum")]
    #[test_case(Format::Iban, "DE8937040044053201300"; "too short")]
    #[test_case(Format::Iban, "CH9930775AAN1KS4855V0"; "check digits that nobody makes")]
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
    #[test_case(Format::Bic, "DEUTDEF"; "seven characters")]
    #[test_case(Format::Bic, "DEUTDEFF50"; "ten characters")]
    #[test_case(Format::Bic, "DEUTZZFF"; "no such country in a bic")]
    #[test_case(Format::Bic, "deutdeff"; "lower case bic")]
    #[test_case(Format::Bic, "DEUTD1FF"; "digit in the country")]
    #[test_case(Format::Bic, "ÄÄDEFF"; "eight bytes of six letters")]
    #[test_case(Format::Domain, "co.uk"; "public suffix")]
    #[test_case(Format::Domain, "a.ck"; "public suffix by a wildcard")]
    #[test_case(Format::Domain, "xn--a.example"; "no punycode")]
    #[test_case(Format::Email, "a@co.uk"; "at a public suffix")]
    #[test_case(Format::Url, "/a/b"; "relative")]
    #[test_case(Format::Url, "mailto:a@b.example"; "other scheme")]
    #[test_case(Format::Url, "https://u:p@shop.example/"; "user information")]
    #[test_case(Format::Url, "https://shop.example/a b"; "space in a url")]
    #[test_case(Format::DateTime, "2031-05-06"; "a date only")]
    #[test_case(Format::VatId, "DE12345678"; "short vat number")]
    #[test_case(Format::Luhn, "4111111111111112"; "wrong check digit")]
    #[test_case(Format::Luhn, "4111 1111 1111 1111"; "spaces between digits")]
    #[test_case(Format::Luhn, "0"; "one digit")]
    #[test_case(Format::Luhn, ""; "no digit")]
    #[test_case(Format::Luhn, "４１"; "full-width digits")]
    #[test_case(Format::Currency, "eur"; "lower case currency")]
    #[test_case(Format::Currency, "EURO"; "four letters")]
    #[test_case(Format::Currency, "ZZZ"; "no such currency")]
    fn has_another_format(format: Format, text: &str) {
        assert!(!is(format, text));
    }
}
