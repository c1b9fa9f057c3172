//! What an approver sees of a held call: every argument and fact as plain text, nothing hidden but what the tool
//! declares sensitive, nothing that can disguise itself.

use aegis_decision::decision::{Sanitized, UnknownValue};
use aegis_decision::disguise::printable;
use aegis_decision::json::Value;
use aegis_decision::path::{Path, Root, Step};
use aegis_decision::policy::transform::Action;
use aegis_decision::run::Place;

/// Most rows of a preview.
pub const MAX_ROWS: usize = 64;
/// Longest path in bytes.
pub const MAX_PATH: usize = 256;
/// Longest value in bytes.
pub const MAX_VALUE: usize = 512;
/// Largest preview in bytes, paths and values.
pub const MAX_TOTAL: usize = 8 * 1024;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where the value stands: `lines[0].quantity`, `$fact.order.total`.
    pub path: String,
    /// The value as text: strings as they are, everything else as JSON.
    pub value: String,
    /// What to be careful about.
    pub flags: Vec<Flag>,
}

/// What an approver should be careful about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// Control, invisible or direction-changing characters were written as escapes.
    Escaped,
    /// Letters of several scripts, or look-alikes of Latin letters.
    Confusable,
    /// Longer than is shown.
    Truncated,
    /// Hidden because the tool calls it sensitive.
    Hidden,
    /// A Sanitize rule changed it: the agent asked for something else.
    Sanitized,
}

impl Flag {
    /// The name used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Escaped => "Escaped",
            Self::Confusable => "Confusable",
            Self::Truncated => "Truncated",
            Self::Hidden => "Hidden",
            Self::Sanitized => "Sanitized",
        }
    }
}

/// What is said of places in the arguments.
struct Marks<'a> {
    /// Hidden.
    sensitive: &'a [Path],
    /// Changed before the call was judged.
    sanitized: Vec<Path>,
}

/// The preview of a call: first the protected arguments of unknown origin, then what was taken away, since it stands
/// nowhere else, then its arguments and facts. `sensitive` are paths into the arguments, `sanitized` is what was changed in
/// them.
pub fn preview<'a>(
    unknown: &[UnknownValue],
    arguments: &Value,
    facts: impl Iterator<Item = (&'a str, &'a Value)>,
    sensitive: &[Path],
    sanitized: &[Sanitized],
) -> Vec<Row> {
    let removed = sanitized.iter().filter(|one| one.action == Action::Remove.name());
    let removed = removed.map(|one| Row {
        path: clip(&printable(&one.field), MAX_PATH).0,
        value: "(removed)".to_owned(),
        flags: vec![Flag::Sanitized],
    });
    let mut rows: Vec<Row> = unknown.iter().map(origin).chain(removed).collect();
    let mut steps = Vec::new();
    let sanitized = sanitized.iter().filter_map(|one| one.field.parse().ok()).collect();
    walk(arguments, &Root::Arguments, &mut steps, &Marks { sensitive, sanitized }, &mut rows);
    let none = Marks { sensitive: &[], sanitized: Vec::new() };
    let fact_root = Root::Input("fact".to_owned());
    for (name, value) in facts {
        steps.push(Step::Key(name.to_owned()));
        walk(value, &fact_root, &mut steps, &none, &mut rows);
        steps.pop();
    }
    bounded(rows)
}

/// Where a value of unknown origin first appeared; never the value, which has a row of its own.
fn origin(unknown: &UnknownValue) -> Row {
    let seen = match &unknown.first_seen {
        Some(Place { tool, operation, path, .. }) => {
            let at = if path.is_empty() { String::new() } else { format!(" at {path}") };
            format!("unknown: it first appeared in the answer of {tool} to {operation}{at}")
        }
        None => "unknown: it appeared in no earlier answer of this run".to_owned(),
    };
    let path = clip(&printable(&format!("$origin.{}", unknown.field)), MAX_PATH).0;
    row(path, &Value::String(seen.into()))
}

