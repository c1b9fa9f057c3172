//! Runs the bypass suite in network namespaces and demands its result.
//!
//! Needs root with `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`, `nft`, `ip`, `setpriv`. `AEGIS_NO_ROOT=1` says that they are not
//! there, and that the suite must be run elsewhere.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_in_result, reason = "a test")]

use std::process::Command;

use aegis_capture::techniques::TABLE;
use serde_json::Value;

/// The suite is run once: it takes seconds.
fn run() -> Option<Value> {
    if std::env::var_os("AEGIS_NO_ROOT").is_some_and(|value| value == "1") {
        eprintln!("NOT RUN: the bypass suite needs root, and AEGIS_NO_ROOT=1 says that there is none");
        return None;
    }
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_aegis-capture")).parent().expect("a folder");
    assert!(std::path::Path::new(env!("CARGO_BIN_EXE_aegis-probe")).starts_with(programs));
    let output = Command::new(env!("CARGO_BIN_EXE_bypass"))
        .args(["netns", "--json", "--programs"])
        .arg(programs)
        .output()
        .expect("bypass runs");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let said = String::from_utf8_lossy(&output.stderr);
        panic!("the bypass suite did not run ({error}); as root, or with AEGIS_NO_ROOT=1 to go without it: {said}")
    });
    Some(report)
}

fn cells<'a>(report: &'a Value, level: &'a str, persona: &'a str) -> impl Iterator<Item = &'a Value> {
    report["cells"]
        .as_array()
        .expect("cells")
        .iter()
        .filter(move |cell| cell["level"] == level && cell["persona"] == persona)
}

fn out(report: &Value, level: &str, persona: &str) -> Vec<u64> {
    let out = cells(report, level, persona).filter(|cell| cell["outcome"] == "GotOut");
    out.filter_map(|cell| cell["technique"].as_u64()).collect()
}

#[test]
fn captured_lets_nothing_out_and_mediated_does() {
    let Some(report) = run() else { return };
    for (level, persona) in ["Captured", "Mediated"]
        .into_iter()
        .flat_map(|level| ["Hardened", "DefaultRoot", "Neighbour"].into_iter().map(move |persona| (level, persona)))
    {
        assert_eq!(cells(&report, level, persona).count(), TABLE.len(), "{level} {persona}: a technique is missing");
    }
    for persona in ["Hardened", "Neighbour"] {
        for cell in cells(&report, "Captured", persona).filter(|cell| cell["technique"] != 24) {
            assert_eq!(cell["frames"]["count"], 0, "{cell:#}");
            assert_ne!(cell["outcome"], "GotOut", "{cell:#}");
        }
        // The attempts can fail: without rules the same ones get out.
        let leaks = out(&report, "Mediated", persona);
        for technique in [1, 2, 3, 4, 5, 6, 9, 12, 13, 14, 15] {
            assert!(leaks.contains(&technique), "{persona}: BYP-{technique} is stopped without rules: {leaks:?}");
            let cell = cells(&report, "Mediated", persona).find(|cell| cell["technique"] == technique);
            let frames = cell.and_then(|cell| cell["frames"]["count"].as_u64());
            assert!(frames.is_some_and(|count| count > 0), "BYP-{technique}: no frame arrived");
        }
        let tried = cells(&report, "Captured", persona).filter(|cell| cell["outcome"] == "Blocked").count();
        assert!(tried >= 20, "{persona}: only {tried} techniques were tried");
    }
    // Root with the runtime's default capabilities becomes the sidecar's user: admission must refuse such a pod.
    let root = out(&report, "Captured", "DefaultRoot");
    assert!(root.iter().all(|technique| [21, 23].contains(technique)), "B: {root:?}");
    assert!(root.contains(&21), "B: setuid no longer works, so admission need not refuse it: {root:?}");
    assert_eq!(out(&report, "Captured", "Neighbour"), [24], "a process with the sidecar's user leaves");

    let checks = report["checks"].as_array().expect("checks");
    assert_eq!(checks.len(), 10);
    for check in checks {
        assert_eq!(check["passed"], true, "{check:#}");
    }
}
