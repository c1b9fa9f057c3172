//! Prints the story step by step, in colours where they are shown.

use anstream::println;
use serde_json::Value;

/// Prints, or keeps silent in a test.
#[derive(Debug, Clone, Copy)]
pub struct Teller {
    loud: bool,
}

impl Teller {
    /// Prints everything.
    pub fn loud() -> Self {
        Self { loud: true }
    }

    /// Prints nothing.
    pub fn silent() -> Self {
        Self { loud: false }
    }

    /// A chapter begins.
    pub fn chapter(&self, title: &str) {
        if self.loud {
            println!("\n\x1b[1m== {title}\x1b[0m");
        }
    }

    /// What happens, or what it means.
    pub fn say(&self, text: &str) {
        if self.loud {
            println!("   {text}");
        }
    }

    /// A command that the reader could type.
    pub fn command(&self, who: &str, text: &str) {
        if self.loud {
            println!("   \x1b[36m{who}$ {text}\x1b[0m");
        }
    }

    /// The lines that something printed.
    pub fn output(&self, text: &str) {
        if self.loud {
            text.lines().for_each(|line| println!("     {line}"));
        }
    }

    /// What the agent asked for and got.
    pub fn exchange(&self, agent: &str, request: &str, status: u16, body: &Value) {
        if !self.loud {
            return;
        }
        let colour = if status < 300 {
            "32"
        } else if status == 428 {
            "33"
        } else {
            "31"
        };
        println!("   \x1b[36m{agent} -> {request}\x1b[0m");
        let text = body.get("detail").and_then(Value::as_str).map_or_else(|| body.to_string(), str::to_owned);
        let code = body.get("code").and_then(Value::as_str).map(|code| format!(" {code}")).unwrap_or_default();
        let text: String = text.chars().take(240).collect();
        println!("     \x1b[{colour}m{status}{code}\x1b[0m {text}");
    }
}
