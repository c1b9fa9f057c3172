//! What a `Sanitize` rule does to an argument, and what a tool's answers lose.

use serde::{Deserialize, Serialize};

use crate::path::Path;

/// Most transforms of one rule.
pub const MAX_TRANSFORMS: usize = 16;
/// Most characters that `mask` may keep.
pub const MAX_KEPT: u8 = 8;
/// Most characters that `truncate` may leave.
pub const MAX_CHARACTERS: u32 = 1_000_000;
/// Most fraction digits that `round` may leave.
pub const MAX_SCALE: u8 = 12;
/// Longest text of `set`, in bytes.
pub const MAX_SET_BYTES: usize = 256;
/// Largest integer of `set`, and with a minus sign the smallest: 2^53.
pub const MAX_SET_INTEGER: i64 = 1 << 53;

/// One change at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transform {
    /// Where: a path into the arguments, `[*]` for each element of a list.
    pub field: Path,
    /// What.
    pub action: Action,
}

/// What becomes of a value. Every action done twice is done once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It is taken away; with `[*]` last, every element is.
    Remove,
    /// Each character of the text but the kept ones becomes `*`. A text that has no more than the kept ones is masked
    /// whole.
    Mask {
        /// Characters that stay, 0 to [`MAX_KEPT`].
        keep: u8,
        /// At which end they stand.
        end: End,
    },
    /// It becomes this value. A member that is not there is added where the object is that would hold it.
    Set(Constant),
    /// The text loses what is behind its first characters (Unicode scalar values).
    Truncate {
        /// How many stay, at most [`MAX_CHARACTERS`].
        characters: u32,
    },
    /// The number, or the decimal in a text, gets at most so many fraction digits.
    Round {
        /// Fraction digits, at most [`MAX_SCALE`].
        scale: u8,
        /// Which way.
        mode: Rounding,
    },
}

impl Action {
    /// The action's name as in the API.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Mask { .. } => "mask",
            Self::Set(_) => "set",
            Self::Truncate { .. } => "truncate",
            Self::Round { .. } => "round",
        }
    }

    /// Whether it can only take away. What only takes away is also done where it cannot be told whether the rule holds.
    pub fn only_takes_away(&self) -> bool {
        match self {
            Self::Remove | Self::Mask { .. } | Self::Truncate { .. } => true,
            Self::Set(_) | Self::Round { .. } => false,
        }
    }
}

/// One end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum End {
    /// The first characters.
    Start,
    /// The last characters.
    #[default]
    End,
}

/// Which way a number is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Rounding {
    /// To the nearer one; from the middle to the even digit.
    #[default]
    HalfEven,
    /// Towards zero.
    Down,
}

/// The value of `set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Constant {
    /// A text of at most [`MAX_SET_BYTES`].
    Text(String),
    /// An integer within ±2^53.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
}
