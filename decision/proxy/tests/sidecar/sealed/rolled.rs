//! Gateways that are replaced one after the other while calls come all the time: each call is answered, judged and sent
//! once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::pair::{gateway, relay};
use crate::bed::{Answer, Sidecar, WAIT};
use crate::control::Mesh;

/// Gateways that take over, one after the other.
const ROLLS: usize = 4;
/// Agents that call at once, half of them with an effect.
const CALLERS: usize = 4;

/// What leads to one of several gateways, as a Service does: open connections stay where they are.
struct Service {
    address: SocketAddr,
    to: watch::Sender<SocketAddr>,
}

impl Service {
    async fn to(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self { address: listener.local_addr().unwrap(), to: watch::Sender::new(gateway) };
        let to = service.to.subscribe();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let to = *to.borrow();
                tokio::spawn(async move {
                    // Nobody there: it ends, as if it had been refused.
                    let Ok(mut far) = TcpStream::connect(to).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        service
    }
}

/// Calls until told to stop; the answers.
async fn call(relay: &Sidecar, number: usize, over: &AtomicBool) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let request = if number.is_multiple_of(2) {
            relay.get("/ledger/notes/1").await
        } else {
            let post = Request::post("/ledger/payments/1").header("content-type", "application/json");
            relay.send(post, r#"{"amount":1}"#).await
        };
        answers.push(request);
    }
    answers
}

/// Waits until the only gateway that is left has let a call through.
async fn calls_go_on(mesh: &Mesh) {
    let before = mesh.upstream.seen().len();
    let more = async {
        while mesh.upstream.seen().len() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT, more).await.expect("no call comes through any more");
}

#[tokio::test]
async fn gateways_that_roll_refuse_nothing_and_lose_nothing() {
    let mesh = Mesh::new().await;
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut current = gateway(&mesh, "gateway-0", here).await;
    let service = Service::to(current.address).await;
    let relay = relay(&mesh, "relay", service.address).await;
    relay.until_ready().await;
    let over = Arc::new(AtomicBool::new(false));
    let calling = futures::future::join_all((0..CALLERS).map(|number| call(&relay, number, &over)));
    let rolling = async {
        let mut ended = Vec::new();
        calls_go_on(&mesh).await;
        for roll in 1..=ROLLS {
            let next = gateway(&mesh, &format!("gateway-{roll}"), here).await;
            // The old one is told to end before the Service knows, and is called for a while.
            let end = current.stop();
            let switch = async {
                // A Service is never up to date at once.
                tokio::time::sleep(Duration::from_millis(300)).await;
                service.to.send_replace(next.address);
            };
            ended.push(tokio::join!(end, switch).0);
            current = next;
            calls_go_on(&mesh).await;
        }
        over.store(true, Ordering::SeqCst);
        (ended, current)
    };
    let (answers, (mut ended, last)) = tokio::join!(calling, rolling);
    ended.push(last.stop().await);

    let answers: Vec<Answer> = answers.into_iter().flatten().collect();
    let refused: Vec<_> =
        answers.iter().filter(|answer| ![StatusCode::OK, StatusCode::CREATED].contains(&answer.status)).collect();
    assert!(refused.is_empty(), "{} of {}: {refused:?}", refused.len(), answers.len());
    let by_gateway: Vec<usize> = ended.iter().map(|records| records.decisions.len()).collect();
    println!("{} calls over {ROLLS} replaced gateways: {by_gateway:?} recorded, none refused", answers.len());
    assert!(by_gateway.iter().all(|count| *count > 0), "{by_gateway:?}");
    let told: BTreeSet<&str> =
        answers.iter().map(|answer| answer.headers["aegis-decision"].to_str().unwrap()).collect();
    let recorded: Vec<&str> =
        ended.iter().flat_map(|records| &records.decisions).map(|record| record.id.as_str()).collect();
    assert_eq!((told.len(), recorded.len()), (answers.len(), answers.len()), "one record of each");
    assert_eq!(told, recorded.into_iter().collect());
    assert_eq!(mesh.upstream.seen().len(), answers.len(), "each was sent once");
    assert!(ended.iter().all(|records| records.outcomes.len() == records.decisions.len()));
    assert!(relay.stop().await.decisions.is_empty());
}
