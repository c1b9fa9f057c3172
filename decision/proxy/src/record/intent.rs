//! What is taken before something may happen, so that how it ended can be written down whatever else waits then. Who has
//! none of these cannot send, open or end anything: [`super::Recorder`] asks for them by value.

use aegis_decision::record::{ClaimRef, Record};
use aegis_decision::tool::Class;

use super::room::Taken;

/// A decision to let a call go, to be recorded: with room for its record, and for that of the outcome. Dropped, it gives
/// both back.
#[derive(Debug)]
pub struct Intent {
    pub(super) record: Record,
    pub(super) class: Class,
    pub(super) room: Taken,
    pub(super) outcome: OutcomeRoom,
}

impl Intent {
    /// Names the claim that was won for the call, after room was taken. Its nonce, of 22 bytes, is not weighed.
    #[must_use]
    pub fn claimed(mut self, claim: ClaimRef) -> Self {
        if let Record::Decision(record) = &mut self.record {
            record.claim = Some(claim);
        }
        self
    }
}

/// Room for the record of how a call ended. Dropped, it is given back: the call was not sent.
#[derive(Debug)]
pub struct OutcomeRoom(pub(super) Taken);

/// Room for the record of how a connection ended. Dropped, it is given back: the connection was not opened.
#[derive(Debug)]
pub struct EndRoom(pub(super) Taken);
