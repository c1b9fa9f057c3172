//! The functions that a module may call, each with the reason why one call is bounded.
//!
//! One call is one instruction, so what it costs beyond its arguments is not stopped by any budget. Hence the rule for
//! this list: time and result grow at most as the arguments do (times a logarithm), whatever the arguments are. What
//! does not stand here is refused when the policy is read. Tests call every function of the list with large arguments of
//! every type, and with the largest that a module can hold.

/// One function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builtin {
    /// Name as modules write it.
    pub name: &'static str,
    /// Number of arguments.
    pub arguments: usize,
    /// What it gives.
    pub gives: &'static str,
    /// Why one call is bounded.
    pub bounded: &'static str,
}

const fn builtin(name: &'static str, arguments: usize, gives: &'static str, bounded: &'static str) -> Builtin {
    Builtin { name, arguments, gives, bounded }
}

const ONE: &str = "one number of 64 bits";
const TAG: &str = "looks at the type only";
const SCAN: &str = "one pass over the text";
const PART: &str = "a part of the text";
const PASS: &str = "one pass over the elements";
const KEYS: &str = "one lookup for each key";
const MERGE: &str = "one pass over both";

/// The list, ordered by name. Sets have operators: `&` and `|` are the two `__builtin_sets`, `-` is an instruction.
pub const ALLOWED: &[Builtin] = &[
    builtin("__builtin_sets.intersection", 2, "the intersection of two sets, written with the operator", MERGE),
    builtin("__builtin_sets.union", 2, "the union of two sets, written with the operator", MERGE),
    builtin("abs", 1, "the number without sign", ONE),
    builtin("array.concat", 2, "the elements of both lists", MERGE),
    builtin("array.reverse", 1, "the list backwards", PASS),
    builtin("array.slice", 3, "a part of the list", "a part of the list"),
    builtin("ceil", 1, "the next integer above", ONE),
    builtin("contains", 2, "whether the text contains the other", "two-way search: both lengths added"),
    builtin("count", 1, "the number of elements or characters", SCAN),
    builtin("endswith", 2, "whether the text ends with the other", SCAN),
    builtin("floor", 1, "the next integer below", ONE),
    builtin("is_array", 1, "whether it is a list", TAG),
    builtin("is_boolean", 1, "whether it is true or false", TAG),
    builtin("is_null", 1, "whether it is null", TAG),
    builtin("is_number", 1, "whether it is a number", TAG),
    builtin("is_object", 1, "whether it is an object", TAG),
    builtin("is_set", 1, "whether it is a set", TAG),
    builtin("is_string", 1, "whether it is a text", TAG),
    builtin("lower", 1, "the text in lower case", "at most three times the text"),
    builtin("max", 1, "the largest element", PASS),
    builtin("min", 1, "the smallest element", PASS),
    builtin("object.get", 3, "the member, or the third argument", KEYS),
    builtin("object.keys", 1, "the set of keys", PASS),
    builtin("object.remove", 2, "the object without these keys", KEYS),
    builtin("object.union", 2, "both objects, the second one wins", MERGE),
    builtin("round", 1, "the nearest integer", ONE),
    builtin("sort", 1, "the elements in order", "n log n comparisons of what was paid for"),
    builtin("split", 2, "the parts of the text between the other", "parts of the text, one more than bytes at most"),
    builtin("startswith", 2, "whether the text starts with the other", SCAN),
    builtin("strings.reverse", 1, "the text backwards", SCAN),
    builtin("substring", 3, "so many characters from there", PART),
    builtin("sum", 1, "the sum of the numbers", "numbers of 64 bits each"),
    builtin("trim_prefix", 2, "the text without that beginning", PART),
    builtin("trim_space", 1, "the text without white space at the ends", PART),
    builtin("trim_suffix", 2, "the text without that end", PART),
    builtin("type_name", 1, "the name of the type", TAG),
    builtin("upper", 1, "the text in upper case", "at most three times the text"),
];

/// Whether a module may call it.
pub fn is_allowed(name: &str) -> bool {
    ALLOWED.binary_search_by(|builtin| builtin.name.cmp(name)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_ordered_so_that_names_are_found() {
        assert!(ALLOWED.is_sorted_by(|a, b| a.name < b.name));
        assert!(ALLOWED.iter().all(|builtin| is_allowed(builtin.name) && !builtin.bounded.is_empty()));
        for name in ["numbers.range", "rand.intn", "sprintf", "concat", "http.send", "time.now_ns", "print", ""] {
            assert!(!is_allowed(name), "{name}");
        }
    }
}
