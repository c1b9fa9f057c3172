//! A connection at a gateway's listener: TLS, then the requests of one relay.

use std::sync::Arc;

use aegis_decision::codes::Code;
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::LINGER;
use super::gateway::Admitted;
use crate::answer::Answer;
use crate::record::compose;
use crate::ways::Door;
use crate::worker::{Server, call, drive};

/// Serves one relay until it goes, or until this gateway ends and it has said what it had begun.
pub(crate) async fn serve_relay(server: Arc<Server>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let Some(gateway) = server.worker.shared.gateway.clone() else { return };
    let Some((stream, relay)) = gateway.accept(stream).await else { return };
    let serving = Arc::clone(&server);
    let service = service_fn(move |request| {
        let (worker, calls, gateway) = (Arc::clone(&serving.worker), serving.calls.clone(), Arc::clone(&gateway));
        async move {
            let (began, shared) = (Instant::now(), Arc::clone(&worker.shared));
            let mut response = match gateway.admit(relay, request).await {
                Admitted::Call(request) => call(worker, Door::Gateway, calls, *request).await?,
                Admitted::Proof(_) if shared.drain.has_begun() => {
                    Answer::from(Code::NotReady).into_response(&compose::new_id())
                }
                Admitted::Proof(proof) => proof,
                Admitted::Stranger => {
                    let code = Code::NotThisAgent;
                    shared.metrics.answered(None, None, Some(code), began.elapsed());
                    Answer::from(code).into_response(&compose::new_id())
                }
            };
            if shared.drain.has_begun() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, tokio::task::JoinError>(response)
        }
    });
    let connection = server.http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    drive(&server, connection, LINGER).await;
}
