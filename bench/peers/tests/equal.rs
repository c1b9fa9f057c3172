//! All engines give the same verdict on the same calls.

#![allow(clippy::expect_used, clippy::panic)]

use aegis_peers::calls::{SEED, draw};
use aegis_peers::cedar::Cedar;
use aegis_peers::cel::Cel;
use aegis_peers::rego::{Interpreter, Machine};
use aegis_peers::workload::{Rules, payment};
use aegis_peers::{Peer, Policy, aegis};

/// At least a thousand of them can be told by Cedar too.
const CALLS: usize = 1_500;

fn verdict(peer: &mut impl Peer, body: &[u8]) -> bool {
    let input = peer.input(body);
    peer.allows(&input)
}

fn prove(kinds: Rules, rules: usize) {
    let policy = Policy::new(kinds, rules);
    let desk = aegis::desk(kinds, rules);
    let (mut interpreter, mut machine) = (Interpreter::new(&policy), Machine::new(&policy));
    let (mut cedar, mut cel) = (Cedar::new(&policy), Cel::new(&policy));
    let (mut allowed, mut by_cedar) = (0, 0);
    let drawn = draw(rules, CALLS);
    for call in &drawn {
        let body = &call.body;
        let expected = aegis::allows(&desk, &aegis::request(body));
        let shown = String::from_utf8_lossy(body);
        assert_eq!(verdict(&mut interpreter, body), expected, "interpreter: {shown}");
        assert_eq!(verdict(&mut machine, body), expected, "machine: {shown}");
        assert_eq!(verdict(&mut cel, body), expected, "CEL: {shown}");
        if !call.only_looks_like_an_order {
            assert_eq!(verdict(&mut cedar, body), expected, "Cedar: {shown}");
            by_cedar += 1;
        }
        allowed += usize::from(expected);
    }
    println!(
        "{kinds:?}, {rules} rules, seed {SEED:#x}: {CALLS} calls, {allowed} allowed; {by_cedar} judged by Cedar too"
    );
    assert!(by_cedar >= 1_000, "{by_cedar}");
    let share = allowed * 100 / CALLS;
    assert!((10..=90).contains(&share), "{share} % are allowed: the calls tell little");
}

#[test]
fn mixed_rules_mean_the_same() {
    for rules in [10, 100, 1_000] {
        prove(Rules::Mixed, rules);
    }
}

#[test]
fn keyed_rules_mean_the_same() {
    for rules in [10, 100, 1_000] {
        prove(Rules::Keyed, rules);
    }
}

/// What the benchmarks count is the way to an `Allow`, not to a refusal.
#[test]
fn the_counted_payment_is_allowed() {
    for (kinds, rules) in [(Rules::Mixed, 10), (Rules::Mixed, 100), (Rules::Mixed, 1_000), (Rules::Keyed, 1_000)] {
        let (policy, body) = (Policy::new(kinds, rules), payment());
        assert!(aegis::allows(&aegis::desk(kinds, rules), &aegis::request(&body)));
        assert!(verdict(&mut Interpreter::new(&policy), &body));
        assert!(verdict(&mut Machine::new(&policy), &body));
        assert!(verdict(&mut Cedar::new(&policy), &body));
        assert!(verdict(&mut Cel::new(&policy), &body));
    }
}
