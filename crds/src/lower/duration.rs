//! Durations as Kubernetes writes them: `60s`, `15m`, `1h30m`.

use std::ops::RangeInclusive;

use super::Invalid;

/// The seconds of a duration within bounds. Hours, minutes and seconds, each at most once, in that order.
pub fn seconds(text: &str, within: RangeInclusive<u32>, field: &str) -> Result<u32, Invalid> {
    let total = parse(text)
        .ok_or_else(|| Invalid::new(field, "is no duration; write hours, minutes and seconds, such as 1h30m or 45s"))?;
    if within.contains(&total) {
        Ok(total)
    } else {
        let (from, to) = (written(*within.start()), written(*within.end()));
        Err(Invalid::new(field, format!("does not lie between {from} and {to}")))
    }
}

/// A number of seconds as a duration: `90` is `1m30s`.
pub fn written(seconds: u32) -> String {
    let parts = [(seconds / 3600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let mut text = String::new();
    for (count, unit) in parts.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&count.to_string());
        text.push(unit);
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn parse(text: &str) -> Option<u32> {
    let mut rest = text;
    let mut total = 0_u32;
    for (unit, length) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((digits, after)) = rest.split_once(unit) {
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            total = digits.parse::<u32>().ok()?.checked_mul(length)?.checked_add(total)?;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("60s", 60)]
    #[test_case("15m", 900)]
    #[test_case("1h30m", 5400)]
    #[test_case("1h0m1s", 3601)]
    #[test_case("0s", 0)]
    fn is_read(text: &str, expected: u32) {
        assert_eq!(seconds(text, 0..=u32::MAX, "f"), Ok(expected));
    }

    #[test_case(""; "empty")]
    #[test_case("5"; "no unit")]
    #[test_case("5d"; "days")]
    #[test_case("s"; "no digits")]
    #[test_case("-5s"; "negative")]
    #[test_case("1.5h"; "fraction")]
    #[test_case("5s1m"; "other order")]
    #[test_case("5s5s"; "twice")]
    #[test_case("99999999h"; "too long")]
    fn is_refused(text: &str) {
        assert_eq!(seconds(text, 0..=u32::MAX, "spec.ttl").unwrap_err().field, "spec.ttl");
    }

    #[test]
    fn bounds_are_named() {
        assert_eq!(
            seconds("16m", 60..=900, "spec.tokens.ttl").unwrap_err().to_string(),
            "spec.tokens.ttl: does not lie between 1m and 15m"
        );
    }

    #[test]
    fn is_written_as_it_is_read() {
        for total in [0, 1, 59, 60, 90, 3600, 3661, 604_800] {
            assert_eq!(seconds(&written(total), 0..=u32::MAX, "f"), Ok(total));
        }
    }
}
