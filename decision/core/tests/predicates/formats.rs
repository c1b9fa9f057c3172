//! Texts of every format, and what is nearly one.

use aegis_decision::policy::Format;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::generate::time;
use super::reference;

/// Hosts that are domains, and some that are not.
const DOMAINS: [&str; 14] = [
    "shop.example",
    "A-1.example.com",
    "a.b.c.example",
    "github.io",
    "shop.co.uk",
    "co.uk",
    "a.ck",
    "localhost",
    "127.0.0.1",
    "a.example.",
    "-a.example",
    "ab--c.example",
    "xn--bcher-kva.example",
    "a_b.example",
];

/// A format, and a text that has it or nearly has it.
pub fn formatted() -> impl Strategy<Value = (Format, String)> {
    let whole = prop_oneof![
        3 => (Just(Format::Iban), iban()),
        2 => (Just(Format::Bic), "[A-Z0-9]{4}(DE|CH|US|XK|ZZ|D1)[A-Z0-9]{2}([A-Z0-9]{3})?"),
        2 => (Just(Format::Uuid), "[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-g]{4}-[0-9a-f]{12}"),
        3 => (Just(Format::Date), date()),
        3 => (Just(Format::Email), email()),
        1 => (Just(Format::Domain), select(DOMAINS.to_vec()).prop_map(str::to_owned)),
        1 => (Just(Format::Domain), "[a-z0-9]{1,3}(-[a-z]{1,2})?\\.[a-z0-9]{1,2}\\.(example|corp\\.internal)"),
        3 => (Just(Format::VatId), vat_id()),
        1 => (Just(Format::Luhn), "[0-9]{2,4}"),
        1 => (Just(Format::DateTime), time()),
        1 => (Just(Format::Currency), "(EUR|USD|EU|eur|ZZZ)"),
    ];
    let with = select(vec!['-', '0', 'A', ' ', '.', 'é']);
    let change = proptest::option::weighted(0.2, (any::<Index>(), with));
    (whole, change).prop_map(|((format, text), change)| match change {
        // What an IDNA label stands for is up to a table.
        Some((at, with)) if !text.contains("xn--") => (format, changed(&text, at, with)),
        _ => (format, text),
    })
}

/// The text with another character at one place.
fn changed(text: &str, at: Index, with: char) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    if !chars.is_empty() {
        let at = at.index(chars.len());
        chars[at] = with;
    }
    chars.into_iter().collect()
}

/// Of four countries and one that there is not, most with the right checksum.
fn iban() -> impl Strategy<Value = String> {
    let national = prop_oneof![
        Just("DE").prop_flat_map(|country| ("[0-9]{18}", Just(country))),
        Just("NO").prop_flat_map(|country| ("[0-9]{11}", Just(country))),
        Just("CH").prop_flat_map(|country| ("[0-9]{5}[0-9A-Z]{12}", Just(country))),
        Just("MT").prop_flat_map(|country| ("[A-Z]{4}[0-9]{5}[0-9A-Z]{18}", Just(country))),
        Just("XX").prop_flat_map(|country| ("[0-9]{18}", Just(country))),
        Just("DE").prop_flat_map(|country| ("[0-9]{17,19}", Just(country))),
    ];
    (national, proptest::bool::weighted(0.8), 0_u32..100).prop_map(|((national, country), right, any)| {
        let blank = format!("{country}00{national}");
        let check = if right { 98 - reference::format::remainder(&blank) } else { any };
        format!("{country}{check:02}{national}")
    })
}

fn date() -> impl Strategy<Value = String> {
    let year = select(vec!["2024", "2023", "2000", "1900", "0004", "999"]);
    let month = select(vec!["01", "02", "04", "06", "11", "12", "00", "13", "2"]);
    (year, month, 0_u8..33).prop_map(|(year, month, day)| format!("{year}-{month}-{day:02}"))
}

fn email() -> impl Strategy<Value = String> {
    let local = prop_oneof![
        6 => "[a-z!#$%&'*+/=?^_`{|}~-]{1,4}(\\.[a-z]{1,2})?",
        1 => "[a-z.@\" ]{0,4}",
        1 => (63_usize..66).prop_map(|length| "a".repeat(length)),
    ];
    (local, select(DOMAINS.to_vec())).prop_map(|(local, domain)| format!("{local}@{domain}"))
}

fn vat_id() -> impl Strategy<Value = String> {
    prop_oneof![
        "DE[0-9]{8,10}",
        "ATU?[0-9]{8}",
        "CHE[0-9]{9}(MWST|TVA|IVA|VAT)?",
        "NL[0-9]{9}B[0-9]{2}",
        "NO[0-9]{9}(MVA)?",
        "(de|GR|US)[0-9]{9}",
    ]
}
