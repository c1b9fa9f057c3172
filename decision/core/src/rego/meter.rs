//! What a module's work costs: counted where it stops, in units that depend on nothing but module and input.
//!
//! An instruction costs a unit, and so does every value in what it compares, copies, builds or hands to a function, with
//! one more for each 16 bytes of text. A value that is used twice is paid for twice: its parts are shared in memory, but
//! whoever compares, walks or frees it goes through all of it. So no value can be built that costs more to use than is
//! left, and no instruction does more than a small multiple of what was paid for its operands.

use regorus::Value;

use super::error::Failure;
use super::stops::{Stop, Weighed};

/// Units that one call may cost in one module. A typical one needs some hundred.
pub const FUEL: u32 = 200_000;
/// Most levels of a value. The parser allows 32 for what comes in.
pub const MAX_DEPTH: u32 = 64;

const TEXT_UNIT: usize = 16;

/// What is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fuel(pub(super) u32);

impl Fuel {
    fn take(&mut self, units: u32) -> Result<(), Failure> {
        self.0 = self.0.checked_sub(units).ok_or(Failure::Budget)?;
        Ok(())
    }

    /// Pays for a value as it would be written out.
    pub(super) fn pay(&mut self, value: &Value, depth: u32) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure::Depth);
        }
        self.take(1)?;
        let below = depth.saturating_add(1);
        match value {
            Value::Null | Value::Bool(_) | Value::Undefined => Ok(()),
            // Larger numbers grow with every multiplication, and one of them may cost any time.
            Value::Number(number) => {
                let fits = number.as_i64().is_some() || number.as_u64().is_some();
                let fraction = || number.as_big().is_none() && number.as_f64().is_some();
                if fits || fraction() { Ok(()) } else { Err(Failure::Number) }
            }
            Value::String(text) => self.take(u32::try_from(text.len() / TEXT_UNIT).unwrap_or(u32::MAX)),
            Value::Array(items) => items.iter().try_for_each(|item| self.pay(item, below)),
            Value::Set(items) => items.iter().try_for_each(|item| self.pay(item, below)),
            Value::Object(object) => object.iter().try_for_each(|(key, member)| {
                self.pay(key, below)?;
                self.pay(member, below)
            }),
        }
    }

    /// Pays for a stop, with the registers as they are there.
    pub(super) fn pay_at(&mut self, stop: &Stop, registers: &[Value]) -> Result<(), Failure> {
        self.take(stop.units)?;
        let at = |register: u8| registers.get(usize::from(register));
        stop.weighed.iter().try_for_each(|weighed| match *weighed {
            Weighed::Value(register) => at(register).map_or(Ok(()), |value| self.pay(value, 0)),
            Weighed::List(register) => match at(register) {
                Some(list @ (Value::Array(_) | Value::Object(_))) => self.pay(list, 0),
                _ => Ok(()),
            },
            Weighed::Step { collection, key, value } => match (at(collection), at(key), at(value)) {
                (Some(Value::Set(_)), _, Some(compared)) | (Some(Value::Object(_)), Some(compared), _) => {
                    self.pay(compared, 0)
                }
                _ => Ok(()),
            },
            Weighed::Member { object, key, value } => match (at(object), at(key), at(value)) {
                // Two values of one key: what the module says is not clear.
                (Some(Value::Object(object)), Some(key), Some(value))
                    if object.get(key).is_some_and(|known| known != value) =>
                {
                    Err(Failure::Failed { line: None })
                }
                _ => Ok(()),
            },
        })
    }
}
