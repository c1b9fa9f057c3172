//! Paths of rules: written as they were read, within their bounds.

use aegis_decision::path::{MAX_BYTES, MAX_STEPS, Path, PathError};

/// Panics where a path that is accepted is not the one that it is written as.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<Path>() {
        Ok(path) => {
            let written = path.to_string();
            assert_eq!(written.parse().as_ref(), Ok(&path), "written and read again");
            assert!(written.len() <= text.len() && text.len() <= MAX_BYTES, "longer than it was given");
            assert!(path.steps.len() <= MAX_STEPS && path.quantifiers() <= path.steps.len());
            let document = serde_json::to_string(&path).expect("a path is a text");
            assert_eq!(serde_json::from_str::<Path>(&document).ok(), Some(path), "through serde");
        }
        Err(PathError::Syntax(at)) => assert!(at <= text.len(), "the error lies outside the path"),
        Err(PathError::Empty) => assert!(text.is_empty()),
        Err(PathError::TooLong) => assert!(text.len() > MAX_STEPS),
        Err(PathError::UnknownInput) => assert!(text.starts_with('$')),
    }
}
