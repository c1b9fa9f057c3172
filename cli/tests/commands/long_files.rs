//! A long file takes no more memory than a short one, however many runs and answers it tells of.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fmt, fs, thread};

use serde_json::json;

use crate::eval::at_work;

/// Lines that fill what is remembered of runs: more values than are kept of all of them together.
const SHORT: usize = 4_000;
/// Lines of which what is not forgotten would show.
const LONG: usize = 5 * SHORT;
/// A line of this many is a call; the others are answers of tools.
const CALLS_EACH: usize = 20;
/// Values of an answer, none of which comes twice.
const VALUES: usize = 10;
/// KiB that the long file may take more. Its further answers alone are 8 MiB, and what is remembered of them would be 30;
/// of runs that are forgotten some 50 bytes each stay.
const MORE_AT_MOST: u64 = 6 * 1024;

/// The line at that place.
fn line(at: usize) -> impl fmt::Display {
    let run = format!("run-{at}");
    if at.is_multiple_of(CALLS_EACH) {
        return json!({"agent": "shop/buyer", "tool": "erp", "operation": "suppliers.search", "run": run,
            "at": "2026-05-04T10:00:00Z"});
    }
    let values: Vec<String> =
        (0..VALUES).map(|value| format!("a value that nobody told before: {at}/{value}")).collect();
    json!({"run": run, "response": {"tool": "erp", "operation": "suppliers.search", "content": values}})
}

/// Most memory that the program held while it judged so many lines, in KiB. They come by the standard input, which stays
/// open until the program was looked at.
fn most_kib(resources: &Path, lines: usize) -> u64 {
    let mut eval = Command::new(env!("CARGO_BIN_EXE_aegis"))
        .args(["eval", "-n", "shop", "--calls", "-", "--resources"])
        .arg(resources)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, output) = (eval.stdin.take().unwrap(), BufReader::new(eval.stdout.take().unwrap()));
    let told =
        thread::spawn(move || output.lines().map(Result::unwrap).filter(|line| line.contains("verdict")).count());
    for at in 0..lines {
        writeln!(input, "{}", line(at)).unwrap();
    }
    let status = fs::read_to_string(format!("/proc/{}/status", eval.id())).unwrap();
    drop(input);
    assert!(eval.wait().unwrap().success());
    assert_eq!(told.join().unwrap(), lines.div_ceil(CALLS_EACH));
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    most.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    at_work(folder.path());
    let (short, long) = (most_kib(folder.path(), SHORT), most_kib(folder.path(), LONG));
    println!("{SHORT} lines take {short} KiB, {LONG} lines {long}");
    assert!(long <= short + MORE_AT_MOST, "{LONG} lines take {long} KiB, {SHORT} lines {short}");
}
