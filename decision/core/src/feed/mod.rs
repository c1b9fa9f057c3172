//! The feed: what the control service tells one agent's sidecar, in order, each item signed.
//!
//! [`Envelope`] is what travels; [`FeedState`] is the receiver's memory, which accepts an item or says why not;
//! [`freshness`] says what may still be decided on what was received.

mod item;
mod state;

pub use item::{Envelope, FeedItem, Grants, MAX_ITEM_BYTES};
pub use state::{Change, FeedError, FeedState, Freshness, VerifiedGrants, freshness};
