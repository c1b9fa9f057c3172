//! What the tests of this folder share.

use aegis_decision::digest::Digest;
use aegis_decision::egress::Level;
use aegis_decision::probe::ProbeStatement;
use jiff::Timestamp;

/// A sidecar's first statement, at a second since 1970: at level Captured, of a probe that lets these out.
pub fn statement(second: i64, got_out: &[&str]) -> ProbeStatement {
    ProbeStatement {
        pod: None,
        agent: None,
        level: Level::Captured,
        version: "1".to_owned(),
        report: Digest::of_bytes(b"report"),
        blocked: 36,
        got_out: got_out.iter().map(|&text| text.to_owned()).collect(),
        at: Timestamp::from_second(second).unwrap(),
    }
}