fn walk(value: &Value, root: &Root, steps: &mut Vec<Step>, marks: &Marks<'_>, rows: &mut Vec<Row>) {
    if marks.sensitive.iter().any(|path| covers(path, root, steps)) {
        rows.push(Row { path: written(root, steps), value: "(hidden)".to_owned(), flags: vec![Flag::Hidden] });
        return;
    }
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (key, member) in object.iter() {
                steps.push(Step::Key(key.to_owned()));
                walk(member, root, steps, marks, rows);
                steps.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                steps.push(Step::Index(index));
                walk(item, root, steps, marks, rows);
                steps.pop();
            }
        }
        scalar => {
            let mut row = row(written(root, steps), scalar);
            if marks.sanitized.iter().any(|path| covers(path, root, steps)) {
                row.flags.push(Flag::Sanitized);
            }
            rows.push(row);
        }
    }
}

/// Whether a sensitive path names this place: `[*]` and `[?]` stand for any index.
fn covers(path: &Path, root: &Root, steps: &[Step]) -> bool {
    path.root == *root
        && path.steps.len() == steps.len()
        && path.steps.iter().zip(steps).all(|(wanted, found)| {
            wanted == found || (matches!(wanted, Step::All | Step::Any) && matches!(found, Step::Index(_)))
        })
}

fn written(root: &Root, steps: &[Step]) -> String {
    // A key of the agent's choice may hold anything; it is shown escaped, never interpreted.
    let path = Path { root: root.clone(), steps: steps.to_vec() };
    clip(&printable(&path.to_string()), MAX_PATH).0
}

fn row(path: String, scalar: &Value) -> Row {
    let text = match scalar {
        Value::String(text) => text.to_string(),
        other => String::from_utf8_lossy(&aegis_decision::json::emit(other)).into_owned(),
    };
    let mut flags = Vec::new();
    let escaped = printable(&text);
    if escaped != text {
        flags.push(Flag::Escaped);
    }
    if confusable(&text) {
        flags.push(Flag::Confusable);
    }
    let (value, cut) = clip(&escaped, MAX_VALUE);
    if cut {
        flags.push(Flag::Truncated);
    }
    Row { path, value, flags }
}

/// Latin letters beside Greek, Cyrillic, Armenian, Cherokee or full-width ones.
fn confusable(text: &str) -> bool {
    let latin = text.chars().any(|c| c.is_ascii_alphanumeric());
    let lookalike = text.chars().any(|c| {
        matches!(c, '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}' | '\u{530}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}'
            | '\u{ff00}'..='\u{ff5e}' | '\u{1d400}'..='\u{1d7ff}')
    });
    latin && lookalike
}

fn clip(text: &str, bytes: usize) -> (String, bool) {
    let end = text.floor_char_boundary(bytes);
    (text.get(..end).unwrap_or_default().to_owned(), end < text.len())
}

/// Keeps within the bounds, and says how much is not shown: an approver must know that something is missing.
fn bounded(rows: Vec<Row>) -> Vec<Row> {
    let total = rows.len();
    let mut kept = Vec::new();
    let mut bytes = 0_usize;
    for row in rows {
        bytes = bytes.saturating_add(row.path.len()).saturating_add(row.value.len());
        if kept.len().saturating_add(1) >= MAX_ROWS || bytes > MAX_TOTAL.saturating_sub(128) {
            let rest = total.saturating_sub(kept.len());
            kept.push(Row {
                path: "(more)".to_owned(),
                value: format!("{rest} more values do not fit here; look at the call itself before you approve"),
                flags: vec![Flag::Truncated],
            });
            return kept;
        }
        kept.push(row);
    }
    kept
}

#[cfg(test)]
mod tests {
    use aegis_decision::decision::RuleRef;
    use aegis_decision::disguise::disguises;
    use aegis_decision::json::Object;

    use super::*;

    fn json(text: &str) -> Value {
        aegis_decision::json::parse(text.as_bytes()).unwrap()
    }

    fn rows(arguments: &str, sensitive: &[&str]) -> Vec<Row> {
        let sensitive: Vec<Path> = sensitive.iter().map(|path| path.parse().unwrap()).collect();
        preview(&[], &json(arguments), std::iter::empty(), &sensitive, &[])
    }

