//! The probe's side of its wire: HTTP/1.1 over a unix socket, one request a connection.
//!
//! The wire is described in [`aegis_decision::probe`].

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use aegis_decision::probe::{Attempt, MAX_REPORT_BYTES, ProbeOrder, ProbeReport, ProbeState};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::techniques::{self, Ground};

/// The sidecar holds `GET /next` for a minute at most.
const LONG_POLL: Duration = Duration::from_secs(75);
/// Any other request.
const SHORT: Duration = Duration::from_secs(5);
/// Between two tries while the sidecar is not there.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest answer in bytes: an order holds a few addresses.
const MAX_ANSWER: u64 = MAX_REPORT_BYTES as u64;
/// Most headers of an answer.
const MAX_HEADERS: usize = 32;

/// Speaks with the sidecar.
#[derive(Debug, Clone)]
pub struct Sidecar {
    socket: PathBuf,
}

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The socket is not there, or fell silent.
    #[error("sidecar cannot be reached: {0}")]
    Io(#[from] io::Error),
    /// Not HTTP/1.1, cut off, or too long.
    #[error("sidecar answered with something else than HTTP/1.1 in {MAX_ANSWER} bytes")]
    Framing,
    /// A status that the wire does not know.
    #[error("sidecar answered {0}")]
    Status(u16),
    /// A body of another shape.
    #[error("sidecar's answer cannot be read: {0}")]
    Body(#[from] serde_json::Error),
}

/// A parsed answer.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Sidecar {
    /// At this path.
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Waits for an order, about a minute at most.
    pub fn next(&self) -> Result<Option<ProbeOrder>, WireError> {
        let answer = self.exchange("GET", "/next", &[], LONG_POLL)?;
        if answer.status == 204 { Ok(None) } else { answer.json().map(Some) }
    }

    /// Hands in a report.
    pub fn result(&self, report: &ProbeReport) -> Result<(), WireError> {
        match self.exchange("POST", "/result", &serde_json::to_vec(report)?, SHORT)?.status {
            202 => Ok(()),
            status => Err(WireError::Status(status)),
        }
    }

    /// Where the sidecar stands.
    pub fn state(&self) -> Result<ProbeState, WireError> {
        self.exchange("GET", "/state", &[], SHORT)?.json()
    }

    fn exchange(&self, method: &str, path: &str, body: &[u8], patience: Duration) -> Result<Answer, WireError> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(SHORT))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: sidecar\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut bytes = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut bytes)?;
        parse(&bytes)
    }
}

impl Answer {
    fn json<T: DeserializeOwned>(&self) -> Result<T, WireError> {
        match self.status {
            200 => Ok(serde_json::from_slice(&self.body)?),
            status => Err(WireError::Status(status)),
        }
    }
}

/// An answer with `Content-Length`, or one that ends with the connection.
fn parse(bytes: &[u8]) -> Result<Answer, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(start)) = response.parse(bytes) else { return Err(WireError::Framing) };
    let value = |name: &str| response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    if value("transfer-encoding").is_some() {
        return Err(WireError::Framing);
    }
    let body = bytes.get(start..).unwrap_or_default();
    if let Some(length) = value("content-length") {
        let length: usize =
            std::str::from_utf8(length.value).ok().and_then(|text| text.parse().ok()).ok_or(WireError::Framing)?;
        if length != body.len() {
            return Err(WireError::Framing);
        }
    }
    Ok(Answer { status: response.code.ok_or(WireError::Framing)?, body: body.to_vec() })
}

/// Makes one run for an order.
pub fn report(order: &ProbeOrder, executor: &Path) -> ProbeReport {
    let ground = Ground { sidecar_uid: Some(order.sidecar_uid), executor: executor.to_owned(), ..Ground::default() }
        .with_targets(&order.targets);
    written(order.run.clone(), techniques::run(&ground))
}

/// A report about attempts that ended now.
pub fn written(run: String, attempts: Vec<Attempt>) -> ProbeReport {
    ProbeReport { run, uid: nix::unistd::getuid().as_raw(), at: Timestamp::now(), attempts }
}

