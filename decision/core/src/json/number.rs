//! Numbers that survive: what is read, judged, hashed and sent is one decimal value.
//!
//! A number is kept as `± coefficient · 10^exponent`, never as a double. Those are accepted that a double of IEEE 754
//! gives back digit by digit, so that no reader between us and the tool can see another value: integers within ±2^53,
//! and decimals of at most 15 significant digits between 1e-300 and 1e300. What counts is the value, not its spelling:
//! `1e2`, `100` and `100.0` are one number. `-0` is 0.

use std::fmt;

use rust_decimal::Decimal;

/// Largest integer up to which every integer is accepted: 2^53.
const MAX_INTEGER: u64 = 1 << 53;
/// Most significant digits of a decimal beyond the integers of [`MAX_INTEGER`].
const MAX_DIGITS: i64 = 15;
/// Powers of ten between which a decimal's value lies (its most significant digit's place, `1e-300` to `1e300`).
const MAX_POWER: i64 = 300;
/// So many digits always fit a `u32`.
const MAX_SHORT_DIGITS: usize = 9;
/// Digits of the largest `u64`.
const MAX_COEFFICIENT_DIGITS: usize = 20;

/// An exact number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    /// Without trailing zeros; 0 for zero.
    coefficient: u64,
    /// 0 for zero.
    exponent: i16,
}

/// Why a text is no [`Number`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not the grammar of RFC 8259.
    #[error(
        "a number is written like -12.5e3: no plus sign before it, no leading zero, digits on both sides of the point"
    )]
    Form,
    /// It would not survive exactly.
    #[error(
        "accepted are integers up to 2^53 and decimals of at most 15 significant digits; send a longer one as a string"
    )]
    Digits,
    /// Too large or too small.
    #[error("accepted are 0 and numbers between 1e-300 and 1e300 in size")]
    Range,
}

impl Number {
    /// Reads a JSON number (RFC 8259, section 6), all of the text.
    pub fn from_text(text: &str) -> Result<Self, NumberError> {
        // Most are short and whole.
        if let [b'1'..=b'9', rest @ ..] = text.as_bytes()
            && rest.len() < MAX_SHORT_DIGITS
            && let Ok(value) = text.parse::<u32>()
        {
            return Ok(Self::from(value));
        }
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, power) = match rest.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, Some(power)),
            None => (rest, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
            Some(_) => return Err(NumberError::Form),
            None => (mantissa, ""),
        };
        if !is_digits(whole) || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(NumberError::Form);
        }
        let power = power.map_or(Ok(0), read_power)?;

        let mut digits = Significant::default();
        whole.bytes().chain(fraction.bytes()).for_each(|digit| digits.push(digit.saturating_sub(b'0')));
        let exponent = power.saturating_sub(as_i64(fraction.len())).saturating_add(digits.zeros_after);
        Self::of_parts(negative, &digits, exponent)
    }

    fn of_parts(negative: bool, digits: &Significant, exponent: i64) -> Result<Self, NumberError> {
        if digits.count == 0 {
            return Ok(Self { negative: false, coefficient: 0, exponent: 0 });
        }
        let top = exponent.saturating_add(digits.count).saturating_sub(1);
        if top > MAX_POWER || (top == MAX_POWER && digits.coefficient != 1) || top < -MAX_POWER {
            return Err(NumberError::Range);
        }
        // 2^53 has 16 digits, trailing zeros are in the exponent: longer coefficients are refused either way.
        let integer = exponent == 0 && digits.coefficient <= MAX_INTEGER;
        if digits.count > MAX_DIGITS && !integer {
            return Err(NumberError::Digits);
        }
        let exponent = i16::try_from(exponent).map_err(|_| NumberError::Range)?;
        Ok(Self { negative, coefficient: digits.coefficient, exponent })
    }

    /// The double that this number is read as; it gives the number back digit by digit.
    pub fn as_f64(&self) -> f64 {
        // The canonical token is a valid literal, and parsing rounds correctly.
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// The integer, if it is one within ±2^53.
    pub fn as_i64(&self) -> Option<i64> {
        let scale = u32::try_from(self.exponent).ok()?;
        let size = self.coefficient.checked_mul(10_u64.checked_pow(scale)?).filter(|size| *size <= MAX_INTEGER)?;
        let size = i64::try_from(size).ok()?;
        Some(if self.negative { size.saturating_neg() } else { size })
    }

    /// The same value as a decimal; none where 96 bits and 28 places cannot hold it exactly.
    pub fn to_decimal(&self) -> Option<Decimal> {
        let coefficient = i128::from(self.coefficient);
        let signed = if self.negative { coefficient.saturating_neg() } else { coefficient };
        match u32::try_from(self.exponent) {
            Ok(power) => Decimal::try_from_i128_with_scale(signed.checked_mul(10_i128.checked_pow(power)?)?, 0).ok(),
            Err(_) => Decimal::try_from_i128_with_scale(signed, u32::from(self.exponent.unsigned_abs())).ok(),
        }
    }
}

