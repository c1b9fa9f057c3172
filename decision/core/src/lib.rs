//! The pure core of Aegis: from the bytes of a call to a verdict, and the values that prove it.
//!
//! Read in this order: [`json`] (one strict parse), [`naming`] (bytes become a [`call::ToolCall`]), [`sanitize`] (what
//! is taken out of it), [`rules`]
//! (three-valued checks), [`decide`] (the verdict), [`permit`] (what may be sent), [`approval`] (a held call and its
//! release), [`record`] and [`segment`] (what is kept).
//!
//! Deliberately absent: I/O, clocks, randomness, logging, metrics, Kubernetes. Time is an argument, reasons are data,
//! the same inputs give the same answer for ever.

pub mod agent;
pub mod approval;
pub mod bundle;
pub mod call;
mod canonical;
pub mod codes;
pub mod contract;
pub mod control;
pub mod decide;
pub mod decision;
pub mod delegation;
pub mod digest;
pub mod disguise;
pub mod egress;
pub mod facts;
pub mod feed;
pub mod json;
pub mod jws;
mod keys;
mod lineup;
pub mod naming;
pub mod outline;
pub mod path;
pub mod permit;
mod places;
pub mod plan;
pub mod policy;
pub mod probe;
pub mod provenance;
pub mod record;
pub mod registry;
pub mod rego;
mod room;
pub mod rules;
pub mod run;
pub mod sanitize;
pub mod schema;
pub mod segment;
pub mod shared;
pub mod tier;
pub mod token;
pub mod tool;
pub mod trial;
