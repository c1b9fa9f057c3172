//! What calls of every tool are about, under one name each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Paths of the arguments, or of facts, by what they mean.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dimensions {
    /// How much money. Rules see it as $dim.amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub amount: Option<String>,
    /// ISO 4217 code of the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub currency: Option<String>,
    /// With whom: customer, payee, recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub counterparty: Option<String>,
    /// Account, such as an IBAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub account: Option<String>,
    /// Supplier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub supplier: Option<String>,
    /// Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub region: Option<String>,
    /// Category of goods or of work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub category: Option<String>,
    /// What it refers to, such as an order's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub reference: Option<String>,
    /// Document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub document: Option<String>,
}

/// Name of a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Dimension {
    /// How much money.
    Amount,
    /// ISO 4217 code of the amount.
    Currency,
    /// With whom: customer, payee, recipient.
    Counterparty,
    /// Account, such as an IBAN.
    Account,
    /// Supplier.
    Supplier,
    /// Region.
    Region,
    /// Category of goods or of work.
    Category,
    /// What it refers to, such as an order's number.
    Reference,
    /// Document.
    Document,
}
