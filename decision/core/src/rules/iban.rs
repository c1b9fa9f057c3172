//! IBANs: ISO 13616 in its electronic form, upper case and without spaces.

use iban::{BaseIban, Iban};

use super::vat::has_structure;

/// Countries of the IBAN registry that `iban_validate` lacks, with [the structure](has_structure) of what stands behind the
/// checksum.
const FURTHER: [(&str, &str); 2] = [("HN", "aaaadddddddddddddddddddd"), ("PK", "aaaaxxxxxxxxxxxxxxxx")];

/// Whether the text is an IBAN: length and structure of its country, and the checksum. ISO 7064 makes check digits from 02
/// to 98: 00, 01 and 99 leave the same remainder as 97, 98 and 02, and would be a second spelling of an account.
pub(super) fn is_iban(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && text.get(2..4).is_some_and(|digits| !["00", "01", "99"].contains(&digits))
        && (text.parse::<Iban>().is_ok() || is_further(text))
}

fn is_further(text: &str) -> bool {
    let of = |(country, structure): &(&str, &str)| {
        text.starts_with(country) && text.get(4..).is_some_and(|behind| has_structure(behind, structure))
    };
    FURTHER.iter().any(of) && text.parse::<BaseIban>().is_ok()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// The examples of the IBAN registry (SWIFT), one of a country.
    const IBANS: [&str; 62] = [
        "AD1200012030200359100100",
        "AE070331234567890123456",
        "AL47212110090000000235698741",
        "AT611904300234573201",
        "AZ21NABZ00000000137010001944",
        "BA391290079401028494",
        "BE68539007547034",
        "BG80BNBG96611020345678",
        "BH67BMAG00001299123456",
        "BR1800360305000010009795493C1",
        "CH9300762011623852957",
        "CR05015202001026284066",
        "CY17002001280000001200527600",
        "CZ6508000000192000145399",
        "DE89370400440532013000",
        "DK5000400440116243",
        "DO28BAGR00000001212453611324",
        "EE382200221020145685",
        "ES9121000418450200051332",
        "FI2112345600000785",
        "FO6264600001631634",
        "FR1420041010050500013M02606",
        "GB29NWBK60161331926819",
        "GE29NB0000000101904917",
        "GI75NWBK000000007099453",
        "GL8964710001000206",
        "GR1601101250000000012300695",
        "HN88CABF00000000000250005469",
        "HR1210010051863000160",
        "HU42117730161111101800000000",
        "IE29AIBK93115212345678",
        "IL620108000000099999999",
        "IS140159260076545510730339",
        "IT60X0542811101000000123456",
        "KW81CBKU0000000000001234560101",
        "KZ86125KZT5004100100",
        "LB62099900000001001901229114",
        "LI21088100002324013AA",
        "LT121000011101001000",
        "LU280019400644750000",
        "LV80BANK0000435195001",
        "MC5811222000010123456789030",
        "MD24AG000225100013104168",
        "ME25505000012345678951",
        "MT84MALT011000012345MTLCAST001S",
        "MU17BOMM0101101030300200000MUR",
        "NL91ABNA0417164300",
        "NO9386011117947",
        "PK36SCBL0000001123456702",
        "PL61109010140000071219812874",
        "PS92PALS000000000400123456702",
        "PT50000201231234567890154",
        "RO49AAAA1B31007593840000",
        "RS35260005601001611379",
        "SA0380000000608010167519",
        "SE4550000000058398257466",
        "SI56263300012039086",
        "SK3112000000198742637541",
        "SM86U0322509800000000270100",
        "TN5910006035183598478831",
        "TR330006100519786457841326",
        "XK051212012345678906",
    ];

    #[test]
    fn an_iban_of_every_country_has_its_length_and_its_checksum() {
        for iban in IBANS {
            assert!(is_iban(iban), "{iban}");
            for (at, _) in iban.char_indices().skip(2) {
                let other = if iban.as_bytes()[at] == b'7' { "8" } else { "7" };
                let wrong = [&iban[..at], other, &iban[at + 1..]].concat();
                assert!(!is_iban(&wrong), "{wrong}");
            }
            assert!(!is_iban(&iban[..iban.len() - 1]), "{iban} without its end");
            assert!(!is_iban(&format!("{iban}0")), "{iban} and more");
        }
    }

    #[test]
    fn the_library_lacks_what_stands_here() {
        for (country, _) in FURTHER {
            let iban = IBANS.iter().find(|iban| iban.starts_with(country)).unwrap();
            assert!(iban.parse::<Iban>().is_err(), "iban_validate knows {country} now: leave it out here");
        }
    }
}
