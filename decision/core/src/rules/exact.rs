//! Exact decimals: an integer and a number of fraction digits. Money is never a float.
//!
//! `rust_decimal` rounds when a product or a sum needs more than 96 bits; here such a result is none at all, which rules
//! see as indeterminate.

use std::cmp::Ordering;
use std::fmt;

use rust_decimal::Decimal;

use crate::json::Number;

/// Most fraction digits, so that a remainder can be scaled within an `i128` (10^38 < 2^127).
const MAX_SCALE: u32 = 38;
/// So many digits always fit an `i64`.
const SHORT_DIGITS: usize = 18;

/// A decimal `digits / 10^scale`, without trailing zeros in its fraction, so equal values are equal structures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Exact {
    digits: i128,
    scale: u32,
}

impl Exact {
    /// Zero.
    pub const ZERO: Self = Self { digits: 0, scale: 0 };

    /// Reads `-?(0|[1-9][0-9]*)(.[0-9]+)?`: JSON's number grammar without exponent. None for anything else, such as
    /// `007`, `+1`, `1e2` or ` 1`, and for more digits than 38.
    pub fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, fraction)) => (whole, fraction),
            None => (unsigned, ""),
        };
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let fraction = fraction.bytes().all(|b| b.is_ascii_digit()).then(|| fraction.trim_end_matches('0'))?;
        let each = whole.bytes().chain(fraction.bytes()).map(|byte| byte.is_ascii_digit().then_some(byte & 0x0f));
        let digits =
            if whole.len().saturating_add(fraction.len()) <= SHORT_DIGITS { short(each)? } else { long(each)? };
        let digits = if unsigned.len() == text.len() { digits } else { digits.checked_neg()? };
        let scale = u32::try_from(fraction.len()).ok()?;
        // Without trailing zeros in its fraction already.
        (scale <= MAX_SCALE).then_some(Self { digits, scale })
    }

    /// The number exactly, or none where it is out of `rust_decimal`'s range.
    pub fn of_number(number: &Number) -> Option<Self> {
        number.to_decimal().and_then(Self::of_decimal)
    }

    /// The same value as a `rust_decimal` one.
    pub fn of_decimal(decimal: Decimal) -> Option<Self> {
        Self::new(decimal.mantissa(), decimal.scale())
    }

    /// The sum, or none where it is out of range.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        Self::new(self.digits_at(scale)?.checked_add(other.digits_at(scale)?)?, scale)
    }

    /// The product, or none where it is out of range.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        Self::new(self.digits.checked_mul(other.digits)?, self.scale.checked_add(other.scale)?)
    }

    /// Whether it has no fraction.
    pub fn is_integer(self) -> bool {
        self.scale == 0
    }

    /// The integer, where it has no fraction and fits.
    pub fn to_i64(self) -> Option<i64> {
        self.is_integer().then(|| i64::try_from(self.digits).ok())?
    }

    fn new(mut digits: i128, mut scale: u32) -> Option<Self> {
        while scale > 0 && digits.checked_rem(10) == Some(0) {
            digits = digits.checked_div(10)?;
            scale = scale.saturating_sub(1);
        }
        (scale <= MAX_SCALE).then_some(Self { digits, scale })
    }

    fn digits_at(self, scale: u32) -> Option<i128> {
        if scale == self.scale {
            return Some(self.digits);
        }
        self.digits.checked_mul(10_i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }
}

/// At most [`SHORT_DIGITS`] digits as one number. In 64 bits, where each costs a few instructions: most are short.
fn short(mut digits: impl Iterator<Item = Option<u8>>) -> Option<i128> {
    let number = digits.try_fold(0_i64, |number, digit| number.checked_mul(10)?.checked_add(digit?.into()))?;
    Some(number.into())
}

/// Any digits as one number; none where it is out of range.
fn long(mut digits: impl Iterator<Item = Option<u8>>) -> Option<i128> {
    digits.try_fold(0_i128, |number, digit| number.checked_mul(10)?.checked_add(digit?.into()))
}

