//! Nothing that looks like a token or a key set makes verification panic, or passes.

use aegis_decision::jws::{JwsError, KeySet, Purpose, SigningKey, Typ, base64url, sign, verify};
use proptest::prelude::*;
use serde_json::Value;

fn key() -> SigningKey {
    SigningKey::from_seed(Purpose::Tokens, &[3; 32])
}

fn check(token: &str) -> Result<Value, JwsError> {
    let mut keys = KeySet::new();
    keys.insert(Purpose::Tokens, key().public()).unwrap();
    verify(&keys, Typ::AgentToken, token)
}

proptest! {
    #[test]
    fn text_never_passes(text in "\\PC{0,200}") {
        prop_assert!(check(&text).is_err());
    }

    #[test]
    fn parts_never_pass(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>(), signature in any::<Vec<u8>>()) {
        let token = format!("{}.{}.{}", base64url(&header), base64url(&payload), base64url(&signature));
        prop_assert!(check(&token).is_err());
    }

    #[test]
    fn one_changed_character_never_passes(at in any::<prop::sample::Index>(), to in any::<char>()) {
        let token = sign(&key(), Typ::AgentToken, &serde_json::json!({"who": "buyer"})).unwrap();
        let at = at.index(token.len());
        let mut changed: Vec<char> = token.chars().collect();
        prop_assume!(changed[at] != to);
        changed[at] = to;
        prop_assert!(check(&changed.into_iter().collect::<String>()).is_err());
    }

    #[test]
    fn key_sets_never_panic(text in "\\PC{0,200}") {
        let _ = serde_json::from_str::<KeySet>(&text);
    }
}
