//! Rego: one module of a policy, for what rules cannot say.
//!
//! A module is compiled once, when the bundle is made ([`Module::compile`]), to a program of regorus' virtual machine.
//! Judging a call runs `data.aegis.verdicts` and takes what comes out as rules that hold ([`Verdict`]). Each policy has a
//! program of its own, so that modules of one package never see each other.
//!
//! What a module may cost is counted, not timed ([`meter`]): the machine stops in every body of a rule or a loop and
//! behind every instruction that uses values ([`stops`]), and these are paid for by their size. Values share their parts,
//! so a few instructions can make one that takes years to compare or to free; what is paid for is the size written out,
//! and the depth is bounded. So the same call costs the same everywhere and ends in the same verdict. Builtins are those
//! of one list ([`builtins`]).
//!
//! A shell that must answer in time brings its own clock as a question to ask now and then
//! ([`crate::decide::decide_in_time`]); its hit is no decision ([`OutOfTime`]).
//!
//! This module alone names regorus. Deliberately absent: clocks, randomness, network, files, tracing, and every builtin
//! that can make more than it is given.

pub mod builtins;
mod compile;
mod defaults;
mod error;
mod input;
mod machine;
mod meter;
mod nesting;
mod reads;
mod rewrite;
mod shape;
mod stops;
mod verdict;

pub use compile::{Module, ModuleSource};
pub use error::{Failure, ModuleError, ModuleProblem};
pub use input::{MAX_TEXT_BYTES, RegoInput};
pub(crate) use machine::Unsaid;
pub use machine::{OutOfTime, Worker};
pub use meter::{FUEL, MAX_DEPTH};
pub use verdict::{MAX_MESSAGE, MAX_REASON, MAX_VERDICTS, Verdict};

/// Most bytes of a module.
pub const MAX_MODULE_BYTES: usize = 16 * 1024;
/// Most instructions of a compiled module.
pub const MAX_INSTRUCTIONS: usize = 16_384;
/// The package of every module.
pub const PACKAGE: &str = "aegis";
/// The name under which what a module says stands among the rules of its policy.
pub const RULE: &str = "rego";
/// The rule of a module that is asked.
pub const ENTRY: &str = "data.aegis.verdicts";
