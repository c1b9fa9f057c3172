//! The process shell that every long-running part of Aegis shares.
//!
//! One file per concern: [`args`], [`telemetry`], [`admin`], [`ready`], [`shutdown`], [`tasks`], [`tls`], [`serve`],
//! [`exit`]. A program parses its arguments (a bad one ends it before a port is bound) and spawns its work into one
//! [`tasks::Tasks`]; [`process`] runs it, and tells it by a [`shutdown::Drain`] when to finish.
//!
//! Deliberately absent: everything about agents, tools and policy, and Kubernetes.

pub mod admin;
pub mod args;
pub mod exit;
pub mod process;
pub mod ready;
pub mod serve;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod tls;

/// Makes aws-lc-rs the process's TLS provider. Call it first thing; a second call changes nothing.
pub fn install_crypto() {
    // An error says that a provider is installed already: only one is compiled in, so it is the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
