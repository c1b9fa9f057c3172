//! VAT numbers: the structure that each country gives them. Checksums are not computed, and only the country's own office
//! knows whether a number is in use.

/// What each country's numbers look like behind its prefix. `d` stands for a digit, `a` for a letter, `x` for either, `k`
/// for either but `I` and `O`, `s` for either, `+` or `*`, `w` for `A` to `W`, `i` for `A` to `I`; all else for itself.
///
/// The member states of the European Union and Northern Ireland (`XI`) as VIES lists them; the United Kingdom alike;
/// Switzerland (its compact form) and Norway.
const STRUCTURES: [(&str, &[&str]); 31] = [
    ("AT", &["Udddddddd"]),
    ("BE", &["0ddddddddd", "1ddddddddd"]),
    ("BG", &["ddddddddd", "dddddddddd"]),
    ("CH", &["Eddddddddd", "EdddddddddMWST", "EdddddddddTVA", "EdddddddddIVA"]),
    ("CY", &["dddddddda"]),
    ("CZ", &["dddddddd", "ddddddddd", "dddddddddd"]),
    ("DE", &["ddddddddd"]),
    ("DK", &["dddddddd"]),
    ("EE", &["ddddddddd"]),
    ("EL", &["ddddddddd"]),
    ("ES", &["adddddddx", "dddddddda"]),
    ("FI", &["dddddddd"]),
    ("FR", &["kkddddddddd"]),
    ("GB", &["ddddddddd", "dddddddddddd", "GDddd", "HAddd"]),
    ("HR", &["ddddddddddd"]),
    ("HU", &["dddddddd"]),
    ("IE", &["dsddddda", "dddddddwi"]),
    ("IT", &["ddddddddddd"]),
    ("LT", &["ddddddddd", "dddddddddddd"]),
    ("LU", &["dddddddd"]),
    ("LV", &["ddddddddddd"]),
    ("MT", &["dddddddd"]),
    ("NL", &["dddddddddBdd"]),
    ("NO", &["dddddddddMVA"]),
    ("PL", &["dddddddddd"]),
    ("PT", &["ddddddddd"]),
    ("RO", &["dd", "ddd", "dddd", "ddddd", "dddddd", "ddddddd", "dddddddd", "ddddddddd", "dddddddddd"]),
    ("SE", &["dddddddddddd"]),
    ("SI", &["dddddddd"]),
    ("SK", &["dddddddddd"]),
    ("XI", &["ddddddddd", "dddddddddddd", "GDddd", "HAddd"]),
];

/// Whether the text is a country's prefix and a number of its structure, in upper case, without spaces or marks.
pub(super) fn is_vat_id(text: &str) -> bool {
    let Some((country, number)) = text.split_at_checked(2) else { return false };
    let mut structures =
        STRUCTURES.iter().filter(|(known, _)| *known == country).flat_map(|(_, structures)| *structures);
    structures.any(|structure| has_structure(number, structure))
}

/// Whether the text is of a structure, in the letters of [`STRUCTURES`].
pub(super) fn has_structure(text: &str, structure: &str) -> bool {
    let fits = |(b, class): (u8, u8)| match class {
        b'd' => b.is_ascii_digit(),
        b'a' => b.is_ascii_uppercase(),
        b'x' => b.is_ascii_digit() || b.is_ascii_uppercase(),
        b'k' => b.is_ascii_digit() || (b.is_ascii_uppercase() && b != b'I' && b != b'O'),
        b's' => b.is_ascii_digit() || b.is_ascii_uppercase() || b == b'+' || b == b'*',
        b'w' => (b'A'..=b'W').contains(&b),
        b'i' => (b'A'..=b'I').contains(&b),
        itself => b == itself,
    };
    text.len() == structure.len() && text.bytes().zip(structure.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("ATU12345678")]
    #[test_case("CHE123456789")]
    #[test_case("CHE123456789MWST")]
    #[test_case("DE123456789")]
    #[test_case("EL123456789"; "greece")]
    #[test_case("ESX1234567X")]
    #[test_case("ES12345678X")]
    #[test_case("FRK7123456789"; "letter in the key")]
    #[test_case("IE1234567WA")]
    #[test_case("IE1+23456A"; "plus sign")]
    #[test_case("NL123456789B01")]
    #[test_case("NO123456789MVA")]
    #[test_case("RO12"; "shortest")]
    #[test_case("XIGD123"; "government")]
    fn has_the_structure(text: &str) {
        assert!(is_vat_id(text));
    }

    #[test_case("")]
    #[test_case("DE")]
    #[test_case("GR123456789"; "greece is el")]
    #[test_case("DE12345678"; "too short")]
    #[test_case("DE1234567890"; "too long")]
    #[test_case("de123456789"; "lower case")]
    #[test_case("DE 123456789"; "space")]
    #[test_case("CHE-123.456.789"; "marks")]
    #[test_case("ES123456789"; "spain without a letter")]
    #[test_case("FRO1123456789"; "letter o in the key")]
    #[test_case("IE1234567XA"; "x is above w")]
    #[test_case("US123456789"; "country without vat")]
    #[test_case("DE12345678９"; "full-width digit")]
    #[test_case("ß123456789"; "no prefix")]
    fn has_not(text: &str) {
        assert!(!is_vat_id(text));
    }

    #[test]
    fn countries_are_in_order_and_each_is_there_once() {
        assert!(STRUCTURES.is_sorted_by(|(a, _), (b, _)| a < b));
    }
}
