//! Releases and claim receipts: signed by one purpose, each of its own type.

use aegis_decision::approval::{ClaimReceipt, Release};
use aegis_decision::digest::Digest;
use aegis_decision::jws::{JwsError, KeySet, Purpose, SigningKey};
use jiff::Timestamp;

fn at() -> Timestamp {
    "2026-03-04T05:06:07Z".parse().unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_seed(Purpose::Releases, &[1; 32])
}

fn keys() -> KeySet {
    let mut keys = KeySet::new();
    keys.insert(Purpose::Releases, key().public()).unwrap();
    keys
}

fn release() -> Release {
    Release {
        request_name: "buyer-1".to_owned(),
        request_uid: "r-1".to_owned(),
        agent_uid: "a-1".to_owned(),
        effect_digest: Digest::of_bytes(b"effect"),
        context_digest: Digest::of_bytes(b"context"),
        expires_at: at(),
    }
}

fn receipt() -> ClaimReceipt {
    ClaimReceipt {
        request_uid: "r-1".to_owned(),
        nonce: "n-1".to_owned(),
        effect_digest: Digest::of_bytes(b"effect"),
        at: at(),
    }
}

#[test]
fn both_come_back_as_they_were_signed() {
    assert_eq!(Release::verify(&release().sign(&key()).unwrap(), &keys()), Ok(release()));
    assert_eq!(ClaimReceipt::verify(&receipt().sign(&key()).unwrap(), &keys()), Ok(receipt()));
}

#[test]
fn a_release_is_no_receipt_though_one_key_signs_both() {
    let release = release().sign(&key()).unwrap();
    let receipt = receipt().sign(&key()).unwrap();
    assert_eq!(ClaimReceipt::verify(&release, &keys()), Err(JwsError::Type));
    assert_eq!(Release::verify(&receipt, &keys()), Err(JwsError::Type));
}

#[test]
fn no_other_purpose_signs_them() {
    for purpose in Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::Releases) {
        let key = SigningKey::from_seed(purpose, &[1; 32]);
        assert_eq!(release().sign(&key), Err(JwsError::Purpose));
        assert_eq!(receipt().sign(&key), Err(JwsError::Purpose));
        let mut keys = KeySet::new();
        keys.insert(purpose, key.public()).unwrap();
        let token = release().sign(&self::key()).unwrap();
        assert_eq!(Release::verify(&token, &keys), Err(JwsError::UnknownKey), "the same key under another purpose");
    }
}

#[test]
fn a_release_ends_at_its_time() {
    let before = at() - jiff::SignedDuration::from_nanos(1);
    assert!(release().in_force(before));
    assert!(!release().in_force(at()));
}
