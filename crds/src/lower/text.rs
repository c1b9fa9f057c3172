//! Texts with rules: names, labels, paths, digests, decimals.

use std::collections::BTreeSet;
use std::str::FromStr;

use aegis_decision::digest::Digest;
use aegis_decision::path::Path;

use super::Invalid;

/// A text of 1 to `max` characters.
pub(super) fn bounded(text: &str, max: usize, field: &str) -> Result<String, Invalid> {
    match text.chars().count() {
        0 => Err(Invalid::new(field, "is empty")),
        length if length > max => Err(Invalid::new(field, format!("is longer than {max} characters"))),
        _ => Ok(text.to_owned()),
    }
}

/// A DNS label: lower-case letters, digits and inner hyphens, at most 63.
pub(super) fn label(text: &str, field: &str) -> Result<String, Invalid> {
    if is_label(text) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(field, "is no DNS label: lower-case letters, digits and inner hyphens, at most 63 characters"))
    }
}

/// Whether it is a DNS label of at most 63 characters.
pub(crate) fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The name of an argument, alias, fact or attribute: a letter or underscore, then letters, digits, `_` and `-`.
pub(super) fn name(text: &str, field: &str) -> Result<String, Invalid> {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let continues = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if begins && continues && text.len() <= 64 {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            field,
            "is no name: begin with a letter, then letters, digits, _ and -, at most 64 characters",
        ))
    }
}

/// The name of an operation: words separated by dots.
pub(super) fn operation(text: &str, field: &str) -> Result<String, Invalid> {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let words = text.split('.').all(|word| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    });
    if begins && words && text.len() <= 128 {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(field, "is no operation's name: words of letters, digits, _ and -, separated by dots"))
    }
}

/// Names of operations, or `*` alone.
pub(super) fn operations(texts: &[String], field: &str) -> Result<Vec<String>, Invalid> {
    if texts.is_empty() {
        return Err(Invalid::new(field, "is empty; name operations, or write * for all"));
    }
    if texts.len() > 1 && texts.iter().any(|text| text == "*") {
        return Err(Invalid::new(field, "has * beside names; * stands alone"));
    }
    texts
        .iter()
        .enumerate()
        .map(|(at, text)| if text == "*" { Ok(text.clone()) } else { operation(text, &format!("{field}[{at}]")) })
        .collect()
}

/// A path of a check, fact or record.
pub(super) fn path(text: &str, field: &str) -> Result<Path, Invalid> {
    Path::from_str(text).map_err(|error| Invalid::new(field, error.to_string()))
}

/// Paths of a list.
pub(super) fn paths(texts: &[String], field: &str) -> Result<Vec<Path>, Invalid> {
    texts.iter().enumerate().map(|(at, text)| path(text, &format!("{field}[{at}]"))).collect()
}

/// A digest.
pub(super) fn digest(text: &str, field: &str) -> Result<Digest, Invalid> {
    Digest::from_str(text).map_err(|error| Invalid::new(field, error.to_string()))
}

/// A decimal without exponent, as written.
pub(super) fn decimal(text: &str, field: &str) -> Result<String, Invalid> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let fits = match unsigned.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(unsigned),
    };
    if fits && text.len() <= 32 {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(field, "is no decimal; write digits with at most one point, such as \"5000.00\""))
    }
}

/// Refuses a text that is there twice.
pub(super) fn unique<'a>(texts: impl IntoIterator<Item = (&'a str, String)>) -> Result<(), Invalid> {
    let mut seen = BTreeSet::new();
    for (text, field) in texts {
        if !seen.insert(text) {
            return Err(Invalid::new(field, "is given twice"));
        }
    }
    Ok(())
}
