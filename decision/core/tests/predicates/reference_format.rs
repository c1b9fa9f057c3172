//! Formats once more, from their sources: written by hand, without the libraries that the product uses. Where a format
//! rests on a list (countries, suffixes), it knows what the generator makes.

use aegis_decision::policy::Format;

use super::host;

/// Countries of the generator's IBANs: length, and whether all behind the checksum are digits (the IBAN registry).
const IBANS: [(&str, usize, Places); 4] =
    [("DE", 22, |_| true), ("NO", 15, |_| true), ("CH", 21, |at| at < 5), ("MT", 31, |at| (4..9).contains(&at))];
/// Whether a place is one.
type Places = fn(usize) -> bool;
/// Countries of ISO 3166-1, and `XK`, which it does not have.
const COUNTRIES: &str = concat!(
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS ",
    "BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE ",
    "EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM ",
    "HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC ",
    "LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA ",
    "NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW ",
    "SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO ",
    "TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW ",
    "XK",
);
/// What RFC 5321 and 5322 call atext, but for letters and digits.
const ATEXT: &str = "!#$%&'*+-/=?^_`{|}~";
/// Names among the generator's that registries lend names under.
const SUFFIXES: [&str; 1] = ["co.uk"];

/// Whether the text has the format.
pub fn is(format: Format, text: &str) -> bool {
    match format {
        Format::Currency => ["EUR", "USD"].contains(&text),
        Format::Luhn => luhn(text),
        Format::DateTime => date_time(text),
        Format::Url => text.contains("://") && host::of(text).is_some(),
        Format::Iban => iban(text),
        Format::Bic => bic(text),
        Format::Uuid => uuid(text),
        Format::Date => date(text),
        Format::Email => email(text),
        Format::Domain => domain(text),
        Format::VatId => vat_id(text),
    }
}

fn luhn(text: &str) -> bool {
    let Some(digits) = text.chars().map(|c| c.to_digit(10)).collect::<Option<Vec<_>>>() else { return false };
    let written: String = digits.iter().rev().zip([1, 2].iter().cycle()).map(|(a, b)| (a * b).to_string()).collect();
    digits.len() > 1 && written.chars().filter_map(|c| c.to_digit(10)).sum::<u32>() % 10 == 0
}

/// ISO 13616: the first four characters behind the others, letters as 10 to 35, leave 1 when divided by 97.
pub fn remainder(text: &str) -> u32 {
    let moved = format!("{}{}", &text[4..], &text[..4]);
    moved.chars().fold(0, |rest, c| {
        let value = c.to_digit(36).unwrap();
        (rest * if value < 10 { 10 } else { 100 } + value) % 97
    })
}

fn iban(text: &str) -> bool {
    let plain = |c: char| matches!(c, '0'..='9' | 'A'..='Z');
    let Some((_, length, is_digit)) = IBANS.iter().find(|(country, ..)| text.starts_with(country)) else {
        return false;
    };
    let digits = |(at, c): (usize, char)| !is_digit(at) || c.is_ascii_digit();
    // Malta's bank code is of letters.
    let letters = |text: &str| !text.starts_with("MT") || text[4..8].chars().all(|c| c.is_ascii_uppercase());
    text.chars().all(plain)
        && text.len() == *length
        && text[2..4].chars().all(|c| c.is_ascii_digit())
        && text[4..].chars().enumerate().all(digits)
        && letters(text)
        && remainder(text) == 1
        && (2..=98).contains(&text[2..4].parse::<u32>().unwrap())
}

fn bic(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let country: String = chars.iter().skip(4).take(2).collect();
    (chars.len() == 8 || chars.len() == 11)
        && chars.iter().all(|c| matches!(c, '0'..='9' | 'A'..='Z'))
        && COUNTRIES.split(' ').any(|known| known == country)
}

fn uuid(text: &str) -> bool {
    let fits = |(at, c): (usize, char)| if [8, 13, 18, 23].contains(&at) { c == '-' } else { c.is_ascii_hexdigit() };
    text.chars().count() == 36 && text.chars().enumerate().all(fits)
}