    #[test]
    fn an_unknown_origin_comes_first_and_says_where_the_value_appeared() {
        let unknown = json(
            r#"{"policy": "p", "entry": 0, "field": "to", "from": ["Request"], "unknownOrigin": "Hold", "firstSeen":
                {"tool": "mail", "operation": "messages.read", "path": "body\u202e", "whole": false}}"#,
        );
        let unknown: UnknownValue = serde_json::from_value(aegis_decision::json::to_serde(&unknown)).unwrap();
        let rows = preview(&[unknown], &json(r#"{"to": "x"}"#), std::iter::empty(), &[], &[]);
        let seen: Vec<_> = rows.iter().map(|row| (row.path.as_str(), row.value.as_str())).collect();
        let first = "unknown: it first appeared in the answer of mail to messages.read at body\\u{202e}";
        assert_eq!(seen, [("$origin.to", first), ("to", "x")]);
        assert_eq!(rows[0].flags, [Flag::Escaped]);
    }

    #[test]
    fn every_value_is_shown_with_its_path() {
        let facts = json(r#"{"total": "149.90"}"#);
        let rows = preview(
            &[],
            &json(r#"{"id": "7", "lines": [{"n": 2}], "note": null}"#),
            [("order", &facts)].into_iter(),
            &[],
            &[],
        );
        let seen: Vec<_> = rows.iter().map(|row| (row.path.as_str(), row.value.as_str())).collect();
        assert_eq!(seen, [("id", "7"), ("lines[0].n", "2"), ("note", "null"), ("$fact.order.total", "149.90")]);
    }

    #[test]
    fn sensitive_values_are_hidden_and_say_so() {
        let rows = rows(r#"{"people": [{"name": "Ida", "ssn": "123"}]}"#, &["people[*].ssn"]);
        assert_eq!(rows[1], Row { path: "people[0].ssn".into(), value: "(hidden)".into(), flags: vec![Flag::Hidden] });
    }

    #[test]
    fn what_was_sanitized_is_flagged_and_what_was_removed_stands_first() {
        let changed = |field: &str, action: &str| Sanitized {
            field: field.to_owned(),
            action: action.to_owned(),
            rule: RuleRef { policy: "p".to_owned(), rule: "clean".to_owned(), reason: None },
        };
        let arguments = json(r#"{"iban": "****3000", "lines": [{"note": "abc", "n": 1}]}"#);
        let sanitized = [changed("iban", "mask"), changed("lines[*].note", "truncate"), changed("secret", "remove")];
        let rows = preview(&[], &arguments, std::iter::empty(), &[], &sanitized);
        let seen: Vec<_> =
            rows.iter().map(|row| (row.path.as_str(), row.value.as_str(), row.flags.as_slice())).collect();
        let flagged = [Flag::Sanitized];
        let expected: [(&str, &str, &[Flag]); 4] = [
            ("secret", "(removed)", &flagged),
            ("iban", "****3000", &flagged),
            ("lines[0].note", "abc", &flagged),
            ("lines[0].n", "1", &[]),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn direction_marks_and_controls_are_written_out() {
        let rows = rows(r#"{"payee": "Nord\u202ewind\n"}"#, &[]);
        assert_eq!(rows[0].value, "Nord\\u{202e}wind\\u{a}");
        assert_eq!(rows[0].flags, [Flag::Escaped]);
    }

    #[test]
    fn every_character_that_disguises_is_written_out() {
        for c in ('\0'..=char::MAX).filter(|c| disguises(*c)) {
            let mut arguments = Object::new();
            let _ = arguments.insert(format!("k{c}"), Value::String(format!("v{c}").into()));
            let rows = preview(&[], &Value::Object(arguments), std::iter::empty(), &[], &[]);
            assert_eq!(rows[0].value, printable(&format!("v{c}")));
            assert_eq!(rows[0].flags, [Flag::Escaped], "{}", rows[0].value);
            assert!(!rows[0].path.chars().any(disguises), "{}", rows[0].path);
        }
    }

    #[test]
    fn look_alikes_are_flagged() {
        let rows = rows(r#"{"payee": "Nоrdwind", "city": "München", "name": "Ίδα"}"#, &[]);
        let flags: Vec<_> = rows.iter().map(|row| row.flags.clone()).collect();
        assert_eq!(flags, [vec![Flag::Confusable], vec![], vec![]]);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let many = format!("[{}]", (0..200).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
        let rows = rows(&format!(r#"{{"list": {many}}}"#), &[]);
        assert_eq!(rows.len(), MAX_ROWS);
        assert_eq!(rows.last().unwrap().flags, [Flag::Truncated]);
        assert!(rows.last().unwrap().value.starts_with("137 more values"));
        let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(600));
        assert_eq!(self::rows(&long, &[])[0].flags, [Flag::Truncated]);
    }
}
