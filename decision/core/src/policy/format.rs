//! Formats of strings that a check can ask for.

use serde::{Deserialize, Serialize};

/// A known format of strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// ISO 13616 with right length and checksum.
    Iban,
    /// ISO 9362: 8 or 11 characters, with a country that exists.
    Bic,
    /// `local@domain`, ASCII, at most 254 bytes.
    Email,
    /// Host name of at least two labels, IDNA ASCII form, that is no public suffix.
    Domain,
    /// Absolute `http` or `https` URL that every parser reads alike, without user information.
    Url,
    /// RFC 9562, any version, hyphenated.
    Uuid,
    /// RFC 3339 full-date.
    Date,
    /// RFC 3339 date-time.
    DateTime,
    /// ISO 4217 code.
    Currency,
    /// VAT number of a known country: its structure, not its checksum.
    VatId,
    /// Digits whose last one is the check digit of ISO/IEC 7812-1.
    Luhn,
}
