//! A clock that jumps for one process: what a wrong hypervisor or time server does to a node, without touching the
//! machine's clock.
//!
//! Linux has no namespace for the time of day. A program asks it from the kernel's page in its own memory (vDSO,
//! vdso(7)), and static programs do so, too. That page is private once written, so the function there is replaced by one
//! that asks the kernel and adds the jump; monotonic time stays as it is, as it does when a real clock is set.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aegis_tests::cluster::eventually;
use aegis_tests::mesh::binary;
use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::Value;

use super::signal::{Signal, signal};

const WITHIN: Duration = Duration::from_secs(30);
/// Time for a process to stop that was told to.
const STOPS: Duration = Duration::from_secs(5);
const NAME: &str = "__vdso_clock_gettime";

/// A process whose clock jumped; [`Self::back`] sets it right again.
pub struct Jump {
    pid: u32,
    at: u64,
    before: Vec<u8>,
}

impl Jump {
    /// Lets the time of day of a process jump by so many seconds. Its threads must not be inside the function meanwhile.
    pub async fn by(pid: u32, seconds: i32) -> Result<Self> {
        let at = function(pid)?;
        let code = code(seconds)?;
        let mut before = vec![0; code.len()];
        memory(pid)?.read_exact_at(&mut before, at)?;
        write(pid, at, &code).await?;
        Ok(Self { pid, at, before })
    }

    /// Sets the clock right again. A process that has ended needs nothing.
    pub async fn back(self) -> Result<()> {
        write(self.pid, self.at, &self.before).await
    }
}

/// `clock_gettime` as a system call; seconds are added for `CLOCK_REALTIME` (0) only.
#[cfg(target_arch = "x86_64")]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there is none")]
fn code(seconds: i32) -> Result<Vec<u8>> {
    let mut code = vec![
        0xb8, 0xe4, 0, 0, 0, // mov eax, 228 (clock_gettime)
        0x0f, 0x05, // syscall
        0x85, 0xff, // test edi, edi
        0x75, 0x07, // jne over the next instruction
        0x48, 0x81, 0x06, // add qword ptr [rsi], seconds
    ];
    code.extend(seconds.to_le_bytes());
    code.push(0xc3); // ret
    Ok(code)
}

#[cfg(not(target_arch = "x86_64"))]
fn code(_seconds: i32) -> Result<Vec<u8>> {
    bail!("the jump of a clock is written for x86_64 only")
}

fn memory(pid: u32) -> Result<File> {
    let path = format!("/proc/{pid}/mem");
    OpenOptions::new().read(true).write(true).open(&path).with_context(|| path.clone())
}

/// Writes while the process is frozen, and only once no thread of it stands in what is replaced.
async fn write(pid: u32, at: u64, bytes: &[u8]) -> Result<()> {
    let replaced = at..at + u64::try_from(bytes.len())?;
    eventually("no thread to be asking the time", WITHIN, async || {
        signal(pid, Signal::Stop)?;
        let written = frozen(pid, &replaced).await.and_then(|()| Ok(memory(pid)?.write_all_at(bytes, at)?));
        signal(pid, Signal::Continue)?;
        written
    })
    .await
}

/// Waits until every thread has stopped; none may stand in what is replaced.
async fn frozen(pid: u32, replaced: &Range<u64>) -> Result<()> {
    let counters = eventually("every thread to stop", STOPS, async || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
        tasks.map(|task| counter(&task?.path())).collect::<Result<Vec<u64>>>()
    })
    .await?;
    ensure!(counters.iter().all(|counter| !replaced.contains(counter)), "a thread of {pid} asks the time");
    Ok(())
}

/// Where a stopped thread stands: the last word of `syscall` (proc(5)), which says "running" of any other.
fn counter(task: &Path) -> Result<u64> {
    let stat = fs::read_to_string(task.join("stat"))?;
    let stopped = stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'));
    let told = fs::read_to_string(task.join("syscall"))?;
    let counter = told.trim().rsplit("0x").next().and_then(|hex| u64::from_str_radix(hex, 16).ok());
    counter.filter(|_| stopped).with_context(|| format!("it still runs: {told}"))
}

/// Address of the function in a process.
fn function(pid: u32) -> Result<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).context("the process has no vDSO")?;
    let range = line.split_whitespace().next().and_then(|range| range.split_once('-')).context("no range")?;
    let (start, end) = (u64::from_str_radix(range.0, 16)?, u64::from_str_radix(range.1, 16)?);
    let mut image = vec![0; usize::try_from(end - start)?];
    memory(pid)?.read_exact_at(&mut image, start)?;
    Ok(start + symbol(&image)?)
}

/// Value of the symbol in the dynamic symbol table of a 64-bit little-endian ELF image (elf(5)).
fn symbol(image: &[u8]) -> Result<u64> {
    const DYNSYM: u64 = 11;
    let sections = number(image, 0x28, 8)?;
    let (size, count) = (number(image, 0x3a, 2)?, number(image, 0x3c, 2)?);
    let field = |index: u64, offset: u64, bytes| number(image, sections + index * size + offset, bytes);
    for index in 0..count {
        if field(index, 4, 4)? != DYNSYM {
            continue;
        }
        let (table, length, strings) = (field(index, 24, 8)?, field(index, 32, 8)?, field(index, 40, 4)?);
        let strings = field(strings, 24, 8)?;
        for entry in (table..table + length).step_by(24) {
            let name = usize::try_from(strings + number(image, entry, 4)?)?;
            let text = image.get(name..).and_then(|rest| rest.split(|byte| *byte == 0).next());
            if text == Some(NAME.as_bytes()) {
                return number(image, entry + 8, 8);
            }
        }
    }
    bail!("the vDSO has no {NAME}")
}

fn number(image: &[u8], at: u64, bytes: usize) -> Result<u64> {
    let at = usize::try_from(at)?;
    let found = image.get(at..at + bytes).context("the vDSO is cut off")?;
    let mut whole = [0; 8];
    whole[..bytes].copy_from_slice(found);
    Ok(u64::from_le_bytes(whole))
}

#[tokio::test]
async fn a_clock_jumps_for_one_process_and_back() -> Result<()> {
    let mut child = Command::new(binary("aegis-testkit")?)
        .args(["load", "http://127.0.0.1:1", "--call", "none GET /{id}", "--every", "5"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    // Each line that it prints tells the time.
    let mut reaches = |far: i64| -> Result<()> {
        let end = Instant::now() + WITHIN;
        loop {
            let line: Value = serde_json::from_str(&lines.next().context("it ended")??)?;
            let at = line.get("began").or_else(|| line.get("ended")).and_then(Value::as_i64).context("no time")?;
            let off = at - Timestamp::now().as_millisecond();
            if (off - far).abs() < 5_000 {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{off} ms off instead of {far}");
        }
    };
    let jumped = async {
        reaches(0)?;
        for seconds in [3600, -3600] {
            let jump = Jump::by(child.id(), seconds).await?;
            reaches(i64::from(seconds) * 1000)?;
            jump.back().await?;
            reaches(0)?;
        }
        Ok(())
    }
    .await;
    child.kill()?;
    child.wait()?;
    jumped
}
