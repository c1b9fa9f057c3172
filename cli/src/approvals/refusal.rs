//! What the API server says when it refuses, without the noise of the client.

use std::fmt;

/// An error of the client in one sentence.
#[derive(Debug)]
pub(super) struct Refusal {
    words: String,
    /// HTTP status; none where the server was not reached.
    pub(super) code: Option<u16>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Refusal {}

/// The server's own message, or why there is none.
pub(super) fn in_words(error: kube::Error) -> Refusal {
    match error {
        kube::Error::Api(status) => {
            let message = if status.message.is_empty() { &status.reason } else { &status.message };
            Refusal { words: format!("the API server refused: {message}"), code: Some(status.code) }
        }
        other => {
            // The client's own message hides the cause, such as a connection that was refused, in its sources.
            let mut words = format!("the API server cannot be asked: {other}");
            let mut cause = std::error::Error::source(&other);
            while let Some(source) = cause {
                let text = source.to_string();
                if !words.contains(&text) {
                    words = format!("{words}: {text}");
                }
                cause = source.source();
            }
            Refusal { words, code: None }
        }
    }
}

impl Refusal {
    /// Whether the server judged the change and said no: forbidden, in conflict, or invalid.
    pub(super) fn is_verdict(&self) -> bool {
        matches!(self.code, Some(403 | 409 | 422))
    }
}
