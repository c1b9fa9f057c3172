//! A gateway with the tools' credentials, and a relay without them; what may stand between the two.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use aegis_runtime::tls::{ClientIdentity, key_client};
use http::{HeaderValue, Request};
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::bed::{Answer, Sidecar, Trial, bare, command, exchange_on, write_credential};
use crate::control::Mesh;

/// Carries the token from relay to gateway.
pub const TOKEN: &str = "aegis-agent-token";

/// The two, and all that they need.
pub struct Pair {
    pub mesh: Mesh,
    pub gateway: Sidecar,
    pub relay: Sidecar,
}

impl Pair {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Trial)) -> Self {
        let mesh = Mesh::with(change).await;
        let gateway = gateway(&mesh, "gateway", SocketAddr::from(([127, 0, 0, 1], 0))).await;
        let relay = relay(&mesh, "relay", gateway.address).await;
        relay.until_ready().await;
        Self { mesh, gateway, relay }
    }
}

/// A folder of one process.
pub fn folder(mesh: &Mesh, name: &str) -> PathBuf {
    let folder = mesh.folder.path().join(name);
    std::fs::create_dir(&folder).unwrap();
    folder
}

/// The command of a gateway, which alone has the credential.
pub fn gateway_command(mesh: &Mesh, folder: &Path, listen: SocketAddr) -> Command {
    write_credential(folder);
    let mut command = mesh.reached_by(bare(folder), "gateway-token");
    command.args(["--level", "Sealed", "--gateway-listen", &listen.to_string()]);
    command
}

/// The command of a sidecar that relays to this address; its folder of credentials is not there.
pub fn relay_command(mesh: &Mesh, folder: &Path, gateway: SocketAddr) -> Command {
    let mut command = mesh.reached_by(command(folder), "token");
    command.args(["--gateway", &gateway.to_string()]);
    command
}

/// Starts a gateway at this address, and waits until it is ready.
pub async fn gateway(mesh: &Mesh, name: &str, listen: SocketAddr) -> Sidecar {
    let folder = folder(mesh, name);
    let gateway = Sidecar::launch(gateway_command(mesh, &folder, listen), &folder, mesh.control.keys.clone()).await;
    gateway.until_ready().await;
    gateway
}

/// Starts a relay; it need not become ready.
pub async fn relay(mesh: &Mesh, name: &str, gateway: SocketAddr) -> Sidecar {
    let folder = folder(mesh, name);
    let mut command = relay_command(mesh, &folder, gateway);
    command.args(["--level", "Sealed"]);
    Sidecar::launch(command, &folder, mesh.control.keys.clone()).await
}

/// Somebody with a TLS key who speaks to a gateway without a sidecar.
pub struct Caller {
    pub identity: ClientIdentity,
    gateway: SocketAddr,
}

impl Caller {
    pub fn of(gateway: &Sidecar) -> Self {
        Self { identity: ClientIdentity::generate().unwrap(), gateway: gateway.address }
    }

    /// A valid token of the gateway's own agent, for this caller's key: what a sidecar holds that was taken over.
    pub fn token(&self, mesh: &Mesh) -> String {
        mesh.control.token(&mesh.control.claims(self.identity.public_key(), Timestamp::now(), 300, 1))
    }

    pub async fn connect(&self) -> TlsStream<TcpStream> {
        let connector = TlsConnector::from(Arc::new(key_client(&self.identity).unwrap()));
        let stream = TcpStream::connect(self.gateway).await.unwrap();
        connector.connect(ServerName::from(self.gateway.ip()), stream).await.unwrap()
    }

    /// One well-formed request with these tokens.
    pub async fn ask(&self, tokens: &[&str], mut request: http::request::Builder, body: &str) -> Answer {
        for token in tokens {
            request = request.header(TOKEN, HeaderValue::from_str(token).unwrap());
        }
        let request = request.header("host", "gateway").body(body.to_owned().into()).unwrap();
        exchange_on(self.connect().await, request).await
    }

    pub async fn get(&self, tokens: &[&str], path: &str) -> Answer {
        self.ask(tokens, Request::get(path), "").await
    }

    /// Sends raw bytes, ends the sending side, and reads all that comes.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        // A reset after a refusal is as good as an end.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A cable from relay to gateway that can be cut.
pub struct Cable {
    pub address: SocketAddr,
    cuts: watch::Sender<u32>,
}

impl Cable {
    pub async fn to(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cable = Self { address: listener.local_addr().unwrap(), cuts: watch::Sender::new(0) };
        let cuts = cable.cuts.clone();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut cut = cuts.subscribe();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(gateway).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        cable
    }

    /// Ends all connections; new ones can be made.
    pub fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }
}
