//! What can be wrong with a module, and what can go wrong when it is asked.

/// Why a module cannot be used, with the line where it is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct ModuleError {
    /// Line of the module, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: ModuleProblem,
}

impl ModuleError {
    pub(super) fn new(problem: ModuleProblem) -> Self {
        Self { line: None, problem }
    }
}

/// What is wrong with a module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleProblem {
    /// Larger than [`super::MAX_MODULE_BYTES`].
    #[error("has {bytes} bytes, at most {} are possible", super::MAX_MODULE_BYTES)]
    TooLong {
        /// Its size.
        bytes: usize,
    },
    /// Of another package.
    #[error("is of package {found}, expected package {}", super::PACKAGE)]
    Package {
        /// The package, without `data.`.
        found: String,
    },
    /// Not Rego, or Rego that the machine cannot run.
    #[error("{0}")]
    Compile(String),
    /// No rule `verdicts`.
    #[error(
        "has no rule verdicts; expected `verdicts contains {{\"effect\": ..., \"reason\": ..., \"message\": ...}} if ...`"
    )]
    NoVerdicts,
    /// A builtin that is not on the list.
    #[error("calls {name}, which is not available; docs/reference/rego.md lists the functions that are")]
    Builtin {
        /// Its name.
        name: String,
    },
    /// A construct that is not available.
    #[error("uses {0}, which is not available")]
    Construct(&'static str),
    /// Several definitions that may disagree.
    #[error("defines {name} several times with different values; write one definition with else")]
    Several {
        /// The rule or function.
        name: String,
    },
    /// Compiles to more than [`super::MAX_INSTRUCTIONS`].
    #[error("compiles to {count} instructions, at most {} are possible", super::MAX_INSTRUCTIONS)]
    TooManyInstructions {
        /// How many.
        count: usize,
    },
}

/// Why a module gave no verdicts for a call. Each one denies. No value of the call is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It cost more than [`super::FUEL`].
    #[error("its Rego module needs more than the {} units of work that a call may cost", super::FUEL)]
    Budget,
    /// It made a value of more levels than [`super::MAX_DEPTH`].
    #[error("its Rego module makes a value of more than {} levels", super::MAX_DEPTH)]
    Depth,
    /// It made a number that neither 64 bits nor a floating point number hold.
    #[error("its Rego module makes a number beyond 64 bits")]
    Number,
    /// A text of the call is longer than [`super::MAX_TEXT_BYTES`].
    #[error("its Rego module reads a text of more than {} bytes", super::MAX_TEXT_BYTES)]
    LongText,
    /// A registry that its policy names does not exist.
    #[error("a registry that its Rego module sees does not exist")]
    NoRegistry,
    /// A fact that the operation declares could not be read.
    #[error("a fact that its Rego module sees could not be read")]
    NoFact,
    /// A builtin or an operator was given what it does not take, or two definitions of a rule disagree.
    #[error("its Rego module fails{}", .line.map(|line| format!(" at line {line}")).unwrap_or_default())]
    Failed {
        /// Line of the module, where known.
        line: Option<usize>,
    },
    /// `verdicts` is undefined.
    #[error("the verdicts of its Rego module are undefined")]
    Undefined,
    /// `verdicts` is not what it should be.
    #[error("the verdicts of its Rego module are malformed: {0}")]
    Malformed(&'static str),
}
