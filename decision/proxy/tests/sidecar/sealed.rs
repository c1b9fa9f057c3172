//! Level Sealed: a sidecar that relays, and the gateway that judges for it, as two processes of the same program.

mod broken;
mod calls;
mod fake;
mod once;
mod pair;
mod strangers;
mod tunnels;
