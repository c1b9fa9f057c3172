//! Named points at which a test kills the process. Compiled only with the feature `failpoints`.

/// Kills the process when the test named this point.
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoint::reached($name);
    };
}

/// The point at which to die, set once from the arguments.
#[cfg(feature = "failpoints")]
static KILL_AT: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Every point of this process.
#[cfg(feature = "failpoints")]
pub const POINTS: [&str; 8] = [
    "create.before",
    "create.after",
    "approve.before",
    "approve.after",
    "store-claim.before",
    "store-claim.after",
    "store-outcome.before",
    "store-outcome.after",
];

/// Sets the point at which to die. The name must be one of [`POINTS`].
#[cfg(feature = "failpoints")]
pub fn arm(name: Option<String>) -> Result<(), String> {
    let Some(name) = name else { return Ok(()) };
    if !POINTS.contains(&name.as_str()) {
        return Err(format!("no such point: {name}; known are {}", POINTS.join(", ")));
    }
    KILL_AT.get_or_init(|| name);
    Ok(())
}

/// Dies here, like a `kill -9`, when this is the point.
#[cfg(feature = "failpoints")]
pub fn reached(name: &str) {
    if KILL_AT.get().is_some_and(|at| at == name) {
        std::process::abort();
    }
}
