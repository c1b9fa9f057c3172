//! What every record begins with: its type, its identity, its place among the others, its time.

/// Declares the type of a record: the head that all records share, then what is its own. `tag::Variant = "type"` is what
/// its member `type` says, the name after it the constant that its member `v` holds.
///
/// A struct that is flattened into the others would do the same at run time, but then serde could not refuse members that
/// it does not know.
macro_rules! record {
    (
        $(#[$about:meta])*
        pub struct $name:ident($tag:ident::$variant:ident = $kind:literal, $version:ident) { $($own:tt)* }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            #[doc = concat!("`", $kind, "`.")]
            #[serde(rename = "type")]
            pub kind: $tag,
            #[doc = concat!("[`", stringify!($version), "`].")]
            pub v: String,
            /// Its id. Of a decision, and of a connection by `CONNECT`, the same as in the answer's `Aegis-Decision`.
            pub id: String,
            /// Place in the epoch, from 1, without gaps. Set when the record is written.
            #[serde(default)]
            pub sequence: u64,
            /// The sidecar's start. Set when the record is written.
            #[serde(default)]
            pub epoch: String,
            /// Wall clock.
            pub time: jiff::Timestamp,
            /// Monotonic clock: microseconds since the epoch began. (Nanoseconds would leave JSON's exact integers after
            /// 104 days.)
            pub monotonic_micros: u64,
            $($own)*
        }

        /// The type's name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
        pub enum $tag {
            #[doc = concat!("`", $kind, "`.")]
            #[default]
            #[serde(rename = $kind)]
            $variant,
        }
    };
}

pub(super) use record;
