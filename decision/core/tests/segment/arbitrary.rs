//! No bytes make the reader or the verification panic, and none but a sidecar's pass.

use aegis_decision::record::Record;
use aegis_decision::segment::{read, verify};
use proptest::prelude::*;

use crate::sample::{Numbers, control_key, keys, lines, record_key, segment};

proptest! {
    #[test]
    fn bytes_never_pass(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(verify(&bytes, &keys(), None).is_err());
        prop_assert!(read(&bytes).count() <= bytes.len());
        let _ = Record::from_bytes(&bytes);
    }

    #[test]
    fn lines_after_an_honest_header_never_count(
        rest in prop::collection::vec(prop_oneof![
            Just(r#"{"type":"batch"}"#.to_owned()),
            Just(r#"{"type":"decision","sequence":1,"epoch":"e-1"}"#.to_owned()),
            Just(r#"{"type":"decision","sequence":18446744073709551615,"epoch":"e-1"}"#.to_owned()),
            Just(r#"{"type":"attestation","attestation":"a.b.c"}"#.to_owned()),
            Just("[[[[".to_owned()),
            "\\PC{0,80}",
        ], 1..20),
    ) {
        let (honest, _) = segment("e-1", &control_key(1), &record_key(2), 1, 2, &mut Numbers(1));
        let mut bytes = lines(&honest)[0].clone();
        bytes.extend(rest.join("\n").as_bytes());
        bytes.push(b'\n');
        let (records, torn) = match verify(&bytes, &keys(), None) {
            Ok(report) => (report.records, report.torn.is_some()),
            Err(_) => (0, true),
        };
        prop_assert_eq!((records, torn), (0, true));
    }
}
