//! Tunnels of a sealed agent, in a network of the test's own: through the gateway, to egress hosts only, and for as long
//! as the policy says so.

use std::process::Command;

use aegis_decision::codes::Code;
use aegis_decision::record::{ConnectionVerdict, Ended, Way};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::pair::{Caller, TOKEN, folder, gateway_command, relay_command};
use crate::bed::{Records, Sidecar};
use crate::control::Mesh;
use crate::namespace::{self, HOST, NOWHERE};
use crate::ways::{echo, echoed, ended, hello, name_server, open, tunnel};

/// A gateway and a relay that captures, both as the user whom the packet rules exempt.
async fn captured(mesh: &Mesh) -> (Sidecar, Sidecar) {
    let (at_gateway, at_relay) = (folder(mesh, "gateway"), folder(mesh, "relay"));
    let keys = || mesh.control.keys.clone();
    let whole = mesh.folder.path();
    let command = gateway_command(mesh, &at_gateway, ([127, 0, 0, 1], 0).into());
    let gateway = Sidecar::launch(namespace::as_user(command, whole), &at_gateway, keys()).await;
    gateway.until_ready().await;
    let command: Command = relay_command(mesh, &at_relay, gateway.address);
    let relay = Sidecar::launch(namespace::as_sidecar(command, whole), &at_relay, keys()).await;
    relay.until_ready().await;
    (gateway, relay)
}

/// A tunnel that the caller asks the gateway for by itself.
async fn direct(caller: &Caller, token: &str, target: &str) -> (tokio_rustls::client::TlsStream<TcpStream>, String) {
    let mut stream = caller.connect().await;
    let head = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{TOKEN}: {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
    }
    (stream, String::from_utf8(answer).unwrap())
}

fn allowed(records: &Records) -> Vec<(Option<&str>, u16, Way)> {
    let allowed = records.connections.iter().filter(|record| record.verdict == ConnectionVerdict::Allow);
    allowed.map(|record| (record.host.as_deref(), record.port, record.way)).collect()
}

fn refused(records: &Records) -> Vec<Code> {
    records.connections.iter().filter_map(|record| record.code).collect()
}

#[test]
fn tunnels_go_through_the_gateway_to_egress_hosts_only() {
    namespace::run("sealed::tunnels::tunnels_go_through_the_gateway_to_egress_hosts_only", || async {
        let mesh = Mesh::with(|trial| open(trial, &["api.example", "inner.example"])).await;
        let host = echo(&format!("{HOST}:443")).await;
        name_server().await;
        let (gateway, relay) = captured(&mesh).await;
        let api = hello("api.example");

        let (mut stream, answer) = tunnel(&relay, "api.example:443", "1.1").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        echoed(&mut stream, &api).await;
        stream.shutdown().await.unwrap();
        ended(&mut stream).await;
        let mut dialled = TcpStream::connect(format!("{NOWHERE}:443")).await.unwrap();
        echoed(&mut dialled, &api).await;
        dialled.shutdown().await.unwrap();
        ended(&mut dialled).await;
        for (target, status) in [("other.example:443", 403), ("api.example:80", 403), ("inner.example:443", 502)] {
            let (_, answer) = tunnel(&relay, target, "1.1").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{target}: {answer}");
        }
        let at_relay = relay.records_until(|records| records.ends.len() == 3).await;
        let at_gateway = gateway.records_until(|records| records.ends.len() == 3).await;
        let api_by = |way| (Some("api.example"), 443, way);
        let inner = (Some("inner.example"), 443, Way::Connect);
        assert_eq!(allowed(&at_relay), [api_by(Way::Connect), api_by(Way::Captured), inner]);
        assert_eq!(allowed(&at_gateway), [api_by(Way::Connect), api_by(Way::Connect), inner]);
        assert_eq!(refused(&at_relay), [Code::UnknownHost; 2]);
        assert!(refused(&at_gateway).is_empty(), "the relay asked for none of them");
        for records in [&at_relay, &at_gateway] {
            let bytes: Vec<_> = records.ends.iter().map(|end| (end.sent_bytes, end.received_bytes)).collect();
            let whole = api.len() as u64;
            assert_eq!(bytes, [(whole, whole), (whole, whole), (0, 0)]);
        }

        // A sidecar that was taken over asks by itself: judged and recorded all the same.
        let caller = Caller::of(&gateway);
        let token = caller.token(&mesh);
        let port = mesh.upstream.address.port();
        let cases = [
            ("other.example:443".to_owned(), 403, Code::UnknownHost),
            (format!("127.0.0.1:{port}"), 403, Code::TunnelToTool),
            ("169.254.169.254:80".to_owned(), 403, Code::UnknownHost),
            ("0x7f.1:443".to_owned(), 400, Code::MalformedRequest),
        ];
        for (target, status, _) in &cases {
            let (_, answer) = direct(&caller, &token, target).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{target}: {answer}");
        }
        let (mut fronted, _) = direct(&caller, &token, "api.example:443").await;
        fronted.write_all(&hello("other.example")).await.unwrap();
        let mut rest = Vec::new();
        let _ = fronted.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        let at_gateway = gateway.records_until(|records| records.ends.len() == 4).await;
        assert_eq!(refused(&at_gateway), cases.map(|(_, _, code)| code));
        let last = at_gateway.ends.last().unwrap();
        assert_eq!((last.ended, last.code, last.sent_bytes), (Ended::Policy, Some(Code::Misdirected), 0));
        assert_eq!(host.load(std::sync::atomic::Ordering::SeqCst), 3);
    });
}

#[test]
fn tunnels_end_at_relay_and_gateway_when_the_policy_tightens() {
    namespace::run("sealed::tunnels::tunnels_end_at_relay_and_gateway_when_the_policy_tightens", || async {
        let mesh = Mesh::with(|trial| open(trial, &["api.example"])).await;
        echo(&format!("{HOST}:443")).await;
        name_server().await;
        let (gateway, relay) = captured(&mesh).await;
        let (mut relayed, _) = tunnel(&relay, "api.example:443", "1.1").await;
        echoed(&mut relayed, b"before").await;
        // One that no relay would end.
        let caller = Caller::of(&gateway);
        let (mut own, answer) = direct(&caller, &caller.token(&mesh), "api.example:443").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        own.write_all(b"before").await.unwrap();
        own.read_exact(&mut [0; 6]).await.unwrap();
        let began = std::time::Instant::now();
        mesh.control.suspend();
        ended(&mut relayed).await;
        let _ = own.read_to_end(&mut Vec::new()).await;
        println!("both ended {} ms after the suspension", began.elapsed().as_millis());
        let at_gateway = gateway.records_until(|records| records.ends.len() == 2).await;
        let by_policy =
            |records: &Records| records.ends.iter().filter(|end| end.code == Some(Code::AgentNotActive)).count();
        assert!(by_policy(&at_gateway) >= 1, "{at_gateway:?}");
        let at_relay = relay.records_until(|records| records.ends.len() == 1).await;
        // Whoever hears of it first ends it for both.
        assert!(by_policy(&at_gateway) + by_policy(&at_relay) >= 2);
        for sidecar in [&relay, &gateway] {
            assert!(sidecar.metrics().await.contains("\naegis_tunnels_open 0\n"));
        }
        let (_, answer) = tunnel(&relay, "api.example:443", "1.1").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        let (_, answer) = direct(&caller, &caller.token(&mesh), "api.example:443").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    });
}
