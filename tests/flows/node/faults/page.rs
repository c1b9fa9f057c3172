//! The page of the documentation: its table is compared with what was seen, the numbers of one run stand below it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::calls::Kind;
use super::judge::Count;

const PAGE: &str = "../docs/reference/faults.md";
/// What comes before this is compared.
const END: &str = "## Seen in one run";

/// A line of the table: what is broken, what is broken in the pod besides, and what calls of each kind came to.
pub struct Row {
    pub fault: String,
    pub beside: &'static str,
    pub came_to: BTreeMap<Kind, BTreeSet<String>>,
}

/// Numbers of one pod during one fault.
pub struct Numbers {
    pub fault: &'static str,
    pub lane: &'static str,
    pub count: Count,
    /// Seconds until the pod worked as before, once the fault was over.
    pub recovered: u64,
}

/// The compared part.
pub fn table(rows: &[Row]) -> String {
    let mut page = include_str!("page.txt").to_owned();
    page.push_str("\n| broken for all | and in the pod | Read | Draft | Commit | Commit that waits for a person |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for row in rows {
        let _ = write!(page, "| {} | {} |", row.fault, row.beside);
        for kind in Kind::ALL {
            let seen: Vec<&str> = row.came_to.get(&kind).into_iter().flatten().map(String::as_str).collect();
            let _ = write!(page, " {} |", seen.join(" or "));
        }
        page.push('\n');
    }
    page.push('\n');
    page
}

/// The part that is told and not compared.
pub fn numbers(numbers: &[Numbers]) -> String {
    let mut page = format!(
        "{END}\n\nOf the pods `pod-a` meets only what is broken for all; where the table has lines for it, the sidecar of \
         `pod-b` is killed\nbesides, the records of `pod-c` are full, and the clock of `pod-d` jumps. Each call counts \
         where it began, its records and\neffects with its first try; a call that waits for a person is made up to five \
         times. Lost records and double effects:\nnone, or the test fails.\n\n"
    );
    page.push_str("| broken for all | pod | made | done | refused | not answered | decisions recorded | at the tool | works again after |\n");
    page.push_str("| --- | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |\n");
    for Numbers { fault, lane, count, recovered } in numbers {
        let refused: Vec<String> = count.refused.iter().map(|(code, n)| format!("{n} `{code}`")).collect();
        let Count { calls, done, unanswered, recorded, effects, .. } = count;
        let refused = refused.join(", ");
        let _ = writeln!(
            page,
            "| {fault} | {lane} | {calls} | {done} | {refused} | {unanswered} | {recorded} | {effects} | {recovered} s |"
        );
    }
    page
}

/// Compares the page with what it should be, or writes it.
pub fn compare(table: &str, numbers: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("AEGIS_BLESS").is_some() {
        return fs::write(&path, format!("{table}{numbers}")).context("the page cannot be written");
    }
    let page = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let (kept, _) = page.split_once(END).context("the page has no numbers")?;
    let missing: Vec<&str> = table.lines().filter(|line| !kept.lines().any(|other| other == *line)).collect();
    ensure!(
        kept == table,
        "docs/reference/faults.md is not what was seen: {missing:#?}\nIf it is meant: AEGIS_BLESS=1 cargo test -p \
         aegis-tests --test flows faults::"
    );
    Ok(())
}
