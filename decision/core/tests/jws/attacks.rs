//! Forgeries of the kinds that JWS libraries fell for. Every one is refused for its own reason.

use aegis_decision::jws::{
    JwsError, KeySet, MAX_TOKEN_BYTES, Purpose, SigningKey, Typ, base64url, from_base64url, sign, verify,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use test_case::test_case;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    who: String,
}

fn claims() -> Claims {
    Claims { who: "buyer".to_owned() }
}

fn key() -> SigningKey {
    SigningKey::from_seed(Purpose::Tokens, &[3; 32])
}

fn keys() -> KeySet {
    let mut keys = KeySet::new();
    keys.insert(Purpose::Tokens, key().public()).unwrap();
    keys.insert(Purpose::Releases, SigningKey::from_seed(Purpose::Releases, &[4; 32]).public()).unwrap();
    keys
}

fn check(token: &str) -> Result<Claims, JwsError> {
    verify(&keys(), Typ::AgentToken, token)
}

/// A token with that header, signed by the right key over exactly these bytes.
fn with_header(header: &str) -> String {
    with_parts(&base64url(header.as_bytes()), &base64url(&serde_json::to_vec(&claims()).unwrap()))
}

fn with_parts(header: &str, payload: &str) -> String {
    let signed = format!("{header}.{payload}");
    let signature = key().sign_plain(signed.as_bytes());
    format!("{signed}.{}", base64url(&signature))
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": key().kid(), "typ": "aegis-agent+jwt"})
}

fn changed(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let mut header = header();
    change(header.as_object_mut().unwrap());
    with_header(&header.to_string())
}

#[test]
fn the_honest_token_is_accepted() {
    let token = sign(&key(), Typ::AgentToken, &claims()).unwrap();
    assert_eq!(check(&token), Ok(claims()));
    assert_eq!(check(&with_header(&header().to_string())), Ok(claims()), "the forgeries below differ from a good one");
}

#[test_case("none")]
#[test_case("None"; "none with another case")]
#[test_case("")]
#[test_case("HS256")]
#[test_case("RS256")]
#[test_case("ES256")]
#[test_case("Ed25519"; "the name of RFC 9864")]
#[test_case("eddsa"; "eddsa in lower case")]
fn another_algorithm_is_refused(alg: &str) {
    assert_eq!(check(&changed(|header| drop(header.insert("alg".into(), alg.into())))), Err(JwsError::Algorithm));
}

