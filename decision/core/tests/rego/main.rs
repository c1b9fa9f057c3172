//! Rego modules through the whole path from resources and input to decision: hostile ones end within their budget, the
//! machine agrees with regorus' interpreter, and no function of the list costs more than its arguments say.

// A scene that cannot be made must stop the test where it stands.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod agreement;
mod builtins;
mod docs;
mod hostile;
mod hostile_modules;
#[path = "../support/interpreter.rs"]
mod interpreter;
mod language;
#[path = "../fuzz/mutate.rs"]
#[allow(dead_code)]
mod mutate;
mod refused;
mod scene;
mod stored;
#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;
#[path = "../support/vary.rs"]
mod vary;
