//! Upstreams behind TLS: the tool's own authority and server name decide.

use std::time::Duration;

use aegis_decision::record::ErrorClass;
use aegis_decision::tool::{Scheme, Tls};
use aegis_runtime::tls::Authority;
use http::StatusCode;

use crate::bed::{Answer, Bed, Sidecar};
use crate::upstream::Upstream;

/// A sidecar whose tool is `upstream`, reached with these settings.
async fn with_tool(upstream: &Upstream, tls: Option<Tls>) -> (Bed, Sidecar) {
    let port = upstream.address.port();
    let bed = Bed::with(|trial| {
        let tool = trial.source.tools.iter_mut().find(|tool| tool.name == "ledger").unwrap();
        tool.endpoint.scheme = Scheme::Https;
        tool.endpoint.port = port;
        tool.tls = tls;
    })
    .await;
    let sidecar = bed.start().await;
    (bed, sidecar)
}

async fn pay(sidecar: &Sidecar) -> Answer {
    sidecar.post("/ledger/payments/1", r#"{"amount":1}"#).await
}

#[tokio::test]
async fn only_the_tools_own_authority_and_name_are_trusted() {
    let hour = Duration::from_hours(1);
    let (ours, other) = (Authority::generate("ours", hour).unwrap(), Authority::generate("other", hour).unwrap());
    let upstream = Upstream::start_tls(&ours.leaf(&["ledger.test".to_owned()], hour).unwrap()).await;
    let settings = |authority: &Authority, name: &str| {
        Some(Tls { ca_bundle: Some(authority.certificate_pem().to_owned().into()), server_name: Some(name.to_owned()) })
    };

    for wrong in [None, settings(&other, "ledger.test"), settings(&ours, "books.test")] {
        let (_bed, sidecar) = with_tool(&upstream, wrong).await;
        let answer = pay(&sidecar).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "upstream_unreachable"));
        assert_eq!(answer.json()["outcome"], "NotSent");
        let records = sidecar.stop().await;
        assert_eq!(records.of(&answer).1.unwrap().error, Some(ErrorClass::Tls));
    }
    assert!(upstream.seen().is_empty());

    let (_bed, sidecar) = with_tool(&upstream, settings(&ours, "ledger.test")).await;
    assert_eq!(pay(&sidecar).await.status, StatusCode::CREATED);
    for _ in 0..3 {
        assert_eq!(sidecar.get("/ledger/notes/1").await.status, StatusCode::OK);
    }
    assert_eq!(upstream.seen().len(), 4);
}
