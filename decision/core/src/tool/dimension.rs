//! Dimensions: what calls of every tool are about, under one name each.

use serde::{Deserialize, Serialize};

/// A standard name for a place in the arguments of an operation: `$dim.amount` is the amount of an order of one tool and of
/// a payment of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

impl Dimension {
    /// Every dimension, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Amount,
        Self::Currency,
        Self::Counterparty,
        Self::Account,
        Self::Supplier,
        Self::Region,
        Self::Category,
        Self::Reference,
        Self::Document,
    ];

    /// The name used in the API and after `$dim.`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::Counterparty => "counterparty",
            Self::Account => "account",
            Self::Supplier => "supplier",
            Self::Region => "region",
            Self::Category => "category",
            Self::Reference => "reference",
            Self::Document => "document",
        }
    }

    /// The dimension of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.as_str() == name)
    }
}
