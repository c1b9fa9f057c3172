//! `equals` and `in`: from a value to the checks that name it, by one hash lookup.
//!
//! The truth is that of [`crate::rules::equal`]: a number and a decimal text compare as decimals, a comparison of
//! different kinds is indeterminate, and `in` is the Kleene OR over its members.

use super::numbers::NumberKeys;
use super::slots::SlotValue;
use crate::decision::Truth;
use crate::keys::Keys;
use crate::rules::equal::Comparable;
use crate::rules::exact::Exact;

/// The rules of one slot that hang on equality. Places of candidates, rising.
#[derive(Debug, Default)]
pub(super) struct Equality {
    /// A text, by the texts that rules name.
    by_text: Keys<String, Vec<usize>>,
    /// A decimal text, by the integers that rules name.
    by_integer: NumberKeys<Vec<usize>>,
    /// A number, by the integers and decimal texts that rules name.
    by_number: NumberKeys<Vec<usize>>,
    /// Rules that name an integer: about a text that is no decimal they cannot tell.
    integers: Vec<usize>,
    /// Rules that name a text that is no decimal: about a number they cannot tell.
    words: Vec<usize>,
}

/// Rules and the truth of the checks that they hang on.
type Found<'a> = (&'a [usize], Truth);

impl Equality {
    /// Hangs a rule on one of these values. Rules are added in their order.
    pub(super) fn add(&mut self, values: &[Comparable<'static>], candidate: usize) {
        for value in values {
            match value {
                Comparable::Text(text) => {
                    push(self.by_text.of_key(text.clone().into_owned(), Vec::new), candidate);
                    match Exact::parse(text) {
                        Some(number) => push(self.by_number.of_key(number, Vec::new), candidate),
                        None => push(&mut self.words, candidate),
                    }
                }
                Comparable::Number(number) => {
                    push(self.by_integer.of_key(*number, Vec::new), candidate);
                    push(self.by_number.of_key(*number, Vec::new), candidate);
                    push(&mut self.integers, candidate);
                }
                // No rule names a boolean.
                Comparable::Bool(_) => {}
            }
        }
    }

    /// The rules whose check is not false for the value; none when it is indeterminate for all of them.
    pub(super) fn not_false(&self, value: &SlotValue<'_>) -> Option<[Found<'_>; 2]> {
        if let Some(text) = &value.text {
            let named = (listed(self.by_text.get(text.as_ref())), Truth::True);
            if self.integers.is_empty() {
                return Some([named, (&[], Truth::True)]);
            }
            return Some(match value.decimal() {
                Some(number) => [named, (listed(self.by_integer.get(number)), Truth::True)],
                None => [named, (&self.integers, Truth::Indeterminate)],
            });
        }
        let number = value.number?;
        Some([(listed(self.by_number.get(number)), Truth::True), (&self.words, Truth::Indeterminate)])
    }
}

fn listed(places: Option<&Vec<usize>>) -> &[usize] {
    places.map_or(&[], Vec::as_slice)
}

/// A rule may name one value in several spellings.
fn push(places: &mut Vec<usize>, place: usize) {
    if places.last() != Some(&place) {
        places.push(place);
    }
}