/// Runs whenever the sidecar orders it. Never returns; `say` hears what happened, one line each.
pub fn serve(sidecar: &Sidecar, executor: &Path, mut say: impl FnMut(String)) -> ! {
    let mut reachable = true;
    loop {
        match turn(sidecar, executor) {
            Ok(None) => {}
            Ok(Some(report)) => {
                let out = report.got_out();
                say(format!("{} attempts, {} got out {out:?}", report.attempts.len(), out.len()));
            }
            Err(error) => {
                // Said once: the sidecar may start later, or be replaced.
                if reachable {
                    say(error.to_string());
                }
                reachable = false;
                thread::sleep(PAUSE);
                continue;
            }
        }
        reachable = true;
    }
}

fn turn(sidecar: &Sidecar, executor: &Path) -> Result<Option<ProbeReport>, WireError> {
    let Some(order) = sidecar.next()? else { return Ok(None) };
    let report = report(&order, executor);
    sidecar.result(&report)?;
    Ok(Some(report))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    use test_case::test_case;

    use super::*;

    /// Takes one connection per answer; returns the request lines and bodies.
    fn sidecar(socket: &Path, answers: Vec<String>) -> thread::JoinHandle<Vec<(String, Vec<u8>)>> {
        let listener = UnixListener::bind(socket).unwrap();
        thread::spawn(move || {
            let answered = answers.iter().map(|answer| {
                let mut stream = BufReader::new(listener.accept().unwrap().0);
                let mut lines = Vec::new();
                while lines.last().is_none_or(|line: &String| line != "\r\n") {
                    let mut line = String::new();
                    stream.read_line(&mut line).unwrap();
                    lines.push(line);
                }
                let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                let mut body = vec![0; length.trim().parse().unwrap()];
                stream.read_exact(&mut body).unwrap();
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
                (lines[0].clone(), body)
            });
            answered.collect()
        })
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn an_order_is_carried_out_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sidecar.sock");
        let order = ok(r#"{"run":"abc","sidecarUid":31234,"targets":["operator.aegis.svc:8443"]}"#);
        let served = sidecar(&socket, vec![order, "HTTP/1.1 202 Accepted\r\n\r\n".to_owned()]);
        let ordered = Sidecar::at(&socket).next().unwrap().unwrap();
        // What a run finds is the suite's matter; here nothing may be sent.
        let ground = Ground { only: vec![17], ..Ground::default() }.with_targets(&ordered.targets);
        let report = written(ordered.run.clone(), techniques::run(&ground));
        Sidecar::at(&socket).result(&report).unwrap();
        let requests = served.join().unwrap();
        assert_eq!(requests[0].0, "GET /next HTTP/1.1\r\n");
        assert_eq!(requests[1].0, "POST /result HTTP/1.1\r\n");
        let handed_in: ProbeReport = serde_json::from_slice(&requests[1].1).unwrap();
        assert_eq!(handed_in, report);
        assert_eq!((handed_in.run.as_str(), handed_in.attempts.len()), ("abc", 1));
    }

    #[test]
    fn nothing_due_a_state_and_a_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sidecar.sock");
        assert!(matches!(Sidecar::at(&socket).state(), Err(WireError::Io(_))));
        let answers = vec![
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            ok(r#"{"verified":true,"ready":false}"#),
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ];
        let served = sidecar(&socket, answers);
        let at = Sidecar::at(&socket);
        assert_eq!(at.next().unwrap(), None);
        assert_eq!(at.state().unwrap(), ProbeState { verified: true, ready: false });
        let refused = at.result(&written("other".to_owned(), Vec::new()));
        assert!(matches!(refused, Err(WireError::Status(400))), "{refused:?}");
        served.join().unwrap();
    }

    #[test_case(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", Some((200, 2)); "with a length")]
    #[test_case(b"HTTP/1.1 204 No Content\r\n\r\n", Some((204, 0)); "without a body")]
    #[test_case(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", None; "cut off")]
    #[test_case(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", None; "chunked")]
    #[test_case(b"HTTP/1.1 200 OK\r\ncontent-le", None; "half a head")]
    #[test_case(b"", None; "nothing")]
    fn answers_are_read_strictly(bytes: &[u8], expected: Option<(u16, usize)>) {
        assert_eq!(parse(bytes).ok().map(|answer| (answer.status, answer.body.len())), expected);
    }
}
