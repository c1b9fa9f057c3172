//! Generated vectors: half of them a request in a spelling that must go through, half one with a fault; among plain
//! requests, cut into writes at random.

use rand::Rng;
use rand::rngs::StdRng;

use crate::draft::Draft;
use crate::faults;
use crate::spellings::SPELLINGS;
use crate::vector::{Outcome, Piece, Place, Vector};

/// Servers that are sent the most, one of them by itself.
pub const BUSY: [&str; 3] = ["uvicorn", "nginx", "haproxy"];
/// Vectors for each of these.
pub const MANY: usize = 2_000;
/// Vectors for each other server.
const FEW: usize = 150;
/// One of so many vectors begins with a row of requests that wait for no answer.
const ROW_EVERY: usize = 40;

/// Every vector of the run, for all servers in turn.
pub fn vectors(random: &mut StdRng, places: &[Place]) -> Vec<Vector> {
    let turn =
        |number: usize| places.iter().filter(move |place| number < count(place)).map(move |place| (number, place));
    let all = (0..MANY).flat_map(turn).enumerate();
    all.map(|(serial, (number, place))| vector(random, serial, number, place)).collect()
}

fn count(place: &Place) -> usize {
    if BUSY.contains(&place.tool) { MANY } else { FEW }
}

/// A vector with a name of its own (`serial`), of the kind whose turn it is with its server.
fn vector(random: &mut StdRng, serial: usize, number: usize, place: &Place) -> Vector {
    let (kind, piece) = piece(random, serial, number, place);
    let mut part = 0..;
    let mut id = || format!("v{serial}-{}", part.next().unwrap_or(0));
    let mut plain = |random: &mut StdRng, count: usize| -> Vec<_> {
        (0..count).map(|_| Draft::any(random, place, &id()).piece(random)).collect()
    };
    let before = if number.is_multiple_of(ROW_EVERY) { 8 } else { random.random_range(0..=1) };
    let mut pieces = plain(random, before);
    // What stands behind a request that is cut off would be more of it.
    let behind = if piece.outcome == Outcome::Cut { 0 } else { random.random_range(0..=1) };
    pieces.push(piece);
    pieces.extend(plain(random, behind));
    let writes = match random.random_range(0..3) {
        0 => Vec::new(),
        1 => vec![random.random_range(1..40)],
        _ => (0..7).map(|_| random.random_range(1..90)).collect(),
    };
    let after = Draft::get(place, &format!("a{serial}")).last(random);
    Vector::new(format!("{}: generated {serial}", place.tool), kind, pieces, writes, after)
}

/// What a vector is about, and its name. Spellings and faults take turns, and each of them with its like.
fn piece(random: &mut StdRng, serial: usize, number: usize, place: &Place) -> (&'static str, Piece) {
    let (turn, id) = (number / 2, format!("k{serial}"));
    if number.is_multiple_of(2) {
        let spelling = &SPELLINGS[turn % SPELLINGS.len()];
        (spelling.name, spelling.piece(random, place, &id))
    } else {
        let faults = faults::all();
        let fault = faults[turn % faults.len()];
        let draft = Draft::any(random, place, &id);
        (fault.name, fault.piece(random, draft, place))
    }
}
