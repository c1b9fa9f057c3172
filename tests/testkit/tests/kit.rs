//! The commands against each other, over loopback, as processes: what a pod and its outside do.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A server of the kit that ends with the test.
struct Server {
    child: Child,
    /// Its lines up to the one that was waited for.
    lines: Vec<Value>,
}

impl Server {
    /// Starts it and reads its output up to a line with this member.
    fn start(args: &[&str], until: &str) -> Self {
        let mut child = kit(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines: Vec<Value> = Vec::new();
        while lines.last().is_none_or(|line| line.get(until).is_none()) {
            lines.push(serde_json::from_str(&out.next().expect("the server ended").unwrap()).unwrap());
        }
        Self { child, lines }
    }

    fn last(&self, member: &str) -> &Value {
        &self.lines.last().unwrap()[member]
    }

    fn address(&self) -> String {
        self.last("listening")[0].as_str().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kit(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aegis-testkit"));
    command.args(args).env_remove("HTTP_PROXY").env_remove("http_proxy").env_remove("NO_PROXY").env_remove("no_proxy");
    command
}

/// Runs to the end: exit code and lines.
fn run(mut command: Command) -> (i32, Vec<Value>) {
    let out = command.output().unwrap();
    let lines = String::from_utf8(out.stdout).unwrap();
    (out.status.code().unwrap(), lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn get(args: &[&str]) -> (i32, Value) {
    let (code, mut lines) = run(kit(&[&["get"], args].concat()));
    assert_eq!(lines.len(), 1, "{lines:?}");
    (code, lines.remove(0))
}

const ANY: &str = "127.0.0.1:0";

#[test]
fn serves_what_it_saw_and_remembers() {
    let server = Server::start(&["serve", "--listen", ANY, "--name", "erp"], "serve");
    let at = server.address();
    let (code, answer) = get(&[
        &format!("http://{at}/orders?x=1"),
        "-H",
        "x-one: 1",
        "-H",
        "x-one: 2",
        "--body",
        "{\"sum\":7}",
        "--expect",
        "200",
    ]);
    assert_eq!((code, answer["status"].as_u64()), (0, Some(200)));
    let seen = &answer["body"];
    assert_eq!(
        (seen["name"].as_str(), seen["method"].as_str(), seen["uri"].as_str()),
        (Some("erp"), Some("POST"), Some("/orders?x=1"))
    );
    assert_eq!(
        (seen["headers"]["x-one"].as_str(), seen["headers"]["host"].as_str()),
        (Some("1, 2"), Some(at.as_str()))
    );
    assert_eq!((seen["body"].as_str(), seen["tls"].as_bool()), (Some("{\"sum\":7}"), Some(false)));

    assert_eq!(get(&[&format!("http://{at}/orders"), "--expect", "404"]).0, 1);
    let count = get(&[&format!("http://{at}/count")]).1["body"].clone();
    assert_eq!((count["requests"].as_u64(), count["paths"]["/orders"].as_u64()), (Some(2), Some(2)));
    assert_eq!(get(&[&format!("http://{at}/requests")]).1["body"].as_array().unwrap().len(), 2);
}

#[test]
fn never_follows_a_redirect() {
    let server =
        Server::start(&["serve", "--listen", ANY, "--status", "302", "--location", "http://127.0.0.1:1/"], "serve");
    let (code, answer) = get(&[&format!("http://{}/", server.address())]);
    assert_eq!(
        (code, answer["status"].as_u64(), answer["headers"]["location"].as_str()),
        (0, Some(302), Some("http://127.0.0.1:1/"))
    );
}

#[test]
fn speaks_tls_with_whom_it_trusts_only() {
    let server = Server::start(&["serve", "--listen", ANY, "--tls", "erp.test,localhost"], "serve");
    let at = server.address();
    let port = at.rsplit_once(':').unwrap().1;
    let url = format!("https://erp.test:{port}/");
    let (code, refused) = get(&[&url, "--connect", &at]);
    assert_eq!((code, refused["stage"].as_str()), (1, Some("tls")), "{refused}");

    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(server.last("certificate").as_str().unwrap().as_bytes()).unwrap();
    let ca = ca.path().to_str().unwrap();
    let (code, answer) = get(&[&url, "--connect", &at, "--ca", ca]);
    assert_eq!((code, answer["body"]["sni"].as_str()), (0, Some("erp.test")), "{answer}");
    let (code, wrong) = get(&[&format!("https://other.test:{port}/"), "--connect", &at, "--ca", ca]);
    assert_eq!((code, wrong["stage"].as_str()), (1, Some("tls")));
    let (code, fronted) =
        get(&[&format!("https://other.test:{port}/"), "--connect", &at, "--ca", ca, "--sni", "erp.test"]);
    assert_eq!((code, fronted["body"]["headers"]["host"].as_str()), (0, Some(format!("other.test:{port}").as_str())));
    assert_eq!(get(&[&url, "--connect", &at, "--insecure"]).0, 0);
}

#[test]
fn sends_a_proxy_the_whole_url() {
    let proxy = Server::start(&["serve", "--listen", ANY], "serve");
    let at = format!("http://{}", proxy.address());
    let (_, answer) = get(&["http://no.such.name.test/a", "--proxy", &at]);
    assert_eq!(answer["body"]["uri"].as_str(), Some("http://no.such.name.test/a"));
    assert_eq!(answer["body"]["headers"]["host"].as_str(), Some("no.such.name.test"));

    let mut from_env = kit(&["get", "http://no.such.name.test/b", "--proxy-from-env"]);
    let (code, lines) = run({
        from_env.env("http_proxy", &at);
        from_env
    });
    assert_eq!((code, lines[0]["body"]["uri"].as_str()), (0, Some("http://no.such.name.test/b")));
    let mut passed = kit(&["get", &format!("{at}/c"), "--proxy-from-env"]);
    passed.env("http_proxy", "http://127.0.0.1:1").env("no_proxy", "localhost, 127.0.0.1");
    assert_eq!(run(passed).1[0]["body"]["uri"].as_str(), Some("/c"));

    // A plain server is no proxy: it refuses no CONNECT, and then speaks no TLS.
    let (code, refused) = get(&["https://no.such.name.test/", "--proxy", &at, "--insecure"]);
    assert_eq!(code, 1);
    assert!(["tunnel", "tls", "http"].contains(&refused["stage"].as_str().unwrap()), "{refused}");
}

#[test]
fn loads_with_several_kinds_each_call_with_an_id_of_its_own() {
    let mut log = tempfile::NamedTempFile::new().unwrap();
    let mut server =
        kit(&["serve", "--listen", ANY, "--each", "--status", "503"]).stdout(log.reopen().unwrap()).spawn().unwrap();
    let lines = |log: &mut tempfile::NamedTempFile| -> Vec<Value> {
        let mut text = String::new();
        log.rewind().unwrap();
        log.read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    while lines(&mut log).is_empty() {
        std::thread::yield_now();
    }
    let url = format!("http://{}", lines(&mut log)[0]["listening"][0].as_str().unwrap());
    let (read, held) = ("read GET /items/{id}", r#"held POST /orders/{id} {"id":"{id}"}"#);
    let (code, told) = run(kit(&[
        "load", &url, "--call", read, "--call", held, "--again", "held", "--tries", "3", "--pause", "1", "--every",
        "1", "--calls", "2",
    ]));
    server.kill().unwrap();
    server.wait().unwrap();
    let (begun, calls): (Vec<Value>, Vec<Value>) = told.into_iter().partition(|line| line.get("began").is_some());
    assert_eq!(
        (code, begun.len(), calls.len()),
        (0, 4, 4),
        "a held call is repeated while it is answered 503: {calls:?}"
    );
    let of = |kind: &str| -> Vec<&Value> { calls.iter().filter(|call| call["kind"] == kind).collect() };
    assert_eq!(of("held").iter().map(|call| call["attempt"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(of("held").iter().all(|call| call["id"] == of("held")[0]["id"] && call["id"] != of("read")[0]["id"]));
    let seen: Vec<String> = lines(&mut log)[1..].iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect();
    let expected = |call: &&Value, folder: &str| format!("/{folder}/{}", call["id"].as_str().unwrap());
    assert_eq!(seen.iter().filter(|path| **path == expected(&of("held")[0], "orders")).count(), 3, "{seen:?}");
    assert_eq!(seen.iter().filter(|path| **path == expected(&of("read")[0], "items")).count(), 1, "{seen:?}");
}

#[test]
fn counts_what_the_sink_swallows() {
    let sink = Server::start(&["sink", "--ports", "0", "--ips", "127.0.0.1", "--control", ANY], "control");
    let at = sink.lines[0]["sink"].as_str().unwrap();
    let control = format!("http://{}", sink.last("control").as_str().unwrap());
    assert_eq!(get(&[&format!("http://{at}/leak")]).1["body"].as_str(), Some("sink"));
    let (code, echo) = run(kit(&["connect", at, "--udp", "--send", "secret"]));
    assert_eq!((code, echo[0]["answer"].as_str()), (0, Some("secret")));

    let count = get(&[&format!("{control}/count")]).1["body"].clone();
    let by = count["by"].as_array().unwrap();
    assert_eq!((count["total"].as_u64(), by.len()), (Some(2), 2), "{count}");
    assert_eq!((by[0]["kind"].as_str(), by[0]["arrivals"].as_u64()), (Some("tcp4"), Some(1)));
    assert_eq!(
        (by[1]["kind"].as_str(), by[1]["bytes"].as_u64(), by[1]["peers"][0].as_str()),
        (Some("udp4"), Some(6), Some("127.0.0.1"))
    );
    get(&[&format!("{control}/reset"), "--method", "POST"]);
    assert_eq!(get(&[&format!("{control}/count")]).1["body"]["total"].as_u64(), Some(0));
}

#[test]
fn answers_names_in_turn_and_counts_them() {
    let records =
        ["rebind.evil.test=203.0.113.9;10.0.0.1,fd00::1", "*.evil.test=203.0.113.8", "alias.test=target.test"];
    let args: Vec<&str> = ["dns", "--listen", ANY, "--control", ANY]
        .into_iter()
        .chain(records.iter().flat_map(|one| ["--record", one]))
        .collect();
    let dns = Server::start(&args, "dns");
    let at = dns.last("dns")[0].as_str().unwrap();
    let ask = |name: &str, more: &[&str]| run(kit(&[&["lookup", name, "--server", at], more].concat())).1[0].clone();

    assert_eq!(ask("rebind.evil.test", &[])["answers"], serde_json::json!(["203.0.113.9"]));
    assert_eq!(ask("rebind.evil.test", &["--tcp"])["answers"], serde_json::json!(["10.0.0.1"]));
    assert_eq!(ask("rebind.evil.test", &[])["answers"], serde_json::json!(["203.0.113.9"]));
    assert_eq!(ask("rebind.evil.test", &["--type", "AAAA"])["answers"], serde_json::json!([]));
    assert_eq!(ask("rebind.evil.test", &["--type", "AAAA"])["answers"], serde_json::json!(["fd00::1"]));
    assert_eq!(ask("c2VjcmV0.x.evil.test", &[])["answers"], serde_json::json!(["203.0.113.8"]));
    assert_eq!(ask("alias.test", &[])["answers"], serde_json::json!(["target.test."]));
    let none = ask("else.test", &[]);
    assert_eq!((none["answers"].as_array().unwrap().len(), none["code"].as_str()), (0, Some("Non-Existent Domain")));

    let count = get(&[&format!("http://{}/count", dns.last("control").as_str().unwrap())]).1["body"].clone();
    assert_eq!(
        (count["queries"].as_u64(), count["names"]["rebind.evil.test."].as_u64()),
        (Some(8), Some(5)),
        "{count}"
    );
    // rebind.evil.test five times (14 bytes), c2vjcmv0.x.evil.test (17), alias.test (9), else.test (8).
    assert_eq!(count["bytes"].as_u64(), Some(5 * 14 + 17 + 9 + 8));
}

#[test]
fn repeats_at_a_rate_and_sums_up() {
    let server = Server::start(&["serve", "--listen", ANY], "serve");
    let at = server.address();
    let (code, lines) = run(kit(&[
        "loop",
        &format!("http://{at}/{{n}}"),
        "--rate",
        "500",
        "--seconds",
        "30",
        "--calls",
        "5",
        "--keep",
    ]));
    assert_eq!((code, lines.len()), (0, 6));
    assert_eq!((lines[4]["n"].as_u64(), lines[4]["body"]["uri"].as_str()), (Some(5), Some("/5")));
    assert_eq!((lines[5]["good"].as_u64(), lines[5]["by"]["200"].as_u64()), (Some(5), Some(5)));
    assert_eq!(get(&[&format!("http://{at}/count")]).1["body"]["connections"].as_u64(), Some(2));

    let (code, lines) = run(kit(&[
        "loop",
        &format!("http://{at}/"),
        "--rate",
        "500",
        "--seconds",
        "30",
        "--calls",
        "3",
        "--quiet",
        "--expect",
        "500",
    ]));
    assert_eq!((code, lines.len(), lines[0]["good"].as_u64()), (1, 1, Some(0)));
}

#[test]
fn runs_scripts_in_order() {
    let server = Server::start(&["serve", "--listen", ANY], "serve");
    let mut script = kit(&["run-script", "--env", "SCRIPT"]);
    script
        .env("TOOL", format!("http://{}", server.address()))
        .env("SCRIPT", "get $(TOOL)/1\n# a comment\nget $(TOOL)/2 --expect 404\nget $(TOOL)/3\n");
    assert_eq!(run(script).0, 1);
    let mut script = kit(&["run-script", "--keep-going"]);
    let mut child = script
        .env("TOOL", format!("http://{}", server.address()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"get $(TOOL)/4 --expect 404\nget $(TOOL)/5").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let count = get(&[&format!("http://{}/count", server.address())]).1["body"].clone();
    assert_eq!(count["paths"], serde_json::json!({"/1": 1, "/2": 1, "/4": 1, "/5": 1}));
}

#[test]
fn idles_until_told_to_stop() {
    let mut idle = kit(&["idle"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(idle.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "{\"idle\":true}\n");
    assert!(Command::new("kill").arg(idle.id().to_string()).status().unwrap().success());
    assert_eq!(idle.wait().unwrap().code(), Some(0));
}
