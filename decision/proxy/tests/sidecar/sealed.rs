//! Level Sealed: a sidecar that relays, and the gateway that judges for it, as two processes of the same program.

mod broken;
mod calls;
mod fake;
mod late;
mod once;
mod pair;
mod rolled;
mod strangers;
mod tunnels;
