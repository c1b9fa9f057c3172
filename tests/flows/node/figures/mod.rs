//! Figures that the documents name, measured and printed, never judged by a clock.

mod latency;
mod memory;
mod start;
mod suspend;
