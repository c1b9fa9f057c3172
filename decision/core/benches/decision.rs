//! What one call costs, in instructions: parse, decide, the whole way in process, seal, sign, verify.
//!
//! Run by `make bench`, which needs valgrind. Instructions are counted by callgrind, so a busy machine does not change
//! them. valgrind has no SHA-NI: what hashes is counted at its software cost. What a benchmark is given, and what it
//! gives back, is made and dropped outside the count.

// A workload that cannot be made must stop the run where it stands; gungraun's macros have no documentation.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::needless_pass_by_value, clippy::pedantic)]

mod workload;

use std::hint::black_box;

use aegis_decision::call::ToolCall;
use aegis_decision::decide::{decide, decide_on, refused_without_facts};
use aegis_decision::decision::{Decision, Outcome};
use aegis_decision::json::{self, Value};
use aegis_decision::rego::Worker;
use aegis_decision::segment::Sealer;
use aegis_decision::token::Attestation;
use gungraun::{Callgrind, EntryPoint, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use mimalloc::MiMalloc;

use workload::records::{Signing, batch_of_64, signing};
use workload::{Desk, Request, Rules, large_purchase_order, payment, purchase_order};

// That of the sidecar. With the one of glibc a count depends on the lengths of paths: they shape its heap.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

// The body, once the allocator has pages of every size that it asks for, as it has in a sidecar that runs.
fn warm(body: Vec<u8>) -> Vec<u8> {
    let trees: Vec<Value> = (0..4).filter_map(|_| json::parse(&body).ok()).collect();
    trees.iter().for_each(|tree| drop(json::emit(tree)));
    body
}

// One strict pass over the body: the tree that is judged, hashed and emitted.
#[library_benchmark]
#[bench::payment_500_bytes(warm(payment()))]
#[bench::purchase_order_10_kb(warm(purchase_order()))]
#[bench::purchase_order_100_kb(warm(large_purchase_order()))]
fn parse(body: Vec<u8>) -> (Value, Vec<u8>) {
    (json::parse(black_box(&body)).expect("the workload is strict JSON"), body)
}

// The tree written again: what is sent.
#[library_benchmark]
#[bench::payment_500_bytes(json::parse(&warm(payment())).unwrap())]
#[bench::purchase_order_10_kb(json::parse(&warm(purchase_order())).unwrap())]
fn emit(tree: Value) -> (Vec<u8>, Value) {
    (json::emit(black_box(&tree)), tree)
}

// The same once it has judged such a call: what is made on first use, and pages for it, a sidecar that runs has.
fn used((desk, call): (Desk, ToolCall)) -> (Desk, ToolCall) {
    let (_, desk) = allowed((desk, call.clone()));
    (desk, call)
}

// The verdict on a named call, with schema and digests. One rule of all matches, in the middle; none of the others may
// hold, since a later one may deny.
#[library_benchmark]
#[bench::rules_10(used(Desk::named(Rules::Mixed, 10)))]
#[bench::rules_100(used(Desk::named(Rules::Mixed, 100)))]
#[bench::rules_1000(used(Desk::named(Rules::Mixed, 1_000)))]
#[bench::rules_10000(used(Desk::named(Rules::Mixed, 10_000)))]
fn decide_payment(given: (Desk, ToolCall)) -> (Decision, Desk) {
    allowed(given)
}

// Of the same verdict only what the rules cost: the one that allows is found in the table, and none that denies.
#[library_benchmark(config = counted_in("*table::Table::allows*"))]
#[bench::rules_10(Desk::named(Rules::Mixed, 10))]
#[bench::rules_100(Desk::named(Rules::Mixed, 100))]
#[bench::rules_1000(Desk::named(Rules::Mixed, 1_000))]
#[bench::rules_10000(Desk::named(Rules::Mixed, 10_000))]
#[bench::keyed_10(Desk::named(Rules::Keyed, 10))]
#[bench::keyed_100(Desk::named(Rules::Keyed, 100))]
#[bench::keyed_1000(Desk::named(Rules::Keyed, 1_000))]
#[bench::keyed_10000(Desk::named(Rules::Keyed, 10_000))]
fn judge_rules(given: (Desk, ToolCall)) -> (Decision, Desk) {
    allowed(given)
}

// Of a verdict only what a Rego module costs that looks one entry up among many: its input, its work, its verdicts.
#[library_benchmark(config = counted_in("*said::ask*"))]
#[bench::keyed_10(workload::modules::module(10))]
#[bench::keyed_1000(workload::modules::module(1_000))]
#[bench::keyed_10000(workload::modules::module(10_000))]
fn ask_module((desk, call, mut worker): (Desk, ToolCall, Worker)) -> (Decision, Desk, Worker) {
    let decision = decide_on(black_box(&desk.bundle), call, &desk.evidence(), desk.now, &mut worker);
    assert!(matches!(decision.outcome, Outcome::Allow(Some(_))), "{:?}", decision.output.detail);
    (decision, desk, worker)
}

fn allowed((desk, call): (Desk, ToolCall)) -> (Decision, Desk) {
    let decision = decide(black_box(&desk.bundle), call, &desk.evidence(), desk.now);
    assert!(matches!(decision.outcome, Outcome::Allow(Some(_))), "{:?}", decision.output.detail);
    (decision, desk)
}

// Only what happens in functions of that name, and below them.
fn counted_in(function: &str) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.entry_point(EntryPoint::Custom(function.to_owned()));
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

// From the bytes of a request to the bytes that are sent: name, screen, decide with both digests, emit. What a sidecar
// adds is I/O, facts and the record.
#[library_benchmark]
#[bench::payment_10_rules(called(Desk::payment(10)))]
#[bench::payment_1000_rules(called(Desk::payment(1000)))]
#[bench::purchase_order_10_rules(called(Desk::purchase_order(10)))]
fn whole_call(given: (Desk, Request)) -> (Vec<u8>, Desk, Request) {
    sent(given)
}

// The same once it has judged such a request.
fn called(given: (Desk, Request)) -> (Desk, Request) {
    let (_, desk, request) = sent(given);
    (desk, request)
}

fn sent((desk, request): (Desk, Request)) -> (Vec<u8>, Desk, Request) {
    let call = desk.bundle.name_call("bank", black_box(&request.http())).expect("the workload is a call");
    assert!(refused_without_facts(&desk.bundle, &call, &desk.standing, desk.now).is_none());
    let decision = decide(&desk.bundle, call, &desk.evidence(), desk.now);
    let Outcome::Allow(Some(permit)) = decision.outcome else { unreachable!("{:?}", decision.output.detail) };
    (permit.into_emitted().body_bytes(), desk, request)
}

// 64 records become lines of the open batch, with their places; nothing is signed yet.
#[library_benchmark]
#[bench::records_64(batch_of_64())]
fn push_records(given: (Sealer, Vec<aegis_decision::record::Record>)) -> Sealer {
    let (mut sealer, records) = given;
    for record in records {
        sealer.push(record).expect("the batch has room");
    }
    sealer
}

// A batch of 64 records is hashed into the chain and signed: the bytes that must reach the disk.
#[library_benchmark]
#[bench::records_64(workload::records::pushed())]
fn seal(sealer: Sealer) -> (Vec<u8>, Sealer) {
    let mut sealer = sealer;
    (sealer.seal(workload::at()).expect("the batch has a form"), sealer)
}

// An Ed25519 token of about 500 bytes is made.
#[library_benchmark]
#[bench::attestation(signing())]
fn sign(signing: Signing) -> (String, Signing) {
    (black_box(&signing.claims).issue(&signing.key).expect("the key is for attestations"), signing)
}

// The token is verified and read.
#[library_benchmark]
#[bench::attestation(signing())]
fn verify(signing: Signing) -> (Attestation, Signing) {
    (Attestation::verify(black_box(&signing.token), &signing.keys).expect("the token is genuine"), signing)
}

library_benchmark_group!(name = body, benchmarks = [parse, emit]);
library_benchmark_group!(name = call, benchmarks = [decide_payment, judge_rules, ask_module, whole_call]);
library_benchmark_group!(name = evidence, benchmarks = [push_records, seal, sign, verify]);

main!(library_benchmark_groups = body, call, evidence);
