//! A share in percent, exact to two places.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u64);

/// All of it.
const WHOLE: u64 = 10_000;

impl Percent {
    /// How much of `whole` a part is, rounded down: what is not whole never reads 100. None of nothing.
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        let hundredths = u128::from(part).checked_mul(WHOLE.into())?.checked_div(whole.into())?;
        u64::try_from(hundredths).ok().map(Self)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Percent {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || whole.len() > 3 || part.len() > 2 {
            return Err("write a number of 0 to 100 with at most two decimals, such as 99.5");
        }
        let hundredths = |text: &str| format!("{text:0<2}").parse::<u64>().ok();
        let value = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(100)?.checked_add(hundredths(part)?));
        value.filter(|value| *value <= WHOLE).map(Self).ok_or("is over 100")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_and_read_back() {
        let share = |part, whole| Percent::of(part, whole).map(|share| share.to_string());
        assert_eq!(share(1, 3).as_deref(), Some("33.33"));
        assert_eq!(share(99_999_999, 100_000_000).as_deref(), Some("99.99"));
        assert_eq!((share(5, 5).as_deref(), share(0, 0)), (Some("100.00"), None));
        for (text, shown) in [("99.5", "99.50"), ("0", "0.00"), ("100", "100.00"), ("7.05", "7.05")] {
            assert_eq!(text.parse::<Percent>().unwrap().to_string(), shown);
        }
        for wrong in ["", "100.01", "1000", "-1", "9.999", "x", "1.", ".5", "1e2"] {
            assert!(wrong.parse::<Percent>().is_err(), "{wrong}");
        }
    }
}
