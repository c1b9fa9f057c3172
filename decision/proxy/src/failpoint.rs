//! Named points at which a test build kills itself. Compiled in only with the feature `failpoints`, which no release
//! has; without it [`failpoint!`](crate::failpoint) is nothing.

/// Every point, in the order in which a held call passes them.
pub const POINTS: &[&str] = &[
    "submit.before",
    "submit.after",
    "hold.released",
    "claim.before",
    "claim.after",
    "intent.before",
    "intent.after",
    "send.before",
    "send.after",
    "outcome.before",
    "outcome.after",
    "report.before",
    "report.after",
];

/// Whether a name is in [`POINTS`]: a point that is not listed does not compile.
pub const fn is_listed(name: &str) -> bool {
    let mut at = 0;
    while at < POINTS.len() {
        #[expect(clippy::indexing_slicing, reason = "bounded by the loop; const code has no iterators")]
        if same(POINTS[at].as_bytes(), name.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

#[expect(clippy::indexing_slicing, reason = "bounded by the loop; const code has no iterators")]
const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The point at which to die, from the arguments.
#[cfg(feature = "failpoints")]
static KILL_AT: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Sets the point, once.
#[cfg(feature = "failpoints")]
pub fn arm(point: String) {
    let _ = KILL_AT.set(point);
}

/// Dies here, without unwinding or flushing, if this is the point.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    if KILL_AT.get().is_some_and(|point| point == name) {
        std::process::abort();
    }
}

/// Dies at this point if the test asks for it, and, in the second form, only if the condition holds.
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {{
        const { assert!($crate::failpoint::is_listed($name), "list the point in failpoint::POINTS") };
        #[cfg(feature = "failpoints")]
        $crate::failpoint::hit($name);
    }};
    ($name:literal if $condition:expr) => {{
        const { assert!($crate::failpoint::is_listed($name), "list the point in failpoint::POINTS") };
        #[cfg(feature = "failpoints")]
        if $condition {
            $crate::failpoint::hit($name);
        }
        #[cfg(not(feature = "failpoints"))]
        let _ = $condition;
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_listed_once() {
        let unique: std::collections::BTreeSet<_> = POINTS.iter().collect();
        assert_eq!(unique.len(), POINTS.len());
        assert!(is_listed("claim.after") && !is_listed("claim.afte") && !is_listed("claim.after2"));
    }
}
