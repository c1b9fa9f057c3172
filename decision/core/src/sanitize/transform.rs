//! What an action makes of one value.

use rust_decimal::{Decimal, RoundingStrategy};

use super::tree::Unfit;
use crate::json::{Number, Value};
use crate::policy::transform::{Action, Constant, End, Rounding};
use crate::rules::exact::Exact;

/// What a masked character becomes.
pub(super) const MASK: char = '*';

/// Changes a value that is there; tells whether it is another one now. [`Action::Remove`] needs the place around it and
/// is none of this.
pub(super) fn change(value: &mut Value, action: &Action) -> Result<bool, Unfit> {
    let changed = match (action, &*value) {
        (Action::Set(constant), _) => constant_value(constant)?,
        (Action::Remove, _) => return Err(Unfit::Place),
        (Action::Mask { .. } | Action::Truncate { .. } | Action::Round { .. }, Value::Null) => return Ok(false),
        (Action::Mask { keep, end }, Value::String(text)) => Value::String(mask(text, (*keep).into(), *end).into()),
        (Action::Truncate { characters }, Value::String(text)) => Value::String(truncate(text, *characters).into()),
        (Action::Mask { .. } | Action::Truncate { .. }, _) => return Err(Unfit::NotText),
        (Action::Round { scale, mode }, Value::Number(number)) => {
            let decimal = number.to_decimal().ok_or(Unfit::NotDecimal)?;
            let rounded = round(decimal, *scale, *mode).normalize();
            Value::Number(Number::from_text(&rounded.to_string()).map_err(|_| Unfit::NotDecimal)?)
        }
        (Action::Round { scale, mode }, Value::String(text)) => Value::String(round_text(text, *scale, *mode)?.into()),
        (Action::Round { .. }, _) => return Err(Unfit::NotDecimal),
    };
    let differs = changed != *value;
    *value = changed;
    Ok(differs)
}

/// The value of `set`.
pub(super) fn constant_value(constant: &Constant) -> Result<Value, Unfit> {
    Ok(match constant {
        Constant::Text(text) => Value::String(text.as_str().into()),
        Constant::Integer(integer) => {
            Value::Number(Number::from_text(&integer.to_string()).map_err(|_| Unfit::NotDecimal)?)
        }
        Constant::Boolean(value) => Value::Bool(*value),
    })
}

fn mask(text: &str, keep: usize, end: End) -> String {
    let count = text.chars().count();
    // Nothing of a text is shown that is no longer than what may be shown of one.
    let keep = if count > keep { keep } else { 0 };
    let hidden = count.saturating_sub(keep);
    let shown = |place: usize| match end {
        End::Start => place < keep,
        End::End => place >= hidden,
    };
    text.chars().enumerate().map(|(place, character)| if shown(place) { character } else { MASK }).collect()
}

fn truncate(text: &str, characters: u32) -> String {
    text.chars().take(usize::try_from(characters).unwrap_or(usize::MAX)).collect()
}

fn round(decimal: Decimal, scale: u8, mode: Rounding) -> Decimal {
    let strategy = match mode {
        Rounding::HalfEven => RoundingStrategy::MidpointNearestEven,
        Rounding::Down => RoundingStrategy::ToZero,
    };
    let mut rounded = decimal.round_dp_with_strategy(scale.into(), strategy);
    if rounded.is_zero() {
        // There is no -0.
        rounded.set_sign_positive(true);
    }
    rounded
}

/// A text that has no more fraction digits than it may have stays as it is written.
fn round_text(text: &str, scale: u8, mode: Rounding) -> Result<String, Unfit> {
    // The grammar of every other decimal in a text; the other reader takes more.
    Exact::parse(text).ok_or(Unfit::NotDecimal)?;
    if text.split_once('.').is_none_or(|(_, fraction)| fraction.len() <= scale.into()) {
        return Ok(text.to_owned());
    }
    let decimal = Decimal::from_str_exact(text).map_err(|_| Unfit::NotDecimal)?;
    Ok(round(decimal, scale, mode).to_string())
}

#[cfg(test)]
mod tests {
    // A helper fails as a test does.
    #![allow(clippy::unwrap_in_result)]

    use test_case::test_case;

    use super::*;
    use crate::json::parse;

