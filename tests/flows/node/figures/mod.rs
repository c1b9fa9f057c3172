//! Figures that the documents name, measured and printed, never judged by a clock.

mod latency;
mod memory;
mod start;
mod suspend;

use tokio::sync::Mutex;

/// One figure at a time: each is a load of its own.
static ALONE: Mutex<()> = Mutex::const_new(());
