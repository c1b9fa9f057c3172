//! Held calls on the real parts: what a person approved goes out once, and what changed since goes out never.

mod ended;
mod guards;
mod held;
mod once;
mod open;
mod origins;
mod stale;
