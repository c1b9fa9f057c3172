//! What is done to a plain request to make it ambiguous, with numbers and spellings drawn at random.

mod framing;
mod lines;
mod targets;

use rand::Rng;
use rand::rngs::StdRng;

use crate::draft::Draft;
use crate::vector::{Outcome, Piece, Place};

/// One way of making a request ambiguous.
pub struct Fault {
    pub name: &'static str,
    outcome: Outcome,
    write: fn(&mut StdRng, Draft, &Place) -> String,
}

impl Fault {
    /// A request with this fault.
    pub fn piece(&self, random: &mut StdRng, draft: Draft, place: &Place) -> Piece {
        Piece { text: (self.write)(random, draft, place), outcome: self.outcome.clone() }
    }
}

const fn ends(name: &'static str, write: fn(&mut StdRng, Draft, &Place) -> String) -> Fault {
    Fault { name, outcome: Outcome::Ends, write }
}

/// All of them.
pub fn all() -> Vec<&'static Fault> {
    [framing::FAULTS, lines::FAULTS, targets::FAULTS].into_iter().flatten().collect()
}

/// A request that the policy would allow, for smuggling: whoever takes it for one sends something that was not meant.
fn inner(random: &mut StdRng, place: &Place) -> String {
    let number: u32 = random.random();
    Draft::get(place, &format!("smuggled-{number}")).text(random)
}

/// The request with these fields instead of those of its framing, and this body.
fn framed(random: &mut StdRng, draft: &Draft, fields: &[String], body: &str) -> String {
    let mut draft = draft.clone();
    // An agent that waits for leave to send its body does not send one that may be refused.
    draft.fields.retain(|field| !field.to_ascii_lowercase().starts_with("expect"));
    for field in fields {
        let at = random.random_range(0..=draft.fields.len());
        draft.fields.insert(at, field.clone());
    }
    format!("{}\r\n{body}", draft.head())
}

/// The request with a field more, somewhere.
fn with(random: &mut StdRng, mut draft: Draft, field: &str) -> String {
    let at = random.random_range(0..=draft.fields.len());
    draft.fields.insert(at, field.to_owned());
    draft.text(random)
}
