//! A person who uses the ERP directly by REST, with a key of their own and no Aegis in between.

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::{Value, json};

use super::{
    http::{Answer, http_json},
    ids::{Ids, Product, Supplier},
};

/// The fields that every call on a purchase asks for.
const PURCHASE_FIELDS: &str = "f=number&f=reference&f=state&f=total_amount&f=party.name";

/// Somebody with a key. Not `Debug`: the key stays out of messages.
#[derive(Clone)]
pub struct Person {
    base_url: String,
    authorization: String,
    context: String,
    ids: Ids,
}

/// One line of an order to be drafted.
#[derive(Clone, Debug)]
pub struct OrderLine<'a> {
    /// What is ordered.
    pub product: &'a Product,
    /// How many units.
    pub quantity: u32,
    /// The price of one unit in EUR, a decimal string.
    pub unit_price: &'a str,
}

/// A purchase as the ERP answers it over REST.
#[derive(Clone, Debug, PartialEq)]
pub struct Purchase {
    /// The id in REST paths.
    pub id: u64,
    /// The number that `quote` gives.
    pub number: Option<String>,
    /// The buyer's own reference.
    pub reference: Option<String>,
    /// `draft`, `quotation`, `confirmed`, `cancelled`.
    pub state: String,
    /// The total in EUR, a decimal string.
    pub total: String,
    /// The supplier's id.
    pub party_id: u64,
    /// The supplier's name.
    pub party: String,
}

impl<'a> OrderLine<'a> {
    /// So many units at the supplier's own price.
    pub fn of(product: &'a Product, quantity: u32) -> Self {
        Self { product, quantity, unit_price: &product.price }
    }
}

impl Person {
    pub(super) fn new(base_url: &str, key: &str, context: String, ids: Ids) -> Self {
        Self { base_url: base_url.to_owned(), authorization: format!("bearer {key}"), context, ids }
    }

    /// Any call: `path` begins below the base URL, for example `/rest/model/party.party?f=name`. An answer of any status
    /// is an `Ok`; an error means that there was no answer.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let headers = [("authorization", self.authorization.as_str()), ("x-tryton-context", self.context.as_str())];
        http_json(method, &format!("{}{path}", self.base_url), &headers, body).await
    }

    /// Creates a draft. Fails with the ERP's message when the ERP refuses.
    pub async fn draft(&self, supplier: &Supplier, reference: &str, lines: &[OrderLine<'_>]) -> Result<Purchase> {
        let body = self.draft_body(supplier, reference, lines);
        self.purchase_call(Method::POST, "", Some(&body)).await
    }

    /// Turns a draft into a quotation, which gives it a number.
    pub async fn quote(&self, id: u64) -> Result<Purchase> {
        self.purchase_call(Method::POST, &format!("/{id}/quote"), None).await
    }

    /// Confirms a quotation: the order is placed.
    pub async fn confirm(&self, id: u64) -> Result<Purchase> {
        self.purchase_call(Method::POST, &format!("/{id}/confirm"), None).await
    }

    /// Reads a purchase.
    pub async fn purchase(&self, id: u64) -> Result<Purchase> {
        self.purchase_call(Method::GET, &format!("/{id}"), None).await
    }

    /// Changes the IBAN under the id of a bank account number and gives what is stored, without spaces.
    pub async fn change_iban(&self, bank_number: u64, iban: &str) -> Result<String> {
        let path = format!("/rest/model/bank.account.number/{bank_number}?f=number_compact");
        let answer = refused_is_error(self.call(Method::PUT, &path, Some(&json!({ "number": iban }))).await?)?;
        text(&answer, "/number_compact")
    }

    /// The body of a draft, as any caller of the ERP sends it, the agent too.
    pub fn draft_body(&self, supplier: &Supplier, reference: &str, lines: &[OrderLine<'_>]) -> Value {
        let lines: Vec<Value> = lines
            .iter()
            .map(|line| {
                json!({
                    "type": "line",
                    "product": line.product.product,
                    "unit": self.ids.unit,
                    "quantity": line.quantity,
                    "unit_price": { "__class__": "Decimal", "decimal": line.unit_price },
                })
            })
            .collect();
        json!({
            "party": supplier.party,
            "invoice_address": supplier.address,
            "currency": self.ids.currency,
            "payment_term": self.ids.payment_term,
            "reference": reference,
            "lines": [["create", lines]],
        })
    }

    async fn purchase_call(&self, method: Method, rest: &str, body: Option<&Value>) -> Result<Purchase> {
        let path = format!("/rest/model/purchase.purchase{rest}?{PURCHASE_FIELDS}");
        let answer = refused_is_error(self.call(method, &path, body).await?)?;
        Ok(Purchase {
            id: number(&answer, "/id")?,
            number: optional_text(&answer, "/number"),
            reference: optional_text(&answer, "/reference"),
            state: text(&answer, "/state")?,
            total: text(&answer, "/total_amount/decimal")?,
            party_id: number(&answer, "/party/id")?,
            party: text(&answer, "/party/name")?,
        })
    }
}

fn refused_is_error(answer: Answer) -> Result<Value> {
    ensure!(answer.status.is_success(), "the ERP answered {}: {}", answer.status, answer.body);
    Ok(answer.body)
}

fn number(answer: &Value, pointer: &str) -> Result<u64> {
    answer.pointer(pointer).and_then(Value::as_u64).with_context(|| format!("no number at {pointer} in {answer}"))
}

fn text(answer: &Value, pointer: &str) -> Result<String> {
    optional_text(answer, pointer).with_context(|| format!("no text at {pointer} in {answer}"))
}

fn optional_text(answer: &Value, pointer: &str) -> Option<String> {
    answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}
