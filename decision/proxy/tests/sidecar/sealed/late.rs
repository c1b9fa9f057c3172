//! A gateway that cannot be reached at once: a call waits for it a little, is said once, and is refused when none comes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aegis_decision::codes::Code;
use aegis_proxy::sealed::PROOF_PATH;
use aegis_runtime::tls::{ClientIdentity, key_server};
use http::{Request, StatusCode};
use tokio::net::{TcpListener, TcpStream};

use super::calls::{PAYMENT, ask};
use super::fake::Fake;
use super::pair::{Pair, gateway, relay};
use crate::bed::WAIT;
use crate::control::Mesh;

/// A call waits longer than this for a gateway.
const LEAST: Duration = Duration::from_millis(2500);
/// Tries that a call makes at least which waits to the end.
const TRIES: usize = 10;

/// An address at which nobody listens.
async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Somebody who takes connections only to end them, the first `count` of them; the others lead to the gateway.
struct Fickle {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
}

impl Fickle {
    async fn before(gateway: Option<SocketAddr>, count: usize) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), gateway, count).await
    }

    async fn at(address: SocketAddr, gateway: Option<SocketAddr>, count: usize) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let fickle = Self { address: listener.local_addr().unwrap(), taken: Arc::default() };
        let taken = Arc::clone(&fickle.taken);
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let at = taken.fetch_add(1, Ordering::SeqCst);
                let Some(gateway) = gateway.filter(|_| at >= count) else { continue };
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(gateway).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        fickle
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_call_waits_for_a_gateway_that_begins() {
    let mesh = Mesh::new().await;
    let gateway = gateway(&mesh, "gateway", ([127, 0, 0, 1], 0).into()).await;
    let address = nowhere().await;
    let relay = relay(&mesh, "relay", address).await;
    relay.until_ready().await;
    let began = Instant::now();
    let late = Duration::from_millis(1500);
    let (write, read, ()) =
        tokio::join!(ask(&relay, "POST", "/ledger/payments/1", PAYMENT), relay.get("/ledger/notes/1"), async {
            // That it is late is what is tried.
            tokio::time::sleep(late).await;
            Fickle::at(address, Some(gateway.address), 0).await;
        });
    let took = began.elapsed();
    assert_eq!((write.status, read.status), (StatusCode::CREATED, StatusCode::OK), "{write:?} {read:?}");
    assert!(took >= late, "{took:?}");
    println!("answered {} ms after there was a gateway", took.saturating_sub(late).as_millis());
    assert_eq!(mesh.upstream.seen().len(), 2, "each once");
    assert_eq!(gateway.stop().await.decisions.len(), 2);
    assert!(relay.stop().await.decisions.is_empty());
}

#[tokio::test]
async fn a_gateway_that_is_not_ready_is_asked_again_and_told_nothing() {
    let pair = Pair::new().await;
    let says = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_owned();
    let tls = key_server(&ClientIdentity::generate().unwrap()).unwrap();
    let unready = Fake::start(Some(tls), says).await;
    let relay = relay(&pair.mesh, "other", unready.address).await;
    relay.until_ready().await;
    let answer = ask(&relay, "POST", "/ledger/payments/1", PAYMENT).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "gateway_unavailable"));
    let heard = unready.heard();
    let requests = heard.matches("HTTP/1.1\r\n").count();
    assert!(requests > 3 && requests == heard.matches(PROOF_PATH).count(), "{heard}");
}

#[tokio::test]
async fn a_call_is_refused_when_no_gateway_comes() {
    let mesh = Mesh::new().await;
    let relay = relay(&mesh, "relay", nowhere().await).await;
    relay.until_ready().await;
    let began = Instant::now();
    let answer = ask(&relay, "POST", "/ledger/payments/1", PAYMENT).await;
    let took = began.elapsed();
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "gateway_unavailable"));
    println!("refused after {} ms", took.as_millis());
    assert!(took > LEAST, "{took:?}");
    let records = relay.stop().await;
    assert_eq!(records.of(&answer).0.decision.code, Some(Code::GatewayUnavailable));
    assert!(mesh.upstream.seen().is_empty());
}

#[tokio::test]
async fn connections_that_end_before_the_proof_cost_no_call() {
    let mesh = Mesh::new().await;
    let gateway = gateway(&mesh, "gateway", ([127, 0, 0, 1], 0).into()).await;
    let fickle = Fickle::before(Some(gateway.address), 4).await;
    let relay = relay(&mesh, "relay", fickle.address).await;
    relay.until_ready().await;
    assert_eq!(ask(&relay, "POST", "/ledger/payments/1", PAYMENT).await.status, StatusCode::CREATED);
    assert_eq!(fickle.taken(), 5);
    assert_eq!(mesh.upstream.seen().len(), 1);
    assert_eq!(gateway.stop().await.decisions.len(), 1);
}

#[tokio::test]
async fn nobody_is_called_for_an_agent_that_went_away() {
    let mesh = Mesh::new().await;
    let fickle = Fickle::before(None, 0).await;
    let relay = relay(&mesh, "relay", fickle.address).await;
    relay.until_ready().await;
    let began = Instant::now();
    {
        let call = relay.send(Request::post("/ledger/notes").header("content-type", "application/json"), "{}");
        let tried = async {
            while fickle.taken() < 2 {
                assert!(began.elapsed() < WAIT);
                tokio::task::yield_now().await;
            }
        };
        match futures::future::select(Box::pin(tried), Box::pin(call)).await {
            futures::future::Either::Left(_) => {}
            futures::future::Either::Right((answer, _)) => panic!("{answer:?}"),
        }
    }
    relay.until_idle().await;
    // Nothing is tried while this test is kept from running: it is this test that takes the connections.
    let tried = fickle.taken();
    assert!(tried < TRIES, "it was tried on: {tried} tries");
    let records = relay.stop().await;
    assert_eq!(fickle.taken(), tried);
    let codes: Vec<_> = records.decisions.iter().filter_map(|record| record.decision.code).collect();
    assert_eq!(codes, [Code::GatewayUnavailable], "it was asked, and not sent");
}
