//! Whom a gateway lets in: its agent's relay, by a token that names the key of this very connection.

use aegis_decision::jws::{Purpose, SigningKey};
use aegis_decision::token::{AgentClaims, AgentName, subject};
use http::Request;
use jiff::{SignedDuration, Timestamp};

use super::pair::{Caller, Pair};
use crate::bed::Answer;
use crate::control::Mesh;

fn claims(mesh: &Mesh, caller: &Caller, change: impl FnOnce(&mut AgentClaims)) -> AgentClaims {
    let mut claims = mesh.control.claims(caller.identity.public_key(), Timestamp::now(), 300, 1);
    change(&mut claims);
    claims
}

fn is_refused(what: &str, answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "not_this_agent"), "{what}");
}

#[tokio::test]
async fn a_token_is_good_for_its_agent_its_key_and_its_time_only() {
    let Pair { mesh, gateway, relay } = Pair::new().await;
    assert_eq!(relay.get("/ledger/notes/1").await.status, 200);
    let stolen = mesh.control.issued.lock().unwrap().clone();
    assert!(stolen.len() >= 2, "the gateway's and the relay's");
    let caller = Caller::of(&gateway);
    let signed = |change: &dyn Fn(&mut AgentClaims)| mesh.control.token(&claims(&mesh, &caller, change));
    let hour = SignedDuration::from_hours(1);
    let thief = SigningKey::from_seed(Purpose::Tokens, &[99; 32]);
    let mut cases: Vec<(String, Vec<String>)> =
        stolen.iter().map(|token| ("stolen".to_owned(), vec![token.clone()])).collect();
    let good = caller.token(&mesh);
    for (what, tokens) in [
        ("none", vec![]),
        ("no token at all", vec!["e30.e30.AAAA".to_owned()]),
        ("two", vec![good.clone(), good.clone()]),
        (
            "another agent's, with its own key",
            vec![signed(&|claims| {
                claims.agent =
                    AgentName { name: "thief".to_owned(), uid: "agent-2".to_owned(), ..claims.agent.clone() };
                claims.sub = subject("test", "shop", "thief");
            })],
        ),
        ("this agent's name, another uid", vec![signed(&|claims| claims.agent.uid = "agent-2".to_owned())]),
        (
            "expired",
            vec![signed(&|claims| {
                (claims.nbf, claims.exp) = (claims.nbf - hour, claims.nbf - SignedDuration::from_secs(60));
            })],
        ),
        ("not yet", vec![signed(&|claims| (claims.nbf, claims.exp) = (claims.nbf + hour, claims.exp + hour))]),
        ("for too long", vec![signed(&|claims| claims.exp += hour)]),
        ("for somebody else", vec![signed(&|claims| claims.aud = "another".to_owned())]),
        ("signed by nobody that is trusted", vec![claims(&mesh, &caller, |_| {}).issue(&thief).unwrap()]),
    ] {
        cases.push((what.to_owned(), tokens));
    }
    for (what, tokens) in &cases {
        let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
        is_refused(what, &caller.get(&tokens, "/ledger/notes/1").await);
        let write = Request::post("/ledger/payments/1").header("content-type", "application/json");
        is_refused(what, &caller.ask(&tokens, write, r#"{"amount":1}"#).await);
        is_refused(what, &caller.ask(&tokens, Request::connect("api.example:443"), "").await);
    }
    println!("{} kinds of tokens refused", cases.len());
    assert_eq!(mesh.upstream.seen().len(), 1, "the relay's");
    assert_eq!(caller.get(&[&good], "/ledger/notes/1").await.status, 200, "the case that holds");
    let refused = format!(r#"code="not_this_agent"}} {}"#, 3 * cases.len());
    let metrics = gateway.metrics().await;
    assert!(metrics.contains(&refused), "{metrics}");
    let records = gateway.stop().await;
    assert_eq!(records.decisions.len(), 2, "a stranger's call is not in the agent's records");
    assert!(stolen.iter().chain([&good]).all(|token| !records.text.contains(token)));
}
