//! Every Ed25519 vector of Wycheproof, on the key type that tokens are verified with. (Not through a token: its signing
//! input cannot be chosen freely.)

use aegis_decision::jws::PublicKey;
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

/// What the strict verification says to a plain message.
fn accepts(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = <[u8; 32]>::try_from(key) else { return false };
    PublicKey::from_bytes(&key).is_ok_and(|key| key.verify_plain(message, signature))
}

#[test]
fn all_vectors_agree() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let accepted = accepts(&group.key.pk, &test.msg, &test.sig);
            match test.result {
                TestResult::Valid => valid += 1,
                TestResult::Invalid => invalid += 1,
                TestResult::Acceptable => panic!("no vector of this set is a matter of taste"),
            }
            assert_eq!(accepted, test.result == TestResult::Valid, "vector {}: {}", test.tc_id, test.comment);
        }
    }
    assert_eq!((valid, invalid), (88, 63), "the set has 151 vectors");
}
