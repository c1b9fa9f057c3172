//! One check of a rule to core values: twenty-three optional fields become one predicate.

use aegis_decision::policy::{Amount, Check, Currency, Format, Normalize, Predicate, Scalar, Sum, SumBound};

use super::{Invalid, predicate, text};
use crate::api;
use crate::api::check::RegistryField;

/// The check.
pub(super) fn check(check: &api::check::Check, field: &str) -> Result<Check, Invalid> {
    let mut predicates = predicates(check, field)?;
    let (Some(predicate), None) = (predicates.pop(), predicates.pop()) else {
        return Err(Invalid::new(field, "has not exactly one predicate"));
    };
    let bounded = matches!(
        predicate,
        Predicate::AtMost(_) | Predicate::AtLeast(_) | Predicate::LessThan(_) | Predicate::GreaterThan(_)
    );
    if check.currency.is_some() != check.currency_field.is_some() || (check.currency.is_some() && !bounded) {
        let reason = "does not stand with currencyField beside atMost, atLeast, lessThan or greaterThan";
        return Err(Invalid::new(format!("{field}.currency"), reason));
    }
    Ok(Check {
        field: text::path(&check.field, &format!("{field}.field"))?,
        not: check.not.unwrap_or_default(),
        normalize: match check.normalize.unwrap_or_default() {
            api::check::Normalize::None => Normalize::None,
            api::check::Normalize::Trim => Normalize::Trim,
            api::check::Normalize::Case => Normalize::Case,
            api::check::Normalize::Spaces => Normalize::Spaces,
        },
        predicate,
    })
}

/// Every predicate that is given. Destructured without `..`: a new field that is not lowered does not compile.
fn predicates(check: &api::check::Check, at: &str) -> Result<Vec<Predicate>, Invalid> {
    let api::check::Check {
        field: _,
        not: _,
        normalize: _,
        equals,
        one_of,
        is_true,
        matches,
        prefix,
        suffix,
        contains,
        at_most,
        at_least,
        less_than,
        greater_than,
        currency: _,
        currency_field: _,
        length,
        exists,
        absent,
        format,
        equals_field,
        sum_equals,
        sum_at_most,
        in_registry,
        registry_field,
        document,
        host_in,
        within,
    } = check;
    let amount = |bound: &Option<api::Scalar>, name: &str, predicate: fn(Amount) -> Predicate| {
        bound.as_ref().map(|bound| lower_amount(bound, check, at, name).map(predicate)).transpose()
    };
    let found = [
        equals.as_ref().map(|value| Predicate::Equals(lower_scalar(value))),
        one_of.as_ref().map(|values| Predicate::In(values.iter().map(lower_scalar).collect())),
        is_true.map(Predicate::IsTrue),
        matches.clone().map(Predicate::Matches),
        prefix.clone().map(Predicate::Prefix),
        suffix.clone().map(Predicate::Suffix),
        contains.clone().map(Predicate::Contains),
        amount(at_most, "atMost", Predicate::AtMost)?,
        amount(at_least, "atLeast", Predicate::AtLeast)?,
        amount(less_than, "lessThan", Predicate::LessThan)?,
        amount(greater_than, "greaterThan", Predicate::GreaterThan)?,
        length.map(|api::check::Length { min, max }| Predicate::Length { min, max }),
        only_true(*exists, &format!("{at}.exists"))?.map(|()| Predicate::Exists),
        only_true(*absent, &format!("{at}.absent"))?.map(|()| Predicate::Absent),
        format.map(|format| Predicate::Format(lower_format(format))),
        equals_field
            .as_deref()
            .map(|path| text::path(path, &format!("{at}.equalsField")).map(Predicate::EqualsField))
            .transpose()?,
        sum_equals
            .as_ref()
            .map(|sum| lower_sum(sum, &format!("{at}.sumEquals")).map(Predicate::SumEquals))
            .transpose()?,
        sum_at_most
            .as_ref()
            .map(|sum| lower_sum(sum, &format!("{at}.sumAtMost")).map(Predicate::SumAtMost))
            .transpose()?,
        in_registry.clone().map(Predicate::InRegistry),
        registry_field.as_ref().map(|one| lower_registry_field(one, &format!("{at}.registryField"))).transpose()?,
        document.as_ref().map(|one| predicate::document(one, &format!("{at}.document"))).transpose()?,
        host_in.as_ref().map(|one| predicate::host_in(one, &format!("{at}.hostIn"))).transpose()?,
        within.as_ref().map(|one| predicate::within(one, &format!("{at}.within"))).transpose()?,
    ];
    Ok(found.into_iter().flatten().collect())
}

fn only_true(given: Option<bool>, field: &str) -> Result<Option<()>, Invalid> {
    match given {
        Some(false) => Err(Invalid::new(field, "is false; write true, or the opposite predicate")),
        Some(true) => Ok(Some(())),
        None => Ok(None),
    }
}

fn lower_scalar(scalar: &api::Scalar) -> Scalar {
    match scalar {
        api::Scalar::Integer(number) => Scalar::Integer(*number),
        api::Scalar::Text(text) => Scalar::Text(text.clone()),
    }
}

fn lower_amount(bound: &api::Scalar, check: &api::check::Check, at: &str, name: &str) -> Result<Amount, Invalid> {
    let currency = match (&check.currency, &check.currency_field) {
        (Some(code), Some(path)) => {
            Some(Currency { code: code.clone(), field: text::path(path, &format!("{at}.currencyField"))? })
        }
        _ => None,
    };
    Ok(Amount { value: text::decimal(&bound.to_string(), &format!("{at}.{name}"))?, currency })
}

fn lower_format(format: api::check::Format) -> Format {
    match format {
        api::check::Format::Iban => Format::Iban,
        api::check::Format::Bic => Format::Bic,
        api::check::Format::Email => Format::Email,
        api::check::Format::Domain => Format::Domain,
        api::check::Format::Url => Format::Url,
        api::check::Format::Uuid => Format::Uuid,
        api::check::Format::Date => Format::Date,
        api::check::Format::DateTime => Format::DateTime,
        api::check::Format::Currency => Format::Currency,
        api::check::Format::VatId => Format::VatId,
        api::check::Format::Luhn => Format::Luhn,
    }
}

fn lower_sum(sum: &api::check::Sum, at: &str) -> Result<Sum, Invalid> {
    let api::check::Sum { of, times, field, value } = sum;
    let bound = match (field, value) {
        (None, None) => SumBound::OwnField,
        (Some(path), None) => SumBound::Field(text::path(path, &format!("{at}.field"))?),
        (None, Some(value)) => SumBound::Value(text::decimal(&value.to_string(), &format!("{at}.value"))?),
        (Some(_), Some(_)) => return Err(Invalid::new(at, "has both field and value")),
    };
    Ok(Sum {
        of: text::path(of, &format!("{at}.of"))?,
        times: times.as_deref().map(|path| text::path(path, &format!("{at}.times"))).transpose()?,
        bound,
    })
}

fn lower_registry_field(one: &RegistryField, at: &str) -> Result<Predicate, Invalid> {
    let RegistryField { registry, key, attribute } = one;
    Ok(Predicate::RegistryField {
        registry: registry.clone(),
        key: text::path(key, &format!("{at}.key"))?,
        attribute: text::name(attribute, &format!("{at}.attribute"))?,
    })
}