fn date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let number = |part: &str, digits: usize| {
        (part.len() == digits && part.chars().all(|c| c.is_ascii_digit())).then(|| part.parse::<u32>().unwrap())
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// RFC 3339, 5.6, without leap seconds: one character after the other.
fn date_time(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let two = |at: usize, below: u32| match (
        chars.get(at).and_then(|c| c.to_digit(10)),
        chars.get(at + 1).and_then(|c| c.to_digit(10)),
    ) {
        (Some(tens), Some(ones)) => tens * 10 + ones < below,
        _ => false,
    };
    let is = |at: usize, any: &str| chars.get(at).is_some_and(|c| any.contains(*c));
    let begins = date(&chars.iter().take(10).collect::<String>())
        && is(10, "Tt")
        && two(11, 24)
        && is(13, ":")
        && two(14, 60)
        && is(16, ":")
        && two(17, 60);
    let fraction = if is(19, ".") { chars.iter().skip(20).take_while(|c| c.is_ascii_digit()).count() } else { 0 };
    let at = if is(19, ".") { 20 + fraction } else { 19 };
    let fraction_fits = !is(19, ".") || (1..=9).contains(&fraction);
    let utc = is(at, "Zz") && chars.len() == at + 1;
    let offset = is(at, "+-") && two(at + 1, 24) && is(at + 3, ":") && two(at + 4, 60) && chars.len() == at + 6;
    begins && fraction_fits && (utc || offset)
}

fn domain(text: &str) -> bool {
    let label = |label: &str| {
        let ends = label.starts_with('-') || label.ends_with('-');
        let plain = |c: char| c == '-' || c.is_ascii_alphanumeric();
        // Those that start with `xn--` are the generator's own: one stands for a name.
        let reserved = label.chars().skip(2).take(2).eq("--".chars()) && label != "xn--bcher-kva";
        !label.is_empty() && label.len() < 64 && label.chars().all(plain) && !ends && !reserved
    };
    let labels: Vec<&str> = text.split('.').collect();
    labels.len() > 1
        && text.len() < 254
        && labels.iter().all(|one| label(one))
        && labels.last().is_some_and(|last| last.chars().any(|c| !c.is_ascii_digit()))
        && !SUFFIXES.contains(&text.to_ascii_lowercase().as_str())
        // All of its second level but one.
        && !(labels.len() == 2 && labels[1].eq_ignore_ascii_case("ck") && !labels[0].eq_ignore_ascii_case("www"))
}

fn email(text: &str) -> bool {
    let Some(at) = text.rfind('@') else { return false };
    let (local, behind) = (&text[..at], &text[at + 1..]);
    let fits = |c: char| c == '.' || c.is_ascii_alphanumeric() || ATEXT.contains(c);
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    text.len() < 255 && (1..65).contains(&local.len()) && local.chars().all(fits) && !dots && domain(behind)
}

/// Of countries whose offices say: nine digits (Germany); U and eight digits (Austria); E and nine digits, with or without
/// what it stands for (Switzerland); nine digits, B and two (Netherlands); nine digits and MVA (Norway).
fn vat_id(text: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.chars().all(|c| c.is_ascii_digit());
    let behind = |prefix: &str| text.strip_prefix(prefix);
    let swiss = |text: &str| {
        ["", "MWST", "TVA", "IVA"].iter().any(|end| text.strip_suffix(end).is_some_and(|it| digits(it, 9)))
    };
    let dutch = |text: &str| text.split_once('B').is_some_and(|(front, back)| digits(front, 9) && digits(back, 2));
    behind("DE").is_some_and(|it| digits(it, 9))
        || behind("ATU").is_some_and(|it| digits(it, 8))
        || behind("CHE").is_some_and(swiss)
        || behind("NL").is_some_and(dutch)
        || behind("NO").and_then(|it| it.strip_suffix("MVA")).is_some_and(|it| digits(it, 9))
}
