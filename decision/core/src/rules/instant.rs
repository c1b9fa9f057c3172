//! RFC 3339 date-times.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Length of `YYYY-MM-DDTHH:MM:SS`.
const CIVIL: usize = 19;
/// Most digits of a fraction of a second.
const MAX_FRACTION: usize = 9;

/// Whether the text is `YYYY-MM-DDTHH:MM:SS`, a fraction of at most 9 digits, and `Z` or an offset. `t` and `z` may be in
/// lower case. The day exists; a leap second is refused, since which ones exist is known only afterwards.
pub(super) fn is_date_time(text: &str) -> bool {
    parts(text).is_some()
}

/// The second that a date-time names; its fraction is left out. None beyond the years 0000 to 9999 in UTC.
pub(super) fn second(text: &str) -> Option<Timestamp> {
    let (civil, offset) = parts(text)?;
    offset.to_timestamp(civil).ok()
}

fn parts(text: &str) -> Option<(DateTime, Offset)> {
    let (civil, rest) = text.split_at_checked(CIVIL)?;
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let shaped = civil.bytes().zip(shape).all(|(b, shape)| match shape {
        b'd' => b.is_ascii_digit(),
        shape => b.eq_ignore_ascii_case(shape),
    });
    if !shaped || civil.ends_with("60") {
        return None;
    }
    let offset = match rest.strip_prefix('.') {
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=MAX_FRACTION).contains(&digits) {
                return None;
            }
            rest.get(digits..)?
        }
        None => rest,
    };
    Some((civil.parse().ok()?, parse_offset(offset)?))
}

/// `Z`, or `+HH:MM` and `-HH:MM` of at most 23:59. `-00:00` (no offset known) is UTC.
fn parse_offset(text: &str) -> Option<Offset> {
    if text.eq_ignore_ascii_case("z") {
        return Some(Offset::UTC);
    }
    let [sign @ (b'+' | b'-'), tens, ones, b':', ten_minutes, minutes] = text.as_bytes() else { return None };
    let number = |tens: &u8, ones: &u8| {
        let digit = |b: &u8| char::from(*b).to_digit(10).and_then(|digit| i32::try_from(digit).ok());
        digit(tens)?.checked_mul(10)?.checked_add(digit(ones)?)
    };
    let (hours, minutes) = (number(tens, ones)?, number(ten_minutes, minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = hours.checked_mul(60)?.checked_add(minutes)?.checked_mul(60)?;
    Offset::from_seconds(if *sign == b'-' { seconds.checked_neg()? } else { seconds }).ok()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("2031-05-06T07:08:09Z", "2031-05-06T07:08:09Z")]
    #[test_case("2031-05-06t07:08:09z", "2031-05-06T07:08:09Z"; "lower case")]
    #[test_case("2031-05-06T07:08:09.999999999Z", "2031-05-06T07:08:09Z"; "fraction")]
    #[test_case("2031-05-06T07:08:09+05:30", "2031-05-06T01:38:09Z"; "east")]
    #[test_case("2031-05-06T07:08:09-23:59", "2031-05-07T07:07:09Z"; "west")]
    #[test_case("2031-05-06T07:08:09-00:00", "2031-05-06T07:08:09Z"; "no offset known")]
    #[test_case("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"; "leap day")]
    fn names_an_instant(text: &str, instant: &str) {
        assert_eq!(second(text).unwrap(), instant.parse().unwrap());
    }

    #[test]
    fn the_end_of_time_is_a_date_time_without_an_instant() {
        assert!(is_date_time("9999-12-31T23:59:59-12:00"));
        assert_eq!(second("9999-12-31T23:59:59-12:00"), None);
    }

    #[test_case("2031-05-06"; "date")]
    #[test_case("2031-05-06T07:08:09"; "no offset")]
    #[test_case("2031-05-06 07:08:09Z"; "space")]
    #[test_case("2031-05-06T07:08Z"; "no seconds")]
    #[test_case("2031-02-29T07:08:09Z"; "no such day")]
    #[test_case("2031-05-06T24:00:00Z"; "hour 24")]
    #[test_case("2016-12-31T23:59:60Z"; "leap second")]
    #[test_case("2031-05-06T07:08:09.Z"; "empty fraction")]
    #[test_case("2031-05-06T07:08:09.0000000001Z"; "ten digits")]
    #[test_case("2031-05-06T07:08:09,5Z"; "comma")]
    #[test_case("2031-05-06T07:08:09+0530"; "basic offset")]
    #[test_case("2031-05-06T07:08:09+24:00"; "offset of a day")]
    #[test_case("2031-05-06T07:08:09+05:60"; "sixty minutes")]
    #[test_case("2031-05-06T07:08:09Z[UTC]"; "annotation")]
    #[test_case("+02031-05-06T07:08:09Z"; "long year")]
    #[test_case("２031-05-06T07:08:09Z"; "full-width digit")]
    #[test_case(""; "empty")]
    fn is_none(text: &str) {
        assert!(!is_date_time(text));
    }
}