/// The digits of a number without leading and trailing zeros.
#[derive(Default)]
struct Significant {
    /// What they write; `u64::MAX` where that is too small for it.
    coefficient: u64,
    count: i64,
    /// Zeros after the last of them.
    zeros_after: i64,
}

impl Significant {
    fn push(&mut self, digit: u8) {
        if digit != 0 {
            let places = self.zeros_after.saturating_add(1);
            let power = u32::try_from(places).map_or(u64::MAX, |places| 10_u64.saturating_pow(places));
            self.coefficient = self.coefficient.saturating_mul(power).saturating_add(digit.into());
            self.count = self.count.saturating_add(places);
            self.zeros_after = 0;
        } else if self.count > 0 {
            self.zeros_after = self.zeros_after.saturating_add(1);
        }
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        let (mut coefficient, mut exponent) = (u64::from(value), 0_i16);
        while coefficient != 0 && coefficient.is_multiple_of(10) {
            coefficient = coefficient.checked_div(10).unwrap_or_default();
            exponent = exponent.saturating_add(1);
        }
        Self { negative: false, coefficient, exponent }
    }
}

impl From<i32> for Number {
    fn from(value: i32) -> Self {
        Self { negative: value < 0, ..Self::from(value.unsigned_abs()) }
    }
}

impl Number {
    /// Appends the canonical token of RFC 8785 (section 3.2.2.3): what ECMAScript's `Number::toString` writes.
    pub(super) fn write(&self, text: &mut String) {
        if self.negative {
            text.push('-');
        }
        let mut buffer = [b'0'; MAX_COEFFICIENT_DIGITS];
        let digits = decimal(self.coefficient, &mut buffer);
        let count = as_i64(digits.len());
        // The decimal point stands after the first `point` digits.
        let point = count.saturating_add(self.exponent.into());
        let zeros = |text: &mut String, count: i64| (0..count).for_each(|_| text.push('0'));
        if count <= point && point <= 21 {
            text.push_str(digits);
            zeros(text, point.saturating_sub(count));
        } else if 0 < point && point <= 21 {
            let (whole, fraction) =
                digits.split_at_checked(usize::try_from(point).unwrap_or_default()).unwrap_or_default();
            text.extend([whole, ".", fraction]);
        } else if -6 < point && point <= 0 {
            text.push_str("0.");
            zeros(text, point.saturating_neg());
            text.push_str(digits);
        } else {
            let (first, rest) = digits.split_at_checked(1).unwrap_or_default();
            let separator = if rest.is_empty() { "" } else { "." };
            text.extend([first, separator, rest, "e", if point > 0 { "+" } else { "-" }]);
            let power = point.saturating_sub(1).unsigned_abs();
            text.push_str(decimal(power, &mut [b'0'; MAX_COEFFICIENT_DIGITS]));
        }
    }
}

