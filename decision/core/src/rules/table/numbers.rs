//! Hash tables of the numbers that rules name.

use crate::keys::Keys;
use crate::rules::exact::Exact;

/// Values by number: of integers only 64 bits are hashed and compared.
#[derive(Debug)]
pub(super) struct NumberKeys<V> {
    integers: Keys<i64, V>,
    /// Numbers with a fraction, and integers beyond 64 bits.
    others: Keys<Exact, V>,
}

impl<V> Default for NumberKeys<V> {
    fn default() -> Self {
        Self { integers: Keys::default(), others: Keys::default() }
    }
}

impl<V> NumberKeys<V> {
    /// The value of a number, made where there is none yet.
    pub(super) fn of_key(&mut self, number: Exact, make: impl FnOnce() -> V) -> &mut V {
        match number.to_i64() {
            Some(integer) => self.integers.of_key(integer, make),
            None => self.others.of_key(number, make),
        }
    }

    /// The value of a number, if it has one.
    pub(super) fn get(&self, number: Exact) -> Option<&V> {
        match number.to_i64() {
            Some(integer) => self.integers.get(&integer),
            None => self.others.get(&number),
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("0")]
    #[test_case("-7")]
    #[test_case("0.5"; "a fraction")]
    #[test_case("9223372036854775807"; "the largest of 64 bits")]
    #[test_case("9223372036854775808"; "one more")]
    #[test_case("-9223372036854775808"; "the smallest of 64 bits")]
    #[test_case("-9223372036854775809"; "one less")]
    fn a_number_is_found_by_its_value(text: &str) {
        let number = Exact::parse(text).unwrap();
        let mut keys = NumberKeys::default();
        keys.of_key(number, || text);
        let other = number.checked_add(Exact::from(1)).unwrap();
        assert_eq!((keys.get(number), keys.get(other)), (Some(&text), None));
    }
}
