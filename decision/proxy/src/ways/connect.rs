//! `CONNECT host:port`: a tunnel to a host of `Agent.egress`, and to nothing else.

use std::sync::Arc;

use aegis_decision::codes::Code;
use aegis_decision::record::Way;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio_util::task::TaskTracker;

use super::site::Site;
use super::tunnel::{self, Refused};
use crate::answer::{self, Answer, DECISION, Problem};
use crate::record::compose;
use crate::worker::Worker;

/// Opens the tunnel, or says why not. It is carried in a task of `tunnels`.
pub async fn connect(
    worker: Arc<Worker>,
    tunnels: TaskTracker,
    mut request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let opened = match target(&request) {
        Ok(site) => tunnel::open(&worker, Way::Connect, site).await,
        Err(code) => Err(tunnel::refuse(&worker.shared, Way::Connect, compose::new_id(), None, 0, code)),
    };
    match opened {
        Ok(tunnel) => {
            let mut response = Response::new(Full::default());
            if let Ok(id) = HeaderValue::from_str(&tunnel.id) {
                response.headers_mut().insert(DECISION, id);
            }
            tunnels.spawn(async move {
                match hyper::upgrade::on(&mut request).await {
                    Ok(agent) => tunnel.carry(TokioIo::new(agent), None).await,
                    Err(_) => tunnel.abandon(),
                }
            });
            response
        }
        Err(Refused { id, code, detail }) => {
            // What the agent sent behind its request was meant for the tunnel: it is no request to the sidecar.
            let response = Answer::from(Problem::with_detail(code, detail)).into_response(&id);
            answer::last(response, request.version())
        }
    }
}

/// Where to. A Host header may be left out, as HTTP/1.0 clients do, but not name another place (RFC 9110, 9.3.6).
fn target<B>(request: &Request<B>) -> Result<Site, Code> {
    let authority = request.uri().authority().ok_or(Code::MalformedRequest)?;
    let site = Site::parse(authority.as_str(), None).map_err(|_| Code::MalformedRequest)?;
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => Ok(site),
        (Some(host), None) => {
            let host = host.to_str().ok().and_then(|host| Site::parse(host, Some(site.port)).ok());
            if host.as_ref() == Some(&site) { Ok(site) } else { Err(Code::Misdirected) }
        }
        (Some(_), Some(_)) => Err(Code::MalformedRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, hosts: &[&str]) -> Request<()> {
        let mut request = Request::connect(target);
        for host in hosts {
            request = request.header("host", *host);
        }
        request.body(()).unwrap()
    }

    fn read(target: &str, hosts: &[&str]) -> Result<String, Code> {
        super::target(&request(target, hosts)).map(|site| site.to_string())
    }

    #[test]
    fn the_target_is_one_host_and_port_and_the_host_header_agrees() {
        assert_eq!(read("api.example:443", &[]), Ok("api.example:443".to_owned()));
        assert_eq!(read("API.example:443", &["api.example:443"]), Ok("api.example:443".to_owned()));
        assert_eq!(read("api.example:8443", &["api.example"]), Ok("api.example:8443".to_owned()));
        assert_eq!(read("[::1]:443", &["[::1]:443"]), Ok("[::1]:443".to_owned()));
        assert_eq!(read("api.example:443", &["other.example:443"]), Err(Code::Misdirected));
        assert_eq!(read("api.example:443", &["api.example:80"]), Err(Code::Misdirected));
        assert_eq!(read("api.example:443", &[""]), Err(Code::Misdirected));
        assert_eq!(read("api.example:443", &["api.example", "api.example"]), Err(Code::MalformedRequest));
        for target in ["api.example", "user@api.example:443", "api.example.:443", "0x7f.1:443", "/erp"] {
            assert_eq!(read(target, &[]), Err(Code::MalformedRequest), "{target}");
        }
    }
}
