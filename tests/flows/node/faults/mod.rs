//! The fault matrix: under a steady load of mixed calls, what is killed, stopped or filled, one at a time and in pairs,
//! and what the calls come to. Whatever breaks: nothing acknowledged is lost, no effect happens twice, and none without
//! a decision that was recorded before.
//!
//! One pod meets the fault alone, the others each something of their own besides, so that every fault and its pairs take
//! one time together.

mod acts;
mod calls;
mod claims;
mod clock;
mod fault;
mod judge;
mod lane;
mod page;
mod records;
mod scene;
mod signal;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use aegis_tests::node::may_run;
use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use calls::Kind;
use fault::Fault;
use judge::Balance;
use lane::Beside;
use page::{Numbers, Row};
use records::Records;
use stage::Stage;

/// What each pod meets besides, when the clock jumps by so many seconds.
const fn besides(clock: i32) -> [Beside; 4] {
    [Beside::Nothing, Beside::SidecarKilled, Beside::RecordsFull, Beside::Clock(clock)]
}

/// Nothing besides.
const ALONE: [Beside; 4] = [Beside::Nothing; 4];

const HOUR: i32 = 3600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_no_effect_happens_twice() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let began = Instant::now();
    let folder = tempfile::Builder::new().prefix("faults-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?.keep();
    let mut stage = Stage::set(&folder).await?;
    println!("{} s: all pods call", began.elapsed().as_secs());
    let singles_and_pairs = [
        (Fault::Nothing, besides(HOUR)),
        (Fault::Operator, besides(-HOUR)),
        (Fault::Webhook, besides(HOUR)),
        (Fault::Etcd, besides(-HOUR)),
        (Fault::Dns, besides(HOUR)),
        (Fault::Kubelet, besides(-HOUR)),
        (Fault::KubeletAndContainerd, ALONE),
        (Fault::Tool, ALONE),
        (Fault::ToolFrozen, ALONE),
        (Fault::EtcdFrozen, ALONE),
        (Fault::OperatorAndEtcd, ALONE),
    ];
    for (fault, besides) in singles_and_pairs {
        stage.act(fault, besides).await.with_context(|| fault.title())?;
        println!("{} s: {} is over", began.elapsed().as_secs(), fault.title());
    }
    stage.containers().await?;
    stage.two_minutes().await?;
    println!("{} s: the last fault is over", began.elapsed().as_secs());

    let rows = rows(&stage);
    let table = page::table(&rows);
    println!("{table}");
    let numbers = page::numbers(&balance(&mut stage).await?);
    println!("{numbers}");
    println!("{} s in all", began.elapsed().as_secs());
    closed(&rows)?;
    claims::none_is_spent_in_vain(&stage, &rows).await?;
    page::compare(&table, &numbers)
}

/// What calls came to that began while the fault held.
fn rows(stage: &Stage) -> Vec<Row> {
    let mut rows = Vec::new();
    for window in &stage.windows {
        let Some(lane) = stage.lanes.get(window.lane) else { continue };
        let mut came_to: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
        for call in lane.diary.first_tries(window.from, window.to) {
            came_to.entry(call.kind).or_default().insert(lane.diary.came_to(call));
        }
        rows.push(Row { fault: window.fault.clone(), beside: window.beside, came_to });
    }
    rows
}

/// Judges every call of every pod.
async fn balance(stage: &mut Stage) -> Result<Vec<Numbers>> {
    let keys = records::keys(&stage.scene.node).await?;
    for lane in &stage.lanes {
        lane.freeze().await?;
    }
    // What is done has been seen by the tool by now, and whatever the tool has seen was recorded before.
    let effects = stage.scene.effects()?;
    let mut numbers = Vec::new();
    for lane in &mut stage.lanes {
        lane.diary.read()?;
        let records = Records::of(&lane.records()?, &keys).await.with_context(|| lane.name)?;
        println!("{}: {} starts of the sidecar, {} calls", lane.name, records.epochs, lane.diary.calls().len());
        let calls = lane.diary.calls();
        let balance = Balance { lane: lane.name, calls, records: &records, effects: &effects, jumped: lane.jumped };
        let acts = &stage.acts;
        let counts = balance.judge(|at| acts.iter().rposition(|act| act.began <= at).unwrap_or_default())?;
        for (act, count) in counts {
            let act = &acts[act];
            if count.reads_unrecorded > 0 {
                println!(
                    "{} {}: {} reads died with the sidecar before their record",
                    act.title, lane.name, count.reads_unrecorded
                );
            }
            numbers.push(Numbers { fault: act.title, lane: lane.name, count, recovered: act.recovered.as_secs() });
        }
    }
    numbers.sort_by_key(|one| stage.acts.iter().position(|act| act.title == one.fault));
    Ok(numbers)
}

/// Where neither state nor records are safe, nothing that writes goes on.
fn closed(rows: &[Row]) -> Result<()> {
    for row in rows {
        let stale = ["after 50 s", "after 90 s", "after 105 s"].iter().any(|late| row.fault.contains(late));
        if stale || ["records full", "clock 1 h ahead", "clock 1 h behind", "clock 1 min behind"].contains(&row.beside)
        {
            for kind in Kind::ALL.into_iter().filter(|kind| kind.writes()) {
                let came_to =
                    row.came_to.get(&kind).with_context(|| format!("{}, {}: no {kind:?}", row.fault, row.beside))?;
                ensure!(!came_to.contains("goes on"), "{}, {}: {kind:?} {came_to:?}", row.fault, row.beside);
            }
        }
    }
    Ok(())
}

/// Milliseconds since 1970.
fn now() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}
