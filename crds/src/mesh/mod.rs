//! What a governed pod looks like: the containers and volumes that injection adds, and whether a pod has exactly these.
//!
//! One builder serves both: the webhook adds what [`parts`](mod@parts) builds, and [`inspect`](mod@inspect) builds it
//! again from what it finds in a pod and compares. So what is injected and what is accepted cannot drift apart. The pod
//! guard (`guards/pods.yaml`) says the same in CEL, for when nothing of Aegis runs.

mod foreign;
pub mod gateway;
pub mod inspect;
pub mod names;
pub mod parts;
pub mod settings;
mod volumes;

pub use inspect::{Fault, Governed, inspect};
pub use names::*;
pub use parts::{Brokered, Parts, Placement, parts};
pub use settings::{Images, Settings, SettingsError};
