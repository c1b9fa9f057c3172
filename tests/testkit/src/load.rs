//! Several kinds of calls in turn on a steady schedule: what an agent does that does not know what breaks around it.
//!
//! A slow answer delays no other call. Every call has an id of its own, and two lines of output for each time it
//! is made: when it begins and when it has ended.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use crate::call::{self, once};
use crate::emit;

/// Calls under way at most. One that is due while so many are is left out, and a line says so.
const UNDER_WAY: usize = 256;

/// What to call, and how often.
#[derive(clap::Args)]
pub struct Args {
    /// Where every path is put behind
    url: String,
    /// A kind of call, `NAME METHOD PATH [BODY]`; `{id}` in path and body is the call's id. The kinds take turns
    #[arg(long = "call", required = true, value_name = "KIND", value_parser = kind)]
    kinds: Vec<Kind>,
    /// Milliseconds from one call to the next
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Milliseconds that an answer may take
    #[arg(long, default_value_t = 15_000)]
    timeout: u64,
    /// A kind that is repeated unchanged while it is not answered, or answered 428 or 503
    #[arg(long, value_name = "NAME")]
    again: Vec<String>,
    /// Times that such a call is made at most
    #[arg(long, default_value_t = 5)]
    tries: u64,
    /// Milliseconds between two times
    #[arg(long, default_value_t = 1_000)]
    pause: u64,
    /// Stop after this many calls
    #[arg(long)]
    calls: Option<u64>,
}

/// A kind of call.
#[derive(Clone)]
struct Kind {
    name: String,
    method: String,
    path: String,
    body: Option<String>,
}

fn kind(text: &str) -> anyhow::Result<Kind> {
    let mut words = text.splitn(4, ' ').map(str::to_owned);
    let mut next = |what| words.next().filter(|word| !word.is_empty()).with_context(|| format!("{text}: no {what}"));
    let (name, method, path) = (next("name")?, next("method")?, next("path")?);
    ensure!(path.starts_with('/'), "{text}: the path does not start with /");
    Ok(Kind { name, method, path, body: words.next() })
}

/// Calls until told to stop, or until all are made. Holds when every call was answered.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let args = Arc::new(args);
    let room = Arc::new(Semaphore::new(UNDER_WAY));
    let mut ticks = tokio::time::interval(Duration::from_millis(args.every));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut calls = tokio::task::JoinSet::new();
    // A restarted program must not take an id that it has used before.
    let start = now();
    let (mut n, mut answered) = (0_u64, true);
    while args.calls.is_none_or(|calls| n < calls) {
        ticks.tick().await;
        let turn = usize::try_from(n)? % args.kinds.len();
        let kind = args.kinds.get(turn).cloned().context("no kind")?;
        n += 1;
        let id = format!("{start}-{n}");
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            emit::line(&json!({"id": id, "kind": kind.name, "left_out": now()}));
            answered = false;
            continue;
        };
        let args = Arc::clone(&args);
        calls.spawn(async move {
            let answered = one(&args, &kind, &id).await;
            drop(permit);
            answered
        });
        while let Some(ended) = calls.try_join_next() {
            answered &= ended.unwrap_or(false);
        }
    }
    while let Some(ended) = calls.join_next().await {
        answered &= ended.unwrap_or(false);
    }
    Ok(answered)
}

/// Makes one call, as often as its kind is repeated.
async fn one(args: &Args, kind: &Kind, id: &str) -> bool {
    let tries = if args.again.contains(&kind.name) { args.tries } else { 1 };
    let mut answered = false;
    for attempt in 1..=tries {
        let url = format!("{}{}", args.url, kind.path.replace("{id}", id));
        let body = kind.body.as_ref().map(|body| body.replace("{id}", id));
        let request = call::Args::json(url, &kind.method, body, args.timeout);
        let started = now();
        // Told before it is made: a call that is under way when the program dies must not be missing.
        emit::line(&json!({"id": id, "kind": kind.name, "attempt": attempt, "began": started}));
        let outcome = match request {
            Ok(request) => once(&request, 1, &mut None).await,
            Err(error) => {
                emit::line(&json!({"id": id, "kind": kind.name, "error": format!("{error:#}")}));
                return false;
            }
        };
        let told = outcome.json();
        let header = |name: &str| told.pointer(&format!("/headers/{name}")).cloned();
        let line: BTreeMap<&str, _> = [
            ("id", Some(json!(id))),
            ("kind", Some(json!(kind.name))),
            ("attempt", Some(json!(attempt))),
            ("started", Some(json!(started))),
            ("ended", Some(json!(now()))),
            ("status", told.get("status").cloned()),
            ("code", told.pointer("/body/code").cloned()),
            ("decision", header("aegis-decision")),
            ("error", told.get("error").cloned()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
        emit::line(&json!(line));
        answered = outcome.status().is_some();
        if !matches!(outcome.status(), None | Some(428 | 503)) {
            break;
        }
        if attempt < tries {
            tokio::time::sleep(Duration::from_millis(args.pause)).await;
        }
    }
    answered
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
