//! Key sets: the JSON form, and what is refused in it.

use aegis_decision::jws::{KeySet, KeySetError, MAX_KEYS, PublicKey, Purpose, SigningKey};
use serde_json::{Value, json};
use test_case::test_case;

fn public(seed: u8) -> PublicKey {
    SigningKey::from_seed(Purpose::Feed, &[seed; 32]).public()
}

fn set() -> KeySet {
    let mut set = KeySet::new();
    set.insert(Purpose::Tokens, public(1)).unwrap();
    set.insert(Purpose::Feed, public(2)).unwrap();
    set
}

#[test]
fn is_read_as_it_was_written() {
    let json = serde_json::to_value(set()).unwrap();
    assert_eq!(json["keys"][0]["kty"], "OKP");
    assert_eq!(serde_json::from_value::<KeySet>(json).unwrap(), set());
}

#[test]
fn a_key_serves_its_purpose_only() {
    let set = set();
    assert_eq!(set.get(&public(1).kid(), Purpose::Tokens), Some(&public(1)));
    assert_eq!(set.get(&public(1).kid(), Purpose::Feed), None);
    assert_eq!(set.get("../feed", Purpose::Feed), None);
}

#[test]
fn a_key_is_there_once() {
    let mut set = set();
    assert_eq!(set.insert(Purpose::Releases, public(1)), Err(KeySetError::Duplicate));
    assert_eq!(set.get(&public(1).kid(), Purpose::Tokens), Some(&public(1)), "the first one stays");
    assert!(set.remove(&public(1).kid()));
    assert!(!set.remove(&public(1).kid()));
    assert_eq!(set.insert(Purpose::Releases, public(1)), Ok(()));
}

#[test]
fn is_bounded() {
    let mut set = KeySet::new();
    for seed in 0..u8::try_from(MAX_KEYS).unwrap() {
        set.insert(Purpose::Feed, public(seed)).unwrap();
    }
    assert_eq!(set.insert(Purpose::Feed, public(200)), Err(KeySetError::TooMany));
    let mut json = serde_json::to_value(&set).unwrap();
    let one = json["keys"][0].clone();
    json["keys"].as_array_mut().unwrap().push(one);
    assert!(serde_json::from_value::<KeySet>(json).is_err());
}

#[test_case("kty", json!("RSA"))]
#[test_case("crv", json!("X25519"))]
#[test_case("use", json!("enc"))]
#[test_case("alg", json!("Ed25519"))]
#[test_case("kid", json!("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"); "the kid of another key")]
#[test_case("x", json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"); "a point of small order")]
#[test_case("x", json!("__________________________________________8"); "no point")]
#[test_case("x", json!("AAAA"); "too short")]
#[test_case("x", json!("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="); "with padding")]
#[test_case("aegis_purpose", json!("everything"))]
#[test_case("d", json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"); "a private key")]
fn a_set_with_a_wrong_key_is_refused(member: &str, value: Value) {
    let mut json = serde_json::to_value(set()).unwrap();
    json["keys"][0][member] = value;
    assert!(serde_json::from_value::<KeySet>(json).is_err());
}

#[test_case("kid")]
#[test_case("aegis_purpose")]
#[test_case("x")]
fn a_set_without_a_member_is_refused(member: &str) {
    let mut json = serde_json::to_value(set()).unwrap();
    json["keys"][0].as_object_mut().unwrap().remove(member);
    assert!(serde_json::from_value::<KeySet>(json).is_err());
}
