//! A slot: one field in one normal form, read once for a call whatever the number of checks about it.
//!
//! Slots are the only way from a call to the table's keys, so a parser that knows them could fill them while it reads.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::decision::Truth;
use crate::json::Value;
use crate::path::Path;
use crate::policy::Normalize;
use crate::rules::exact::Exact;
use crate::rules::host::Host;
use crate::rules::resolve::{Found, Names, Resolved, Scope, Subject};

/// Number of a slot.
pub(super) type SlotId = usize;

/// A field, its alias replaced, that names one value.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) path: Path,
    pub(super) normalize: Normalize,
}

impl Slot {
    /// What the call has there.
    pub(super) fn read<'a>(&'a self, scope: &'a Scope<'a>) -> SlotValue<'a> {
        let mut found = Found::Missing;
        scope.each(Resolved::of(&self.path, Names::NONE), &mut |value, _| {
            found = value;
            Truth::True
        });
        let Some(subject) = found.there() else { return SlotValue::default() };
        let text = subject.text();
        SlotValue {
            bytes: text.map_or(0, str::len),
            text: text.map(|text| self.normalize.apply(text)),
            number: match subject {
                Subject::Json(Value::Number(number)) => Exact::of_number(number),
                _ => None,
            },
            decimal: OnceCell::new(),
            host: OnceCell::new(),
        }
    }
}

/// A value as keys see it. Neither text nor number: nothing that a key could be compared with.
#[derive(Debug, Default)]
pub(super) struct SlotValue<'a> {
    /// The text in normal form.
    pub(super) text: Option<Cow<'a, str>>,
    /// Length of the text as given, in bytes.
    pub(super) bytes: usize,
    /// The JSON number, where it is in range.
    pub(super) number: Option<Exact>,
    decimal: OnceCell<Option<Exact>>,
    host: OnceCell<Option<Host>>,
}

impl SlotValue<'_> {
    /// The number, or the decimal that the text writes.
    pub(super) fn decimal(&self) -> Option<Exact> {
        *self.decimal.get_or_init(|| match &self.text {
            Some(text) => Exact::parse(text),
            None => self.number,
        })
    }

    /// The host that the text names, by itself or as a URL's.
    pub(super) fn host(&self) -> Option<&Host> {
        self.host.get_or_init(|| Host::of(self.text.as_deref()?)).as_ref()
    }
}

#[cfg(test)]
impl<'a> SlotValue<'a> {
    /// A text that is in normal form.
    pub(super) fn of_text(text: &'a str) -> Self {
        Self { text: Some(Cow::Borrowed(text)), bytes: text.len(), ..Self::default() }
    }
}
