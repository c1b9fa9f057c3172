//! The real ERP of the tests and the demo: Tryton 8.2, one process on a loopback port with a database of its own.
//!
//! [`Erp`] starts one; [`Person`] uses it over REST as people do, past any sidecar; [`Books`] is what its own database
//! says afterwards, read from the tables; [`AccessLine`] is one request that reached it. So a test can show three
//! things apart: what a caller was told, what arrived at the ERP, and what the ERP holds.
//!
//! Installation and base data are Python (`tests/erp/`, whose README has every request and answer as captured).

mod access;
mod books;
mod fixture;
mod http;
mod ids;
mod person;
mod server;

pub use access::AccessLine;
pub use books::{BankNumber, BookedLine, BookedPurchase, Books};
pub use fixture::Fixture;
pub use http::{Answer, Caller, http_bytes, http_json};
pub use ids::{Ids, Product, Supplier};
pub use person::{OrderLine, Person, Purchase};
pub use server::Erp;
