//! Dimensions of operations, and the bounds that delegations set on them, to core values.

use std::collections::BTreeMap;

use aegis_decision::delegation::{Bound, DataBound};
use aegis_decision::path::{MAX_STEPS, Path, Root};
use aegis_decision::tool::Dimension;

use super::{Invalid, text};
use crate::api;

/// The dimensions of an operation. A path that begins with an alias stands for the alias's path.
pub(super) fn dimensions(
    dimensions: &api::dimensions::Dimensions,
    aliases: &BTreeMap<String, Path>,
    field: &str,
) -> Result<BTreeMap<Dimension, Path>, Invalid> {
    let api::dimensions::Dimensions {
        amount,
        currency,
        counterparty,
        account,
        supplier,
        region,
        category,
        reference,
        document,
    } = dimensions;
    let written = [
        (Dimension::Amount, amount),
        (Dimension::Currency, currency),
        (Dimension::Counterparty, counterparty),
        (Dimension::Account, account),
        (Dimension::Supplier, supplier),
        (Dimension::Region, region),
        (Dimension::Category, category),
        (Dimension::Reference, reference),
        (Dimension::Document, document),
    ];
    let given = written.into_iter().filter_map(|(dimension, path)| Some((dimension, path.as_ref()?)));
    given
        .map(|(dimension, written)| {
            let field = format!("{field}.{}", dimension.as_str());
            let path = whole(text::path(written, &field)?, aliases);
            let leads = match &path.root {
                Root::Arguments => true,
                Root::Input(input) => input == "fact",
            };
            if !leads {
                return Err(Invalid::new(field, "is no path of an argument or a fact"));
            }
            if path.steps.len() > MAX_STEPS {
                return Err(Invalid::new(field, format!("has more than {MAX_STEPS} steps with its alias")));
            }
            Ok((dimension, path))
        })
        .collect()
}

fn whole(path: Path, aliases: &BTreeMap<String, Path>) -> Path {
    let alias = path.first_key().filter(|_| path.root == Root::Arguments).and_then(|key| aliases.get(key));
    let Some(alias) = alias.cloned() else { return path };
    Path { root: alias.root, steps: alias.steps.into_iter().chain(path.steps.into_iter().skip(1)).collect() }
}

/// The data bounds of a delegation.
pub(super) fn bounds(bounds: &[api::delegation::DataBound]) -> Result<Vec<DataBound>, Invalid> {
    bounds.iter().enumerate().map(|(at, bound)| lower_bound(bound, &format!("spec.data[{at}]"))).collect()
}

fn lower_bound(bound: &api::delegation::DataBound, field: &str) -> Result<DataBound, Invalid> {
    let api::delegation::DataBound { dimension, one_of, at_most, currency } = bound;
    let bound = match (one_of, at_most, currency) {
        (Some(values), None, None) if !values.is_empty() => {
            let value = |(at, text): (usize, &String)| text::bounded(text, 256, &format!("{field}.in[{at}]"));
            Bound::In(values.iter().enumerate().map(value).collect::<Result<_, _>>()?)
        }
        (None, Some(value), currency) => Bound::AtMost {
            value: text::decimal(value, &format!("{field}.atMost"))?,
            currency: currency.as_ref().map(|code| lower_currency(code, &format!("{field}.currency"))).transpose()?,
        },
        (Some(_), None, Some(_)) => {
            return Err(Invalid::new(format!("{field}.currency"), "is given without atMost"));
        }
        _ => return Err(Invalid::new(field, "has not exactly one of in, with at least one value, and atMost")),
    };
    Ok(DataBound { dimension: lower_dimension(*dimension), bound })
}

fn lower_currency(code: &str, field: &str) -> Result<String, Invalid> {
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Ok(code.to_owned())
    } else {
        Err(Invalid::new(field, "is no ISO 4217 code, such as EUR"))
    }
}

fn lower_dimension(dimension: api::dimensions::Dimension) -> Dimension {
    match dimension {
        api::dimensions::Dimension::Amount => Dimension::Amount,
        api::dimensions::Dimension::Currency => Dimension::Currency,
        api::dimensions::Dimension::Counterparty => Dimension::Counterparty,
        api::dimensions::Dimension::Account => Dimension::Account,
        api::dimensions::Dimension::Supplier => Dimension::Supplier,
        api::dimensions::Dimension::Region => Dimension::Region,
        api::dimensions::Dimension::Category => Dimension::Category,
        api::dimensions::Dimension::Reference => Dimension::Reference,
        api::dimensions::Dimension::Document => Dimension::Document,
    }
}