    fn changed(action: &Action, json: &str) -> Result<String, Unfit> {
        let mut value = parse(json.as_bytes()).unwrap();
        let before = value.clone();
        let differs = change(&mut value, action)?;
        assert_eq!(differs, before != value);
        let mut again = value.clone();
        assert_eq!(change(&mut again, action), Ok(false), "twice is once");
        assert_eq!(again, value);
        Ok(String::from_utf8(crate::json::emit(&value)).unwrap())
    }

    #[test_case(4, End::End, "DE89370400440532013000", "******************3000")]
    #[test_case(2, End::Start, "geheim", "ge****")]
    #[test_case(0, End::End, "größe", "*****"; "a character is a star, whatever its bytes")]
    #[test_case(4, End::End, "3000", "****"; "what is no longer than what is kept is masked whole")]
    #[test_case(4, End::End, "", "")]
    fn masks(keep: u8, end: End, text: &str, masked: &str) {
        assert_eq!(changed(&Action::Mask { keep, end }, &format!("{text:?}")), Ok(format!("{masked:?}")));
    }

    #[test_case(3, "abcdef", "abc")]
    #[test_case(3, "ab", "ab")]
    #[test_case(0, "ab", "")]
    #[test_case(2, "añ\u{1F600}", "añ"; "no character is split")]
    fn truncates(characters: u32, text: &str, rest: &str) {
        assert_eq!(changed(&Action::Truncate { characters }, &format!("\"{text}\"")), Ok(format!("\"{rest}\"")));
    }

    #[test_case(2, Rounding::HalfEven, "1.005", "1"; "a number")]
    #[test_case(2, Rounding::HalfEven, "1.015", "1.02")]
    #[test_case(2, Rounding::Down, "1.019", "1.01")]
    #[test_case(0, Rounding::Down, "-0.9", "0"; "no minus zero")]
    #[test_case(0, Rounding::HalfEven, "2.5", "2")]
    #[test_case(0, Rounding::HalfEven, "-3.5", "-4")]
    #[test_case(2, Rounding::HalfEven, "9007199254740992", "9007199254740992")]
    #[test_case(2, Rounding::HalfEven, "\"1.005\"", "\"1.00\""; "a text keeps its digits")]
    #[test_case(2, Rounding::HalfEven, "\"5.0\"", "\"5.0\""; "a text of few digits stays")]
    #[test_case(1, Rounding::Down, "\"-0.09\"", "\"0.0\""; "no minus zero in a text")]
    #[test_case(1, Rounding::HalfEven, "\"99.95\"", "\"100.0\"")]
    fn rounds(scale: u8, mode: Rounding, json: &str, rounded: &str) {
        assert_eq!(changed(&Action::Round { scale, mode }, json), Ok(rounded.to_owned()));
    }

    #[test_case("\"12e1\"")]
    #[test_case("\" 1\"")]
    #[test_case("\"+1.55\"")]
    #[test_case("\".55\"")]
    #[test_case("\"1_0.55\"")]
    #[test_case("true")]
    #[test_case("[1.55]")]
    #[test_case("1e-300"; "smaller than any decimal")]
    #[test_case("\"0.00000000000000000000000000000000000001\""; "more digits than a decimal has")]
    fn refuses_to_round(json: &str) {
        assert_eq!(changed(&Action::Round { scale: 1, mode: Rounding::Down }, json), Err(Unfit::NotDecimal));
    }

    #[test]
    fn masks_and_truncates_texts_only() {
        for json in ["5", "true", "[\"a\"]", "{}"] {
            assert_eq!(changed(&Action::Mask { keep: 0, end: End::End }, json), Err(Unfit::NotText));
            assert_eq!(changed(&Action::Truncate { characters: 1 }, json), Err(Unfit::NotText));
        }
    }

    #[test]
    fn null_holds_nothing() {
        for action in [
            Action::Mask { keep: 0, end: End::End },
            Action::Truncate { characters: 1 },
            Action::Round { scale: 1, mode: Rounding::Down },
        ] {
            assert_eq!(changed(&action, "null"), Ok("null".to_owned()));
        }
        assert_eq!(changed(&Action::Set(Constant::Integer(-7)), "null"), Ok("-7".to_owned()));
    }
}
