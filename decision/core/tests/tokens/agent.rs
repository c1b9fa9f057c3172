//! Agent tokens and attestations: for whom, for which key, in which time.

use aegis_decision::jws::{JwsError, KeySet, Purpose, SigningKey, Typ, sign, thumbprint};
use aegis_decision::token::{
    AgentClaims, AgentName, Attestation, Confirmation, PodName, TokenError, prove_record_key, subject,
    verify_record_key,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use test_case::test_case;

const AUDIENCE: &str = "https://control.aegis.example";

fn at(seconds: i64) -> Timestamp {
    "2026-03-04T05:06:07Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn key() -> SigningKey {
    SigningKey::from_seed(Purpose::Tokens, &[1; 32])
}

fn keys() -> KeySet {
    let mut keys = KeySet::new();
    keys.insert(Purpose::Tokens, key().public()).unwrap();
    keys
}

fn jkt() -> String {
    thumbprint(&[5; 32])
}

fn claims() -> AgentClaims {
    AgentClaims {
        iss: AUDIENCE.to_owned(),
        sub: subject("example.org", "shop", "buyer"),
        aud: AUDIENCE.to_owned(),
        exp: at(600),
        nbf: at(0),
        iat: at(0),
        jti: "t-1".to_owned(),
        org: "example.org".to_owned(),
        tenant: "acme".to_owned(),
        bu: "supply".to_owned(),
        agent: AgentName {
            namespace: "shop".to_owned(),
            name: "buyer".to_owned(),
            uid: "a-1".to_owned(),
            version: "7".to_owned(),
        },
        scope: "erp:products.search erp:purchases.draft".to_owned(),
        amr: vec!["k8s-pod-token".to_owned()],
        cnf: Confirmation { jkt: jkt() },
        pod: PodName { name: "buyer-0".to_owned(), uid: "p-1".to_owned() },
    }
}

fn check(claims: &AgentClaims, now: Timestamp) -> Result<AgentClaims, TokenError> {
    AgentClaims::verify(&claims.issue(&key()).unwrap(), &keys(), AUDIENCE, &jkt(), now)
}

#[test]
fn the_honest_token_is_accepted() {
    assert_eq!(check(&claims(), at(1)), Ok(claims()));
    assert_eq!(claims().sub, "spiffe://example.org/ns/shop/agent/buyer");
}

#[test_case(-31, false; "too early")]
#[test_case(-30, true; "early within the skew")]
#[test_case(0, true; "at once")]
#[test_case(629, true; "late within the skew")]
#[test_case(630, false; "too late")]
fn time_counts_with_thirty_seconds_of_skew(now: i64, accepted: bool) {
    let expected = if accepted { Ok(claims()) } else { Err(TokenError::Time) };
    assert_eq!(check(&claims(), at(now)), expected);
}

#[test]
fn extreme_times_do_not_overflow() {
    assert_eq!(check(&claims(), Timestamp::MIN), Err(TokenError::Time));
    assert_eq!(check(&claims(), Timestamp::MAX), Err(TokenError::Time));
}

#[test_case(|c| c.aud = "https://control.aegis.example/".to_owned(), TokenError::Audience)]
#[test_case(|c| c.aud = String::new(), TokenError::Audience; "no audience")]
#[test_case(|c| c.cnf.jkt = thumbprint(&[6; 32]), TokenError::Binding)]
#[test_case(|c| c.exp = at(901), TokenError::Life; "longer than fifteen minutes")]
#[test_case(|c| c.exp = at(0), TokenError::Life; "no life")]
#[test_case(|c| c.exp = at(-5), TokenError::Life; "ends before it begins")]
#[test_case(|c| c.sub = "spiffe://example.org/ns/shop/agent/seller".to_owned(), TokenError::Subject)]
#[test_case(|c| c.sub = "spiffe://example.org/ns/other/agent/buyer".to_owned(), TokenError::Subject; "another namespace")]
#[test_case(|c| c.sub = "https://example.org/ns/shop/agent/buyer".to_owned(), TokenError::Subject; "another scheme")]
#[test_case(|c| c.sub = "spiffe://example.org/x/ns/shop/agent/buyer".to_owned(), TokenError::Subject; "a longer path")]
#[test_case(|c| c.agent.name = "seller".to_owned(), TokenError::Subject; "the agent is another")]
fn a_wrong_claim_is_refused(change: fn(&mut AgentClaims), error: TokenError) {
    let mut claims = claims();
    change(&mut claims);
    assert_eq!(check(&claims, at(1)), Err(error));
}

#[test]
fn the_audience_is_a_single_text() {
    let mut json = serde_json::to_value(claims()).unwrap();
    json["aud"] = serde_json::json!([AUDIENCE]);
    let token = sign(&key(), Typ::AgentToken, &json).unwrap();
    let refused = AgentClaims::verify(&token, &keys(), AUDIENCE, &jkt(), at(1));
    assert_eq!(refused, Err(TokenError::Jws(JwsError::Payload)));
}

#[test]
fn times_are_whole_seconds_since_the_epoch() {
    let json = serde_json::to_value(claims()).unwrap();
    assert_eq!(json["exp"], at(600).as_second());
}

#[test]
fn scope_names_tool_and_operation_exactly() {
    assert!(claims().allows("erp", "purchases.draft"));
    for (tool, operation) in [("erp", "purchases"), ("erp", "purchases.confirm"), ("", ""), ("er", "p:purchases.draft")]
    {
        assert!(!claims().allows(tool, operation), "{tool} {operation}");
    }
}

#[test]
fn an_attestation_is_for_its_time_and_no_token() {
    let signer = SigningKey::from_seed(Purpose::Attestations, &[2; 32]);
    let record = SigningKey::from_seed(Purpose::Records, &[3; 32]);
    let attestation =
        Attestation { pod: claims().pod, agent: claims().agent, key: record.public(), nbf: at(0), exp: at(600) };
    let token = attestation.issue(&signer).unwrap();
    let mut keys = keys();
    keys.insert(Purpose::Attestations, signer.public()).unwrap();
    assert_eq!(Attestation::verify(&token, &keys), Ok(attestation.clone()));
    assert!(attestation.covers(at(-30)) && attestation.covers(at(629)));
    assert!(!attestation.covers(at(-31)) && !attestation.covers(at(630)));
    let as_token = AgentClaims::verify(&token, &keys, AUDIENCE, &jkt(), at(1));
    assert_eq!(as_token, Err(TokenError::Jws(JwsError::Type)));
    assert_eq!(attestation.issue(&key()), Err(JwsError::Purpose));
}

#[test]
fn the_record_key_is_proven_for_one_connection() {
    let record = SigningKey::from_seed(Purpose::Records, &[3; 32]);
    let proof = prove_record_key(&record, &jkt());
    assert!(verify_record_key(&record.public(), &jkt(), &proof));
    assert!(!verify_record_key(&record.public(), &thumbprint(&[6; 32]), &proof), "another connection");
    assert!(!verify_record_key(&key().public(), &jkt(), &proof), "another key");
    assert!(!verify_record_key(&record.public(), &jkt(), &format!("{proof}=")));
    assert!(!verify_record_key(&record.public(), &jkt(), ""));
}

proptest! {
    #[test]
    fn arbitrary_tokens_never_pass(text in "\\PC{0,300}", seconds in any::<i32>()) {
        let now = at(i64::from(seconds));
        prop_assert!(AgentClaims::verify(&text, &keys(), AUDIENCE, &jkt(), now).is_err());
        prop_assert!(Attestation::verify(&text, &keys()).is_err());
    }
}
