//! How far a long file was read, for somebody who watches; nothing where nobody does.

use std::io::Write;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::io::Io;

/// Times a second that the bar is drawn.
const DRAWN_PER_SECOND: u8 = 4;
/// Lines between two looks at the bar, which cost more than a line may.
const EVERY: u64 = 256;

/// A bar on the standard error.
pub(crate) struct Progress {
    bar: ProgressBar,
    lines: u64,
}

impl Progress {
    /// For a file of that length. Without a length, or without anybody watching, nothing is drawn.
    pub(crate) fn of(io: &Io<'_>, length: Option<u64>) -> Self {
        let target = match length {
            Some(_) if io.watched => ProgressDrawTarget::stderr_with_hz(DRAWN_PER_SECOND),
            _ => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(length, target);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left") {
            bar.set_style(style);
        }
        Self { bar, lines: 0 }
    }

    /// So many bytes were read.
    pub(crate) fn at(&mut self, bytes: u64) {
        self.lines = self.lines.wrapping_add(1);
        if self.lines.is_multiple_of(EVERY) {
            self.bar.set_position(bytes);
        }
    }

    /// Says something on the same screen.
    pub(crate) fn say(&self, err: &mut dyn Write, text: &str) -> std::io::Result<()> {
        self.bar.suspend(|| writeln!(err, "{text}"))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
