//! What a `Sanitize` rule changes in the arguments, and what an operation's answers lose.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// One change to the arguments: a place and exactly one of remove, mask, set, truncate and round.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.remove), has(self.mask), has(self.set), has(self.truncate), has(self.round)].exists_one(given, given)")
    .message("a transform has exactly one of remove, mask, set, truncate and round")
    .reason(Reason::FieldValueInvalid))]
#[serde(rename_all = "camelCase")]
pub struct Transform {
    /// Path into the arguments, such as note or lines[*].comment ([*] all elements). What is not there, or is null, is
    /// left alone; a value of another kind refuses the call.
    #[schemars(length(min = 1, max = 256))]
    pub field: String,
    /// It is taken away. With [*] last, all elements are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::only_true")]
    pub remove: Option<bool>,
    /// Its characters become stars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// It becomes this value. A member that is not there is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Constant>,
    /// The text is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate: Option<Truncate>,
    /// The number, or the decimal in a text, is rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<Round>,
}

/// Which characters of a text stay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mask {
    /// Number of characters that stay. A text that has no more than these is masked whole.
    #[serde(default)]
    #[schemars(range(min = 0, max = 8))]
    pub keep: u8,
    /// At which end they stand.
    #[serde(default)]
    pub end: End,
}

/// One end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum End {
    /// The first characters.
    Start,
    /// The last characters.
    #[default]
    End,
}

/// A value: exactly one of text, integer and boolean.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.text), has(self.integer), has(self.boolean)].exists_one(given, given)")
    .message("set has exactly one of text, integer and boolean")
    .reason(Reason::FieldValueInvalid))]
#[serde(rename_all = "camelCase")]
pub struct Constant {
    /// A text of at most 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub text: Option<String>,
    /// An integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -schema::MAX_INTEGER, max = schema::MAX_INTEGER))]
    pub integer: Option<i64>,
    /// true or false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boolean: Option<bool>,
}

/// How much of a text stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Truncate {
    /// Number of characters (Unicode scalar values) that stay, from the start.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub characters: u32,
}

/// How exact a number stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Round {
    /// Most digits behind the point.
    #[schemars(range(min = 0, max = 12))]
    pub scale: u8,
    /// Which way.
    #[serde(default)]
    pub mode: Rounding,
}

/// Which way a number is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Rounding {
    /// To the nearer one; from the middle to the even digit.
    #[default]
    HalfEven,
    /// Towards zero.
    Down,
}

/// What becomes of an operation's answers before the agent sees them.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// What is taken out of them. Answers of such an operation must be JSON, or plain text where all redactions are
    /// patterns without a path; what cannot be redacted is withheld.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub redact: Vec<Redaction>,
}

/// One thing that is taken out of answers: exactly one of pattern, remove, mask and truncate.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.pattern), has(self.remove), has(self.mask), has(self.truncate)].exists_one(given, given)")
        .message("a redaction has exactly one of pattern, remove, mask and truncate")
        .reason(Reason::FieldValueInvalid),
    validation = Rule::new("has(self.path) || has(self.pattern)")
        .message("remove, mask and truncate need a path")
        .reason(Reason::FieldValueRequired)
        .field_path(".path")
)]
#[serde(rename_all = "camelCase")]
pub struct Redaction {
    /// Path into the answer, such as customers[*].iban. With a pattern: the values that are searched, with all that is
    /// in them; without it the whole answer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub path: Option<String>,
    /// Linear regular expression, not anchored, that matches at most 256 bytes: write {1,64} for + and {0,64} for *.
    /// Each character of a match becomes a star.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub pattern: Option<String>,
    /// What the path leads to is taken away. With [*] last, all elements are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::only_true")]
    pub remove: Option<bool>,
    /// Its characters become stars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// The text is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate: Option<Truncate>,
}