/// Writes a whole number to the end of the buffer.
fn decimal(mut value: u64, buffer: &mut [u8; MAX_COEFFICIENT_DIGITS]) -> &str {
    let mut digits: usize = 0;
    for place in buffer.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
        digits += 1;
        if value == 0 {
            break;
        }
    }
    let start = buffer.len().saturating_sub(digits);
    buffer.get(start..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The power of ten after `e`, clamped: a power of more digits than fit is out of range with any mantissa but zero.
fn read_power(text: &str) -> Result<i64, NumberError> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    if !is_digits(digits) {
        return Err(NumberError::Form);
    }
    let clamp = i64::MAX / 4;
    let size = digits.parse::<i64>().unwrap_or(clamp).min(clamp);
    Ok(if negative { size.saturating_neg() } else { size })
}

fn as_i64(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("0", "0")]
    #[test_case("-0", "0")]
    #[test_case("-0.000e99999999999999999999", "0"; "zero with any power")]
    #[test_case("100.0", "100")]
    #[test_case("1E2", "100")]
    #[test_case("1e+2", "100"; "plus in the power")]
    #[test_case("-149.90", "-149.9")]
    #[test_case("9007199254740992", "9007199254740992")]
    #[test_case("-9007199254740991", "-9007199254740991")]
    #[test_case("0.000001", "0.000001")]
    #[test_case("0.0000001", "1e-7")]
    #[test_case("123456789012345e6", "123456789012345000000")]
    #[test_case("123456789012345e7", "1.23456789012345e+21")]
    #[test_case("1e300", "1e+300")]
    #[test_case("1e-300", "1e-300")]
    #[test_case("0.00123", "0.00123")]
    #[test_case("1.5e-10", "1.5e-10")]
    #[test_case("333333333.333", "333333333.333")]
    #[test_case("1.000000000000000000000000000", "1"; "zeros are not significant")]
    fn is_written_canonically(text: &str, canonical: &str) {
        let number = Number::from_text(text).unwrap();
        assert_eq!(number.to_string(), canonical);
        assert_eq!(Number::from_text(canonical), Ok(number));
    }

    #[test_case("9007199254740993", NumberError::Digits)]
    #[test_case("-9007199254740994", NumberError::Digits)]
    #[test_case("0.1234567890123456", NumberError::Digits)]
    #[test_case("1.00000000000000000001", NumberError::Digits)]
    #[test_case("1.1e300", NumberError::Range; "above")]
    #[test_case("2e300", NumberError::Range)]
    #[test_case("9e-301", NumberError::Range)]
    #[test_case("1e99999999999999999999", NumberError::Range)]
    #[test_case("1e400", NumberError::Range)]
    #[test_case("+1", NumberError::Form; "plus")]
    #[test_case("01", NumberError::Form)]
    #[test_case("1.", NumberError::Form; "point last")]
    #[test_case(".1", NumberError::Form; "point first")]
    #[test_case("1e", NumberError::Form; "power missing")]
    #[test_case("-", NumberError::Form; "sign only")]
    #[test_case("", NumberError::Form; "nothing")]
    #[test_case("0x1", NumberError::Form)]
    #[test_case("NaN", NumberError::Form)]
    #[test_case("1_0", NumberError::Form)]
    fn names_what_is_wrong(text: &str, error: NumberError) {
        assert_eq!(Number::from_text(text), Err(error));
    }

    #[test]
    fn converts_exactly_or_not_at_all() {
        let number = |text| Number::from_text(text).unwrap();
        assert_eq!(number("-149.90").to_decimal(), Some(Decimal::new(-1499, 1)));
        assert_eq!(number("1e20").to_decimal().unwrap().to_string(), "100000000000000000000");
        assert_eq!(number("1e-29").to_decimal(), None);
        assert_eq!(number("1e29").to_decimal(), None);
        assert_eq!(number("1200").as_i64(), Some(1200));
        assert_eq!(number("-9007199254740992").as_i64(), Some(-9_007_199_254_740_992));
        assert_eq!(number("1e16").as_i64(), None);
        assert_eq!(number("1.5").as_i64(), None);
        assert_eq!(Number::from(u32::MAX).to_string(), "4294967295");
        assert_eq!(Number::from(-120), number("-120"));
        assert_eq!(Number::from(0).to_string(), "0");
    }
}
