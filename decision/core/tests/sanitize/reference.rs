//! What sanitizing means, written down once more and plainly: on `serde_json` values, one transform after another, with
//! decimals as digits in a list.

use aegis_decision::path::Step;
use aegis_decision::policy::Transform;
use aegis_decision::policy::transform::{Action, Constant, End, Rounding};
use serde_json::{Map, Value};

/// Something stands where it cannot be changed.
#[derive(Debug, PartialEq)]
pub struct Impossible;

/// The tree after all transforms.
pub fn sanitized(tree: &Value, transforms: &[Transform]) -> Result<Value, Impossible> {
    let mut transforms: Vec<_> = transforms.to_vec();
    // Members that are added stand behind each other in this order.
    transforms.sort_by_key(|transform| (transform.field.steps.len(), transform.field.steps.clone()));
    transforms.iter().try_fold(tree.clone(), |tree, transform| changed(tree, &transform.field.steps, &transform.action))
}

fn changed(tree: Value, steps: &[Step], action: &Action) -> Result<Value, Impossible> {
    let [step, rest @ ..] = steps else { return leaf(tree, action) };
    let last = rest.is_empty();
    match (step, tree) {
        (_, Value::Null) => Ok(Value::Null),
        (Step::Key(key), Value::Object(object)) => {
            let mut made = Map::new();
            let mut found = false;
            for (name, member) in object {
                let here = name == *key;
                found |= here;
                match (here, last, action) {
                    (true, true, Action::Remove) => {}
                    (true, ..) => {
                        made.insert(name, changed(member, rest, action)?);
                    }
                    (false, ..) => {
                        made.insert(name, member);
                    }
                }
            }
            if let (false, true, Action::Set(constant)) = (found, last, action) {
                made.insert(key.clone(), value_of(constant));
            }
            Ok(Value::Object(made))
        }
        (Step::All, Value::Array(_)) if last && *action == Action::Remove => Ok(Value::Array(Vec::new())),
        (Step::All, Value::Array(items)) => items.into_iter().map(|item| changed(item, rest, action)).collect(),
        (Step::Index(index), Value::Array(items)) => {
            let one = |(place, item)| if place == *index { changed(item, rest, action) } else { Ok(item) };
            items.into_iter().enumerate().map(one).collect()
        }
        _ => Err(Impossible),
    }
}

fn leaf(value: Value, action: &Action) -> Result<Value, Impossible> {
    match (action, value) {
        (Action::Set(constant), _) => Ok(value_of(constant)),
        (_, Value::Null) => Ok(Value::Null),
        (Action::Mask { keep, end }, Value::String(text)) => {
            let mut characters: Vec<char> = text.chars().collect();
            let keep = if characters.len() > usize::from(*keep) { usize::from(*keep) } else { 0 };
            let hidden = characters.len() - keep;
            let range = if *end == End::End { 0..hidden } else { keep..characters.len() };
            characters[range].fill('*');
            Ok(Value::String(characters.into_iter().collect()))
        }
        (Action::Truncate { characters }, Value::String(mut text)) => {
            while text.chars().count() > usize::try_from(*characters).unwrap() {
                text.pop();
            }
            Ok(Value::String(text))
        }
        (Action::Round { scale, mode }, Value::String(text)) if is_decimal(&text) => {
            Ok(Value::String(rounded(&text, usize::from(*scale), *mode)))
        }
        (Action::Round { scale, mode }, Value::Number(number)) => {
            let text = rounded(&number.to_string(), usize::from(*scale), *mode);
            let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
            Ok(serde_json::from_str(if text == "-0" { "0" } else { text }).unwrap())
        }
        _ => Err(Impossible),
    }
}

fn value_of(constant: &Constant) -> Value {
    match constant {
        Constant::Text(text) => text.as_str().into(),
        Constant::Integer(integer) => (*integer).into(),
        Constant::Boolean(value) => (*value).into(),
    }
}

fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |text: &str| !text.is_empty() && text.chars().all(|digit| digit.is_ascii_digit());
    digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

/// Schoolbook rounding.
fn rounded(text: &str, scale: usize, mode: Rounding) -> String {
    let (sign, unsigned) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let Some((whole, fraction)) = unsigned.split_once('.').filter(|(_, fraction)| fraction.len() > scale) else {
        return text.to_owned();
    };
    let (kept, rest) = fraction.split_at(scale);
    let mut digits: Vec<u8> = whole.bytes().chain(kept.bytes()).map(|digit| digit - b'0').collect();
    let half = format!("5{}", "0".repeat(rest.len() - 1));
    let even = digits.last().unwrap().is_multiple_of(2);
    let up = mode == Rounding::HalfEven && (rest > half.as_str() || (rest == half && !even));
    if up {
        let mut place = digits.len();
        loop {
            if place == 0 {
                digits.insert(0, 1);
                break;
            }
            place -= 1;
            digits[place] += 1;
            if digits[place] < 10 {
                break;
            }
            digits[place] = 0;
        }
    }
    let point = digits.len() - scale;
    let text: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
    let sign = if digits.iter().all(|digit| *digit == 0) { "" } else { sign };
    if scale == 0 { format!("{sign}{text}") } else { format!("{sign}{}.{}", &text[..point], &text[point..]) }
}
