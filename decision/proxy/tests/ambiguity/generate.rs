//! Generated vectors: plain requests in many spellings, one fault among most of them, cut into writes at random.

use rand::Rng;
use rand::rngs::StdRng;

use crate::draft::Draft;
use crate::faults;
use crate::vector::{Outcome, Place, Vector};

/// One vector of the run.
pub fn vector(random: &mut StdRng, number: usize, place: &Place) -> Vector {
    let mut part = 0..;
    let mut id = || format!("v{number}-{}", part.next().unwrap_or(0));
    let mut plain = |random: &mut StdRng, most: usize| -> Vec<_> {
        let count = random.random_range(0..=most);
        (0..count).map(|_| Draft::any(random, place, &id()).piece(random)).collect()
    };
    let mut pieces = plain(random, 2);
    let mut name = format!("generated {number}");
    if random.random_bool(0.85) {
        let fault = faults::any(random);
        let behind = plain(random, 1);
        let draft = Draft::any(random, place, &format!("f{number}"));
        let piece = fault.piece(random, draft, place);
        // What stands behind a request that is cut off would be more of it.
        let cut = piece.outcome == Outcome::Cut;
        pieces.push(piece);
        pieces.extend(behind.into_iter().filter(|_| !cut));
        name = format!("{name}: {}", fault.name);
    } else {
        pieces.extend(plain(random, 3));
    }
    let writes = match random.random_range(0..3) {
        0 => Vec::new(),
        1 => vec![random.random_range(1..40)],
        _ => (0..7).map(|_| random.random_range(1..90)).collect(),
    };
    let after = Draft::get(place, &format!("a{number}")).last(random);
    Vector::new(name, pieces, writes, after)
}
