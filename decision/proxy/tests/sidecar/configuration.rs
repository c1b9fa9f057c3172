//! What is wrong with the configuration ends the process with 64, before a port is bound.

use std::process::Output;

use crate::bed::Bed;

fn refused(output: &Output, what: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.contains(what), "{text}");
}

#[tokio::test]
async fn wrong_arguments_and_files_end_the_process_with_64() {
    let bed = Bed::new().await;
    let run = |change: &[&str]| bed.command().args(change).output().unwrap();
    refused(&run(&["--drain", "soon"]), "--drain");
    refused(&run(&["--control", "https://control:8443"]), "--control");

    let good = std::fs::read_to_string(bed.path("bundle.jsonl")).unwrap();
    let (policy, grants) = good.split_once('\n').unwrap();
    let mut flipped = policy.to_owned();
    let middle = policy.len() / 2;
    flipped.replace_range(middle..=middle, if &policy[middle..=middle] == "A" { "B" } else { "A" });
    for (bundle, what) in [
        (format!("{flipped}\n{grants}"), "line 1"),
        (format!("{grants}\n{policy}"), "line 2"),
        (policy.to_owned(), "no grants"),
        (grants.to_owned(), "no policy"),
        (String::new(), "no policy"),
    ] {
        bed.write("bundle.jsonl", &bundle);
        refused(&run(&[]), what);
    }
    bed.write("bundle.jsonl", &good);
    bed.write("record.key", "AAAA");
    refused(&run(&[]), "--record-key");
    bed.write("attestation.jws", "a.b.c");
    refused(&run(&[]), "--attestation");
    bed.write("keys.json", "{}");
    refused(&run(&[]), "keys.json");
    assert!(!bed.path("address").exists(), "no port was bound");
}
