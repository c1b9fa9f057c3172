//! What of the input a module reads, found in its text. Where it cannot be told, everything.

use std::collections::BTreeSet;

/// The part of the input that a module can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reads {
    /// All of it.
    All,
    /// These members.
    Members(BTreeSet<String>),
}

impl Reads {
    /// Whether that member is read.
    pub(super) fn has(&self, member: &str) -> bool {
        match self {
            Self::All => true,
            Self::Members(members) => members.contains(member),
        }
    }
}

/// What a module reads of `input`, and of `input.arguments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InputReads {
    pub(super) input: Reads,
    pub(super) arguments: Reads,
}

impl InputReads {
    /// What may be read beyond these members of the arguments, and beyond the facts where they are not there.
    pub(super) fn beyond(&self, argument: impl Fn(&str) -> bool, knows_facts: bool) -> Vec<String> {
        let mut beyond = Vec::new();
        if self.input.has("arguments") {
            match &self.arguments {
                Reads::All => beyond.push("all arguments".to_owned()),
                Reads::Members(names) => beyond.extend(names.iter().filter(|name| !argument(name)).cloned()),
            }
        }
        if self.input.has("facts") && !knows_facts {
            beyond.push("$fact".to_owned());
        }
        beyond
    }
}

/// Every place where the word `input` stands, also in texts and comments, names a member or means all of it. There is no
/// other way to the input: its name has no other spelling, and `with` is not available.
pub(super) fn reads(module: &str) -> InputReads {
    let (mut input, mut arguments) = (Some(BTreeSet::new()), Some(BTreeSet::new()));
    let mut rest = module;
    let mut before = None;
    while let Some(at) = rest.find("input") {
        let (head, tail) = rest.split_at(at);
        let previous = head.chars().next_back().or(before);
        let behind = tail.strip_prefix("input").unwrap_or_default();
        before = Some('t');
        rest = behind;
        if previous.is_some_and(is_of_name) || behind.starts_with(is_of_name) {
            continue;
        }
        let Some((member, behind)) = member(behind) else {
            return InputReads { input: Reads::All, arguments: Reads::All };
        };
        if member == "arguments" {
            arguments = match (arguments, self::member(behind)) {
                (Some(mut known), Some((argument, _))) => {
                    known.insert(argument.to_owned());
                    Some(known)
                }
                _ => None,
            };
        }
        if let Some(known) = &mut input {
            known.insert(member.to_owned());
        }
    }
    let reads = |members: Option<BTreeSet<String>>| members.map_or(Reads::All, Reads::Members);
    InputReads { input: reads(input), arguments: reads(arguments) }
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `.name` or `["name"]` at the start, and what stands behind it.
fn member(text: &str) -> Option<(&str, &str)> {
    let found = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if let Some(text) = text.strip_prefix('.') {
        let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        return found(name).then_some((name, rest));
    }
    let (name, rest) = text.strip_prefix("[\"")?.split_once('"')?;
    found(name).then_some((name, rest.strip_prefix(']')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(names: &[&str]) -> Reads {
        Reads::Members(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn members_are_found_however_they_are_written() {
        let found = reads("a if input.time\nb := input[\"arguments\"].amount > input.arguments[\"limit\"]");
        assert_eq!(
            found,
            InputReads { input: members(&["time", "arguments"]), arguments: members(&["amount", "limit"]) }
        );
        assert!(found.input.has("time") && !found.input.has("agent") && !found.arguments.has("other"));
    }

    #[test]
    fn what_cannot_be_told_is_everything() {
        for module in [
            "x := input",
            "import input as i",
            "x := input[name]",
            "x := input [\"a\"]",
            "x := input .a",
            "x := input[\"a\\u0062\"]",
            "input",
        ] {
            assert_eq!(reads(module).input, Reads::All, "{module}");
        }
        for module in ["x := input.arguments", "x := input.arguments[name]", "import input.arguments as a"] {
            let found = reads(module);
            assert_eq!((found.input, found.arguments), (members(&["arguments"]), Reads::All), "{module}");
        }
    }

    #[test]
    fn what_is_read_beyond_what_is_known_is_named() {
        let beyond = |module: &str, knows_facts| reads(module).beyond(|name| name == "amount", knows_facts);
        assert!(beyond("x := input.arguments.amount\ny := input.time\nz := input.facts.f", true).is_empty());
        assert_eq!(beyond("x := input.arguments.note\nz := input.facts.f", false), ["note", "$fact"]);
        assert_eq!(beyond("x := input", false), ["all arguments", "$fact"]);
    }

    #[test]
    fn other_names_are_not_the_input() {
        let found = reads("x := myinput.a\ny := inputs.b\nz := _input.c\nw := inputinput.d");
        assert_eq!(found, InputReads { input: members(&[]), arguments: members(&[]) });
    }
}
