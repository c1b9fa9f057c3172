//! From requests to calls: what is named, what is refused and how, what is sent, and which declarations are refused.

mod declarations;
mod facts;
mod fixture;
mod hostile;
mod named;
mod round_trip;
