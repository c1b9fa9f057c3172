//! The same request at a rate: load, and what of it was answered how.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::call::{self, once};
use crate::emit;

/// A request and how often.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    call: call::Args,
    /// Calls in a second; one at a time, so a slow answer lowers it
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Stop after this time
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Stop after this many calls
    #[arg(long)]
    calls: Option<u64>,
    /// Keep the connection between calls
    #[arg(long)]
    keep: bool,
    /// Number of the first call: `{n}` in the request
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Only the sum at the end, no line for each call
    #[arg(long)]
    quiet: bool,
}

/// Calls until the time is over. Holds when every answer was as expected.
pub async fn run(args: &Args) -> anyhow::Result<bool> {
    ensure!(args.rate > 0.0 && args.rate.is_finite(), "--rate must be more than 0");
    let length = Duration::try_from_secs_f64(args.seconds)?;
    let mut ticks = tokio::time::interval(Duration::try_from_secs_f64(1.0 / args.rate)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    let (mut line, mut by, mut good, mut done) = (None, BTreeMap::<String, u64>::new(), 0_u64, 0_u64);
    loop {
        ticks.tick().await;
        if began.elapsed() >= length || args.calls.is_some_and(|calls| done >= calls) {
            break;
        }
        let n = args.first + done;
        if !args.keep {
            line = None;
        }
        let at = began.elapsed().as_millis();
        let outcome = once(&args.call, n, &mut line).await;
        done += 1;
        good += u64::from(outcome.good(args.call.expect));
        let key = outcome
            .result
            .as_ref()
            .map_or_else(|error| error.stage().to_owned(), |_| outcome.status().unwrap_or_default().to_string());
        *by.entry(key).or_default() += 1;
        if !args.quiet {
            let mut one = outcome.json();
            if let Value::Object(members) = &mut one {
                members.remove("headers");
                members.insert("n".into(), n.into());
                members.insert("at_ms".into(), u64::try_from(at).unwrap_or(u64::MAX).into());
            }
            emit::line(&one);
        }
    }
    emit::line(
        &json!({"loop": args.call.url, "calls": done, "good": good, "by": by, "seconds": began.elapsed().as_secs_f64()}),
    );
    Ok(done > 0 && good == done)
}
