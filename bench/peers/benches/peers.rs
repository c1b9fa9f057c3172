//! Instructions of one verdict in each engine: of the rules alone, with the call made ready, and from the body's bytes.
//!
//! Run by `make peers`. The payment is allowed by one rule in the middle; `tests/equal.rs` proves the engines equal. What is
//! made before, and dropped after, is outside the count. Names are `WHAT_ENGINE.KINDS_RULES`: `bench/peers/table` reads them.

#![allow(missing_docs, clippy::pedantic)]

use std::hint::black_box;

use aegis_peers::cedar::Cedar;
use aegis_peers::cel::Cel;
use aegis_peers::rego::{Interpreter, Machine};
use aegis_peers::workload::{Desk, Request, Rules, payment};
use aegis_peers::{Peer, Policy, aegis};
use gungraun::{Callgrind, EntryPoint, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};

/// An engine with its rules, a call as it comes in, and the same in the engine's values.
type Given<P> = (P, Vec<u8>, <P as Peer>::Input);

fn given<P: Peer>(new: fn(&Policy) -> P, kinds: Rules, rules: usize) -> Given<P> {
    let (peer, body) = (new(&Policy::new(kinds, rules)), payment());
    let input = peer.input(&body);
    (peer, body, input)
}

fn rules<P: Peer>((mut peer, body, input): Given<P>) -> Given<P> {
    assert!(peer.allows(black_box(&input)));
    (peer, body, input)
}

fn bytes<P: Peer>((mut peer, body, ready): Given<P>) -> (Given<P>, P::Input) {
    let input = peer.input(black_box(&body));
    assert!(peer.allows(&input));
    ((peer, body, ready), input)
}

fn desk(kinds: Rules, rules: usize) -> (Desk, Request) {
    (aegis::desk(kinds, rules), aegis::request(&payment()))
}

/// Only what happens in the table of rules.
fn in_table() -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.entry_point(EntryPoint::Custom("*table::Table::allows*".to_owned()));
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

#[library_benchmark(config = in_table())]
#[bench::mixed_10(desk(Rules::Mixed, 10))]
#[bench::mixed_100(desk(Rules::Mixed, 100))]
#[bench::mixed_1000(desk(Rules::Mixed, 1_000))]
#[bench::keyed_1000(desk(Rules::Keyed, 1_000))]
fn rules_aegis((desk, request): (Desk, Request)) -> (Desk, Request) {
    assert!(aegis::allows(black_box(&desk), &request));
    (desk, request)
}

#[library_benchmark]
#[bench::mixed_10(desk(Rules::Mixed, 10))]
#[bench::mixed_100(desk(Rules::Mixed, 100))]
#[bench::mixed_1000(desk(Rules::Mixed, 1_000))]
#[bench::keyed_1000(desk(Rules::Keyed, 1_000))]
fn bytes_aegis((desk, request): (Desk, Request)) -> (Desk, Request) {
    assert!(aegis::allows(black_box(&desk), &request));
    (desk, request)
}

#[library_benchmark]
#[bench::mixed_10(given(Interpreter::new, Rules::Mixed, 10))]
#[bench::mixed_100(given(Interpreter::new, Rules::Mixed, 100))]
#[bench::mixed_1000(given(Interpreter::new, Rules::Mixed, 1_000))]
#[bench::keyed_1000(given(Interpreter::new, Rules::Keyed, 1_000))]
fn rules_interpreter(given: Given<Interpreter>) -> Given<Interpreter> {
    rules(given)
}

#[library_benchmark]
#[bench::mixed_10(given(Interpreter::new, Rules::Mixed, 10))]
#[bench::mixed_100(given(Interpreter::new, Rules::Mixed, 100))]
#[bench::mixed_1000(given(Interpreter::new, Rules::Mixed, 1_000))]
#[bench::keyed_1000(given(Interpreter::new, Rules::Keyed, 1_000))]
fn bytes_interpreter(given: Given<Interpreter>) -> (Given<Interpreter>, <Interpreter as Peer>::Input) {
    bytes(given)
}

#[library_benchmark]
#[bench::mixed_10(given(Machine::new, Rules::Mixed, 10))]
#[bench::mixed_100(given(Machine::new, Rules::Mixed, 100))]
#[bench::mixed_1000(given(Machine::new, Rules::Mixed, 1_000))]
#[bench::keyed_1000(given(Machine::new, Rules::Keyed, 1_000))]
fn rules_rvm(given: Given<Machine>) -> Given<Machine> {
    rules(given)
}

#[library_benchmark]
#[bench::mixed_10(given(Machine::new, Rules::Mixed, 10))]
#[bench::mixed_100(given(Machine::new, Rules::Mixed, 100))]
#[bench::mixed_1000(given(Machine::new, Rules::Mixed, 1_000))]
#[bench::keyed_1000(given(Machine::new, Rules::Keyed, 1_000))]
fn bytes_rvm(given: Given<Machine>) -> (Given<Machine>, <Machine as Peer>::Input) {
    bytes(given)
}

#[library_benchmark]
#[bench::mixed_10(given(Cedar::new, Rules::Mixed, 10))]
#[bench::mixed_100(given(Cedar::new, Rules::Mixed, 100))]
#[bench::mixed_1000(given(Cedar::new, Rules::Mixed, 1_000))]
#[bench::keyed_1000(given(Cedar::new, Rules::Keyed, 1_000))]
fn rules_cedar(given: Given<Cedar>) -> Given<Cedar> {
    rules(given)
}

#[library_benchmark]
#[bench::mixed_10(given(Cedar::new, Rules::Mixed, 10))]
#[bench::mixed_100(given(Cedar::new, Rules::Mixed, 100))]
#[bench::mixed_1000(given(Cedar::new, Rules::Mixed, 1_000))]
#[bench::keyed_1000(given(Cedar::new, Rules::Keyed, 1_000))]
fn bytes_cedar(given: Given<Cedar>) -> (Given<Cedar>, <Cedar as Peer>::Input) {
    bytes(given)
}

#[library_benchmark]
#[bench::mixed_10(given(Cel::new, Rules::Mixed, 10))]
#[bench::mixed_100(given(Cel::new, Rules::Mixed, 100))]
#[bench::mixed_1000(given(Cel::new, Rules::Mixed, 1_000))]
#[bench::keyed_1000(given(Cel::new, Rules::Keyed, 1_000))]
fn rules_cel(given: Given<Cel>) -> Given<Cel> {
    rules(given)
}

#[library_benchmark]
#[bench::mixed_10(given(Cel::new, Rules::Mixed, 10))]
#[bench::mixed_100(given(Cel::new, Rules::Mixed, 100))]
#[bench::mixed_1000(given(Cel::new, Rules::Mixed, 1_000))]
#[bench::keyed_1000(given(Cel::new, Rules::Keyed, 1_000))]
fn bytes_cel(given: Given<Cel>) -> (Given<Cel>, <Cel as Peer>::Input) {
    bytes(given)
}

library_benchmark_group!(
    name = rules_alone,
    benchmarks = [rules_aegis, rules_interpreter, rules_rvm, rules_cedar, rules_cel]
);
library_benchmark_group!(
    name = from_bytes,
    benchmarks = [bytes_aegis, bytes_interpreter, bytes_rvm, bytes_cedar, bytes_cel]
);

main!(library_benchmark_groups = rules_alone, from_bytes);
