//! The ids of the base data, by names that stay the same in every preparation.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// What `ids.json` of a prepared ERP holds.
#[derive(Clone, Debug, Deserialize)]
pub struct Ids {
    /// The only company (`company.company`).
    pub company: u64,
    /// The company's currency, EUR (`currency.currency`).
    pub currency: u64,
    /// The unit of measure of every product (`product.uom`).
    pub unit: u64,
    /// The warehouse that goods come to (`stock.location`).
    pub warehouse: u64,
    /// "30 days net" (`account.invoice.payment_term`).
    pub payment_term: u64,
    /// `nordwind`, `baltic`, `meridian`, `alpine`, `shady`.
    pub suppliers: BTreeMap<String, Supplier>,
    /// `chair`, `desk`, `paper`, `drill`, `cleaning`.
    pub products: BTreeMap<String, Product>,
    /// `agent-erp`, `clerk`, `auditor` (`res.user`).
    pub users: BTreeMap<String, u64>,
}

/// A supplier with one invoice address and one bank account.
#[derive(Clone, Debug, Deserialize)]
pub struct Supplier {
    /// The name in the ERP.
    pub name: String,
    /// `party.party`.
    pub party: u64,
    /// `party.address`.
    pub address: u64,
    /// `bank.account`.
    pub bank_account: u64,
    /// `bank.account.number`, where the IBAN is.
    pub bank_number: u64,
    /// The IBAN at the start, without spaces.
    pub iban: String,
}

/// A product that can be purchased.
#[derive(Clone, Debug, Deserialize)]
pub struct Product {
    /// The name in the ERP.
    pub name: String,
    /// `product.product`.
    pub product: u64,
    /// The supplier's price in EUR, a decimal string.
    pub price: String,
    /// The supplier who offers it, a name of [`Ids::suppliers`].
    pub supplier: String,
}

impl Ids {
    /// The supplier of this name; an error names the one that is missing.
    pub fn supplier(&self, name: &str) -> Result<&Supplier> {
        self.suppliers.get(name).with_context(|| format!("no supplier {name:?} in the base data"))
    }

    /// The product of this name; an error names the one that is missing.
    pub fn product(&self, name: &str) -> Result<&Product> {
        self.products.get(name).with_context(|| format!("no product {name:?} in the base data"))
    }
}
