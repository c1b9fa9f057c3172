//! What the ERP's own database holds, read from its tables by `tests/erp/books.py`, not through the ERP.

use std::{collections::BTreeMap, path::Path, process::Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::process::Command;

use super::fixture::{Fixture, script};

/// One moment's state of the ERP's database.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Books {
    /// Every purchase, by id.
    pub purchases: Vec<BookedPurchase>,
    /// How many purchases are in each state; a state without any is absent.
    pub purchases_by_state: BTreeMap<String, u64>,
    /// Every active number of a bank account.
    pub bank_numbers: Vec<BankNumber>,
}

/// A purchase as the tables have it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct BookedPurchase {
    /// The row's id, the one in REST paths.
    pub id: u64,
    /// The number that `quote` gives.
    pub number: Option<String>,
    /// The buyer's own reference.
    pub reference: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// `draft`, `quotation`, `confirmed`, `cancelled`.
    pub state: String,
    /// The supplier's id.
    pub party_id: u64,
    /// The supplier's name; none when no such party exists, which the ERP does not refuse on `SQLite`.
    pub party: Option<String>,
    /// The ISO 4217 code.
    pub currency: Option<String>,
    /// The lines, by id.
    pub lines: Vec<BookedLine>,
    /// The sum of the lines, a decimal string with two places.
    pub total: String,
}

/// One line of a purchase.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct BookedLine {
    /// The product's id.
    pub product: Option<u64>,
    /// The product's name.
    pub name: Option<String>,
    /// The quantity, a decimal string.
    pub quantity: String,
    /// The price of one unit, a decimal string.
    pub unit_price: String,
}

/// An active number of a bank account, once for each owner.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct BankNumber {
    /// The id of the number (`bank.account.number`).
    pub id: u64,
    /// The id of the account (`bank.account`).
    pub account: u64,
    /// The IBAN without spaces.
    pub iban: Option<String>,
    /// The owner's id.
    pub party_id: Option<u64>,
    /// The owner's name.
    pub party: Option<String>,
}

impl Books {
    /// The purchase with this id; an error when the database has none.
    pub fn purchase(&self, id: u64) -> Result<&BookedPurchase> {
        self.purchases.iter().find(|purchase| purchase.id == id).with_context(|| format!("no purchase {id} in the ERP"))
    }

    /// How many purchases are in this state.
    pub fn count(&self, state: &str) -> u64 {
        self.purchases_by_state.get(state).copied().unwrap_or_default()
    }

    /// The IBAN under the id of a bank account number.
    pub fn iban(&self, bank_number: u64) -> Option<&str> {
        self.bank_numbers.iter().find(|number| number.id == bank_number)?.iban.as_deref()
    }
}

/// Reads the database in `dir`, which a server may be using.
pub(super) async fn read(fixture: &Fixture, dir: &Path) -> Result<Books> {
    let output = Command::new(fixture.python())
        .arg(script("books.py"))
        .arg(dir)
        .stdin(Stdio::null())
        .output()
        .await
        .context("run tests/erp/books.py")?;
    if !output.status.success() {
        bail!("tests/erp/books.py failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("output of tests/erp/books.py")
}
