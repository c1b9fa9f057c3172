//! Segments: no bytes prove anything but what the sidecar wrote.

#[path = "../segment/sample.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
pub mod sample;

use std::sync::LazyLock;

use aegis_decision::control::Head;
use aegis_decision::record::Record;
use aegis_decision::segment::{End, Entry, MAX_FINDINGS, read, verify};

use sample::{Numbers, control_key, keys, record_key, segment};

/// Honest files and their heads: all that the keys of this target ever signed.
pub static HONEST: LazyLock<Vec<(Vec<u8>, Head)>> = LazyLock::new(|| {
    [(1, 1, 2), (2, 2, 3), (3, 4, 2)]
        .map(|(seed, batches, most)| {
            let (control, key) = (control_key(1), record_key(2));
            segment(&format!("e-{seed}"), &control, &key, batches, most, &mut Numbers(seed))
        })
        .into()
});

/// Panics where bytes verify that are no honest file, or the reader loses a line.
pub fn check(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    let entries: Vec<Entry> = read(bytes).collect();
    assert_eq!(entries.len(), lines, "an entry for each line");
    for entry in entries {
        if let Entry::Record(record) = entry {
            let written = record.to_bytes().expect("a record that was read can be written");
            assert_eq!(Record::from_bytes(&written).ok(), Some(record), "written and read again");
        }
    }
    match verify(bytes, &keys(), None) {
        Ok(report) => {
            assert_eq!(report.end, End::NotProven);
            let torn = report.torn.map_or(0, |torn| torn.bytes);
            let proven = &bytes[..bytes.len() - torn];
            assert!(HONEST.iter().any(|(honest, _)| honest.starts_with(proven)), "proven, and never written");
            assert!(report.complete_to == report.records && proven.len() <= bytes.len());
        }
        Err(findings) => assert!(!findings.is_empty() && findings.len() <= MAX_FINDINGS),
    }
    for (honest, head) in HONEST.iter() {
        if let Ok(report) = verify(bytes, &keys(), Some(head)) {
            assert_eq!(report.end, End::Proven { to: head.sequence });
            assert!(bytes.starts_with(honest), "a head is found in a file that does not hold it");
        }
    }
}
