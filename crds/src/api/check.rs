//! One check of a rule: a field, exactly one predicate, and optionally its negation.
//!
//! In core values a check holds one predicate as an enum. Here each predicate is a field of its own, since structural
//! schemas have no unions; a rule demands that exactly one is given. For the same reason a bound's currency stands
//! beside it: `{field: amount, atMost: "5000.00", currency: EUR, currencyField: currency}`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Scalar;
use super::predicate::{Document, HostIn, Within};
use crate::schema::{self, DNS_NAME, NAME};

/// One question about the call.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.equals), has(self.__in__), has(self.isTrue), has(self.matches), has(self.prefix), has(self.suffix), has(self.contains), has(self.atMost), has(self.atLeast), has(self.lessThan), has(self.greaterThan), has(self.length), has(self.exists), has(self.absent), has(self.format), has(self.equalsField), has(self.sumEquals), has(self.sumAtMost), has(self.inRegistry), has(self.registryField), has(self.document), has(self.hostIn), has(self.within)].exists_one(given, given)")
        .message("a check has exactly one predicate")
        .reason(Reason::FieldValueInvalid),
    validation = Rule::new("has(self.currency) == has(self.currencyField) && (!has(self.currency) || has(self.atMost) || has(self.atLeast) || has(self.lessThan) || has(self.greaterThan))")
        .message("currency and currencyField are given together, beside atMost, atLeast, lessThan or greaterThan")
        .reason(Reason::FieldValueInvalid)
        .field_path(".currency")
)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What is looked at: a path into the arguments such as amount or lines[*].price ([*] all elements, [?] at least
    /// one), or another input such as $agent.tenant, $delegation.workflow, $call.time or $fact.order.total.
    #[schemars(length(min = 1, max = 256))]
    pub field: String,
    /// Negates the check. What cannot be answered stays unanswered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<bool>,
    /// How texts are changed before they are compared: None, Trim (no space at the ends), Case (trimmed, lower case)
    /// or Spaces (no space at all, upper case).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<Normalize>,
    /// Equal to a text or a decimal. A number and a decimal text compare as decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::scalar")]
    pub equals: Option<Scalar>,
    /// Equal to one of these.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::scalars")]
    pub one_of: Option<Vec<Scalar>>,
    /// A boolean with this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_true: Option<bool>,
    /// Matches a linear regular expression as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub matches: Option<String>,
    /// A text that begins with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub prefix: Option<String>,
    /// A text that ends with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub suffix: Option<String>,
    /// A text that contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub contains: Option<String>,
    /// A number at most this decimal, such as "5000.00".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::decimal")]
    pub at_most: Option<Scalar>,
    /// A number at least this decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::decimal")]
    pub at_least: Option<Scalar>,
    /// A number less than this decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::decimal")]
    pub less_than: Option<Scalar>,
    /// A number greater than this decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::decimal")]
    pub greater_than: Option<Scalar>,
    /// ISO 4217 code of the bound in atMost, atLeast, lessThan or greaterThan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 3), regex(pattern = "^[A-Z]{3}$"))]
    pub currency: Option<String>,
    /// Path where the call names its currency. Another currency there cannot be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub currency_field: Option<String>,
    /// Number of characters of a text or of elements of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<Length>,
    /// The field is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::only_true")]
    pub exists: Option<bool>,
    /// The field is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::only_true")]
    pub absent: Option<bool>,
    /// A text of this format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Equal to what another path names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub equals_field: Option<String>,
    /// The exact sum of a list equals the field, another field or a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum_equals: Option<Sum>,
    /// The exact sum of a list is at most the field, another field or a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum_at_most: Option<Sum>,
    /// The value is the id of an entry of this Registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub in_registry: Option<String>,
    /// The value equals an attribute of the Registry entry that another field names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_field: Option<RegistryField>,
    /// The Registry entry has a document that is valid at the time of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// A URL or host whose host is one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_in: Option<HostIn>,
    /// A time, such as $call.time, in a window of the week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Within>,
}

/// How texts are changed before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Normalize {
    /// As they are.
    #[default]
    None,
    /// Without white space at both ends.
    Trim,
    /// Trimmed and in lower case.
    Case,
    /// Without any white space, in upper case.
    Spaces,
}

/// Bounds of a length.
#[derive(KubeSchema, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("(has(self.min) || has(self.max)) && (!has(self.min) || !has(self.max) || self.min <= self.max)")
    .message("length has min or max, and min is not above max")
    .reason(Reason::FieldValueInvalid))]
#[serde(rename_all = "camelCase")]
pub struct Length {
    /// At least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub min: Option<u32>,
    /// At most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max: Option<u32>,
}

/// A known format of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// Bank account number, ISO 13616, with a right checksum.
    Iban,
    /// Bank identifier, ISO 9362.
    Bic,
    /// Mail address.
    Email,
    /// Host name of at least two labels that is no public suffix.
    Domain,
    /// Absolute http or https URL without user information.
    Url,
    /// UUID with hyphens.
    Uuid,
    /// Date as 2026-01-31.
    Date,
    /// Time as 2026-01-31T12:00:00Z, with Z or an offset.
    DateTime,
    /// Currency code, ISO 4217.
    Currency,
    /// VAT number with the structure of its country.
    VatId,
    /// Digits with a right Luhn check digit.
    Luhn,
}

/// A sum over a list, and what it is compared with: field, value, or else the check's own field.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.field) || !has(self.value)")
    .message("a sum is compared with field or with value, not with both")
    .reason(Reason::FieldValueInvalid))]
#[serde(rename_all = "camelCase")]
pub struct Sum {
    /// Path of the numbers, with one [*].
    #[schemars(length(min = 1, max = 256))]
    pub of: String,
    /// Path of what each number is multiplied with, with one [*] over a list of the same length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub times: Option<String>,
    /// Path of what the sum is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub field: Option<String>,
    /// Decimal that the sum is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::decimal")]
    pub value: Option<Scalar>,
}

/// An attribute of the registry entry that another field names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryField {
    /// Name of the Registry.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub registry: String,
    /// Path of the entry's id.
    #[schemars(length(min = 1, max = 256))]
    pub key: String,
    /// Name of the attribute, one of whose texts must be equal.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub attribute: String,
}