impl From<i64> for Exact {
    fn from(integer: i64) -> Self {
        Self { digits: i128::from(integer), scale: 0 }
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        // Amounts of everyday size fit at one scale.
        let scale = self.scale.max(other.scale);
        if let (Some(own), Some(others)) = (self.digits_at(scale), other.digits_at(scale)) {
            return own.cmp(&others);
        }
        // Whole parts first, then remainders at a common scale: |remainder| < 10^scale <= 10^38 fits, so this never
        // overflows and every two decimals can be compared.
        let parts = |value: &Self| {
            let unit = 10_i128.saturating_pow(value.scale);
            (value.digits.saturating_div(unit), value.digits.checked_rem(unit).unwrap_or_default())
        };
        let ((whole, rest), (other_whole, other_rest)) = (parts(self), parts(other));
        let at = |rest: i128, own: u32| rest.saturating_mul(10_i128.saturating_pow(scale.saturating_sub(own)));
        whole.cmp(&other_whole).then_with(|| at(rest, self.scale).cmp(&at(other_rest, other.scale)))
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_u128.saturating_pow(self.scale);
        let digits = self.digits.unsigned_abs();
        let sign = if self.digits < 0 { "-" } else { "" };
        write!(f, "{sign}{}", digits.checked_div(unit).unwrap_or_default())?;
        if self.scale > 0 {
            let width = usize::try_from(self.scale).unwrap_or_default();
            write!(f, ".{:0width$}", digits.checked_rem(unit).unwrap_or_default())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn exact(text: &str) -> Exact {
        Exact::parse(text).unwrap()
    }

    #[test_case("5000.00", "5000")]
    #[test_case("-0.00", "0")]
    #[test_case("-0.50", "-0.5")]
    #[test_case("999999999999999999", "999999999999999999"; "18 digits")]
    #[test_case("-9999999999999999999", "-9999999999999999999"; "19 digits")]
    #[test_case("-12345678.01234567890", "-12345678.0123456789"; "18 digits with a fraction")]
    #[test_case("12345678.012345678901", "12345678.012345678901"; "20 digits with a fraction")]
    #[test_case("0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001"; "38 fraction digits")]
    #[test_case("170141183460469231731687303715884105727", "170141183460469231731687303715884105727"; "largest")]
    fn reads_and_writes(text: &str, written: &str) {
        assert_eq!(exact(text).to_string(), written);
    }

    #[test_case(""; "empty")]
    #[test_case("-"; "sign only")]
    #[test_case("+1"; "plus")]
    #[test_case("007"; "leading zero")]
    #[test_case(".5"; "no whole part")]
    #[test_case("5."; "no fraction")]
    #[test_case("1e2"; "exponent")]
    #[test_case(" 1"; "space")]
    #[test_case("1_000"; "underscore")]
    #[test_case("1,5"; "comma")]
    #[test_case("１"; "full-width digit")]
    #[test_case("1.2.3"; "two points")]
    #[test_case("--1"; "two signs")]
    #[test_case("170141183460469231731687303715884105728"; "too large")]
    #[test_case("0.000000000000000000000000000000000000001"; "too small")]
    #[test_case("NaN"; "not a number")]
    fn refuses(text: &str) {
        assert_eq!(Exact::parse(text), None);
    }

    #[test]
    fn adds_and_multiplies_without_rounding() {
        assert_eq!(exact("0.1").checked_add(exact("0.2")), Some(exact("0.3")));
        assert_eq!(exact("1.15").checked_mul(exact("-3")), Some(exact("-3.45")));
        let tiny = exact("0.0000000000000000000001");
        assert_eq!(tiny.checked_mul(tiny), None, "44 fraction digits");
        let huge = exact("170141183460469231731687303715884105727");
        assert_eq!(huge.checked_add(Exact::from(1)), None);
        assert_eq!(huge.checked_add(exact("0.1")), None);
    }

    #[test]
    fn orders_values_of_any_scale() {
        let ordered = [
            "-170141183460469231731687303715884105727",
            "-1.5",
            "-1.4999",
            "-1",
            "-0.1",
            "0",
            "0.00000000000000000000000000000000000001",
            "0.1",
            "0.10001",
            "2",
            "10",
            "170141183460469231731687303715884105727",
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(exact(a).cmp(&exact(b)), i.cmp(&j), "{a} against {b}");
            }
        }
    }
}