#[test]
fn a_token_without_signature_is_refused() {
    let token = sign(&key(), Typ::AgentToken, &claims()).unwrap();
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(check(&format!("{signed}.")), Err(JwsError::Signature));
    assert_eq!(check(signed), Err(JwsError::Form));
    let header = base64url(br#"{"alg":"none","typ":"aegis-agent+jwt"}"#);
    assert_eq!(check(&format!("{header}.{}.", base64url(b"{}"))), Err(JwsError::Header));
}

#[test]
fn the_public_key_is_no_hmac_secret() {
    // The confusion of HS256 with a public key: no MAC is ever computed, so any value fails at the algorithm.
    let mut header = header();
    header["alg"] = "HS256".into();
    let signed = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(br#"{"who":"buyer"}"#));
    let token = format!("{signed}.{}", base64url(key().public().as_bytes()));
    assert_eq!(check(&token), Err(JwsError::Algorithm));
}

#[test_case("jku", json!("https://keys.example/jwks.json"))]
#[test_case("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}))]
#[test_case("x5u", json!("https://keys.example/chain.pem"))]
#[test_case("x5c", json!(["MIIB"]))]
#[test_case("x5t", json!("AAAA"))]
#[test_case("crit", json!(["exp"]))]
#[test_case("b64", json!(false))]
#[test_case("zip", json!("DEF"))]
#[test_case("cty", json!("JWT"))]
#[test_case("Alg", json!("none"); "alg with another case")]
fn an_additional_header_is_refused(name: &str, value: Value) {
    assert_eq!(check(&changed(|header| drop(header.insert(name.into(), value)))), Err(JwsError::Header));
}

#[test_case("alg")]
#[test_case("kid")]
#[test_case("typ")]
fn a_missing_or_untyped_header_is_refused(name: &str) {
    assert_eq!(check(&changed(|header| drop(header.remove(name)))), Err(JwsError::Header));
    assert_eq!(check(&changed(|header| drop(header.insert(name.into(), Value::Null)))), Err(JwsError::Header));
    assert_eq!(check(&changed(|header| drop(header.insert(name.into(), json!(["EdDSA"]))))), Err(JwsError::Header));
}

#[test]
fn a_header_that_says_two_things_is_refused() {
    let twice = format!(r#"{{"alg":"none","alg":"EdDSA","kid":"{}","typ":"aegis-agent+jwt"}}"#, key().kid());
    assert_eq!(check(&with_header(&twice)), Err(JwsError::Header));
    let list = format!(r#"["EdDSA","{}","aegis-agent+jwt"]"#, key().kid());
    assert_eq!(check(&with_header(&list)), Err(JwsError::Header), "an array is no header");
    let tail = format!("{} {{}}", header());
    assert_eq!(check(&with_header(&tail)), Err(JwsError::Header));
}

#[test_case("../../../etc/passwd")]
#[test_case("/dev/null")]
#[test_case("' OR '1'='1")]
#[test_case("")]
#[test_case("0")]
fn a_kid_is_only_looked_up(kid: &str) {
    assert_eq!(check(&changed(|header| drop(header.insert("kid".into(), kid.into())))), Err(JwsError::UnknownKey));
}

#[test_case("JWT")]
#[test_case("at+jwt")]
#[test_case("aegis-key+jwt")]
#[test_case("AEGIS-AGENT+JWT")]
#[test_case("application/aegis-agent+jwt"; "with the prefix that RFC 7515 lets one leave out")]
#[test_case("aegis-agent+jwt "; "with a space at the end")]
fn another_type_is_refused(typ: &str) {
    assert_eq!(check(&changed(|header| drop(header.insert("typ".into(), typ.into())))), Err(JwsError::Type));
}

#[test]
fn a_key_of_another_purpose_is_refused() {
    let releases = SigningKey::from_seed(Purpose::Releases, &[4; 32]);
    assert_eq!(sign(&releases, Typ::AgentToken, &claims()), Err(JwsError::Purpose), "it cannot even sign");
    let header = json!({"alg": "EdDSA", "kid": releases.kid(), "typ": "aegis-agent+jwt"}).to_string();
    let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(br#"{"who":"buyer"}"#));
    let token = format!("{signed}.{}", base64url(&releases.sign_plain(signed.as_bytes())));
    assert_eq!(check(&token), Err(JwsError::UnknownKey));
}

#[test]
fn a_token_of_one_type_is_none_of_another() {
    let token = sign(&key(), Typ::AgentToken, &claims()).unwrap();
    for typ in [Typ::KeyAttestation, Typ::FeedItem, Typ::Release, Typ::ClaimReceipt] {
        assert_eq!(verify::<Claims>(&keys(), typ, &token), Err(JwsError::Type));
    }
}

#[test]
fn a_malleable_signature_is_refused() {
    // S + L verifies with the cofactorless equation as well; RFC 8032 wants S < L.
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let token = sign(&key(), Typ::AgentToken, &claims()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = from_base64url(signature).unwrap();
    let mut carry = 0_u16;
    for (byte, add) in bytes[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(check(&format!("{signed}.{}", base64url(&bytes))), Err(JwsError::Signature));
}

#[test]
fn a_signature_with_a_small_order_point_is_refused() {
    let token = sign(&key(), Typ::AgentToken, &claims()).unwrap();
    let (signed, _) = token.rsplit_once('.').unwrap();
    let mut identity = [0; 64];
    identity[0] = 1;
    assert_eq!(check(&format!("{signed}.{}", base64url(&identity))), Err(JwsError::Signature));
}

#[test]
fn the_form_is_exact() {
    let token = sign(&key(), Typ::AgentToken, &claims()).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{token}."),
        format!(".{token}"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{signature}=="),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{header}.{payload}\n.{signature}"),
        format!("{header}.{payload}.{signature}\0"),
        token.replace('.', "\u{ff0e}"),
        format!("{header}.{payload}.{}+", &signature[..signature.len() - 1]),
    ] {
        let refused = check(&bad).unwrap_err();
        assert!(matches!(refused, JwsError::Form | JwsError::Header), "{bad:?}: {refused}");
    }
}

#[test]
fn bits_left_over_must_be_zero() {
    // 64 bytes leave four bits in the last digit: 16 texts would mean one signature.
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let token = sign(&key(), Typ::AgentToken, &claims()).unwrap();
    let last = token.bytes().last().unwrap();
    let at = DIGITS.iter().position(|digit| *digit == last).unwrap();
    assert_eq!(at % 16, 0, "our own are canonical");
    for other in &DIGITS[at + 1..at + 16] {
        let bad = format!("{}{}", &token[..token.len() - 1], char::from(*other));
        assert_eq!(check(&bad), Err(JwsError::Form));
    }
}

#[test]
fn a_changed_payload_is_refused() {
    let token = sign(&key(), Typ::AgentToken, &claims()).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let other = base64url(br#"{"who":"admin"}"#);
    assert_eq!(check(&format!("{}.{other}.{}", parts[0], parts[2])), Err(JwsError::Signature));
}

#[test_case(b"[\"buyer\"]"; "an array by position")]
#[test_case(b"{\"who\":\"buyer\",\"admin\":true}"; "an unknown claim")]
#[test_case(b"{\"who\":\"buyer\",\"who\":\"admin\"}"; "a claim twice")]
#[test_case(b"{\"who\":\"buyer\"}x"; "trailing bytes")]
#[test_case(b"{\"who\":\"\xff\"}"; "no UTF-8")]
#[test_case(b""; "nothing")]
fn a_payload_of_another_shape_is_refused(payload: &[u8]) {
    let token = with_parts(&base64url(header().to_string().as_bytes()), &base64url(payload));
    assert_eq!(check(&token), Err(JwsError::Payload));
}

#[test]
fn size_is_bounded() {
    let long = Claims { who: "x".repeat(MAX_TOKEN_BYTES) };
    let token = sign(&key(), Typ::AgentToken, &long).unwrap();
    assert_eq!(check(&token), Err(JwsError::TooLong));
    let header = changed(|header| drop(header.insert("kid".into(), "k".repeat(2000).into())));
    assert_eq!(check(&header), Err(JwsError::Header));
}
