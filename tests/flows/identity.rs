//! Who a sidecar is: its token is renewed in time, and nobody else gets one or can use it.

mod claims;
mod crowded;
mod forged;
mod proven;
mod renewed;
mod rotated;
mod stolen;
mod told;
mod wire;
