//! The bar of a long file: on a terminal that somebody watches while the answer goes elsewhere, and nowhere else.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::Termios;
use tempfile::TempDir;

use crate::eval::{CALLS, at_work};

/// Calls of the file: more than go by between two looks at the bar.
const LINES: usize = 600;

/// A file of calls, and what judges them.
struct Bed {
    folder: TempDir,
    calls: PathBuf,
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let resources = folder.path().join("resources");
        fs::create_dir(&resources).unwrap();
        at_work(&resources);
        let calls = folder.path().join("calls.jsonl");
        fs::write(&calls, CALLS.repeat(LINES / CALLS.lines().count())).unwrap();
        Self { folder, calls }
    }

    /// The program itself, asked to judge the calls.
    fn eval(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aegis"));
        command.args(["eval", "-n", "shop", "--resources"]).arg(self.folder.path().join("resources"));
        command.arg("--calls").arg(&self.calls).env("TERM", "xterm").stdin(Stdio::null());
        command
    }
}

/// Both ends of a terminal: what is on the screen can be read of the first.
fn terminal() -> OpenptyResult {
    let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    openpty(&size, None::<&Termios>).unwrap()
}

/// Runs the command to its end; gives what it wrote to the terminal.
fn shown(mut command: Command, terminal: OwnedFd) -> String {
    let mut running = command.spawn().unwrap();
    // The other end is the program's alone now, so that it ends with it.
    drop(command);
    let (mut terminal, mut shown, mut part) = (File::from(terminal), Vec::new(), [0; 4096]);
    // That end being gone is an error on Linux.
    while let Ok(read @ 1..) = terminal.read(&mut part) {
        shown.extend_from_slice(&part[..read]);
    }
    assert!(running.wait().unwrap().success());
    String::from_utf8(shown).unwrap()
}

#[test]
fn a_bar_is_drawn_on_a_terminal_and_cleared_at_the_end() {
    let bed = Bed::new();
    let plain = bed.eval().output().unwrap();
    let answers = bed.folder.path().join("answers.jsonl");
    let OpenptyResult { master, slave } = terminal();
    let mut command = bed.eval();
    command.stdout(File::create(&answers).unwrap()).stderr(slave);
    let shown = shown(command, master);
    let (drawn, after) = shown.rsplit_once(" left").unwrap_or_else(|| panic!("no bar: {shown:?}"));
    assert!(drawn.contains("B of "), "how far it is: {shown:?}");
    assert!(after.contains("\u{1b}[2K"), "nothing of it stays: {shown:?}");
    assert_eq!(fs::read(&answers).unwrap(), plain.stdout, "the answer is the same");
}

#[test]
fn nothing_is_drawn_where_nobody_watches() {
    let bed = Bed::new();
    let plain = bed.eval().output().unwrap();
    assert!(plain.status.success() && plain.stderr.is_empty(), "{}", String::from_utf8_lossy(&plain.stderr));
    assert_eq!(plain.stdout.split(|byte| *byte == b'\n').count(), LINES + 1);
    // Nor on a terminal that shows the answer: it would stand between its lines.
    let OpenptyResult { master, slave } = terminal();
    let mut command = bed.eval();
    command.stdout(slave.try_clone().unwrap()).stderr(slave);
    let shown = shown(command, master);
    assert_eq!(shown.replace("\r\n", "\n").into_bytes(), plain.stdout);
}
