//! A look at a module's text before regorus reads it: what nests is read by recursion, there and in its compiler, so how
//! deep it may go is bounded here.
//!
//! Brackets are counted, and operators in a row: a chain such as `1 + 1 + 1` nests as deep as it is long. A row ends where
//! an expression must. Texts and comments are skipped.
//!
//! What regorus reads twice, or looks at again for each name in it, grows with each level: what stands in brackets weighs
//! four times what stands around them, and an index that names something doubles what stands before it.
//!
//! More is refused here that would be too late to refuse in the program: calls by a name with a dot that is not on the
//! list, and heads such as `x[key] contains value` and `x.y := value`, of which the compiler forgets a part.

use super::builtins;
use super::error::{ModuleError, ModuleProblem};
use super::nesting::Nesting;

/// `else` in a module.
const MAX_ELSE: usize = 128;
/// Digits of an exponent.
const MAX_EXPONENT: usize = 3;

/// Refuses what nests too deep, or could cost before it is run.
pub(super) fn check(text: &str) -> Result<(), ModuleError> {
    let (mut nesting, mut elses, mut line) = (Nesting::new(), 0_usize, 1_usize);
    let (mut word, mut path) = (String::new(), String::new());
    // Whether the word stands behind a key or a name with a dot.
    let (mut headed, mut dotted) = (false, false);
    // Whether the head of the rule is read.
    let mut defined = false;
    // The last character that is no white space, and the last of all.
    let (mut before, mut last) = (' ', ' ');
    // The last word ends too.
    let mut chars = text.chars().chain(['\n']).peekable();
    while let Some(c) = chars.next() {
        let at = line;
        let refused = |what| Err(ModuleError { line: Some(at), problem: ModuleProblem::Construct(what) });
        if c.is_alphanumeric() || c == '_' {
            if word.is_empty() {
                headed = before == ']' || dotted;
            }
            word.push(c);
        } else {
            if exponent(&word, c, &chars) > MAX_EXPONENT {
                return refused("a number with an exponent of more than 3 digits");
            }
            if word.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                nesting.name();
            }
            match word.as_str() {
                // What follows belongs to it, on whatever line.
                "not" => {
                    nesting.operator();
                    before = '!';
                }
                "in" => nesting.operator(),
                "else" => elses = elses.saturating_add(1),
                "contains" if c != '(' && headed => return refused("a key before contains in the head of a rule"),
                "if" | "import" | "package" | "contains" => defined = true,
                _ => {}
            }
            word.clear();
        }
        if c == '.' && !nesting.is_in_brackets() && !defined {
            return refused("a name with a dot in the head of a rule");
        }
        defined |= c == '=';
        if c == '(' && path.contains('.') && !builtins::is_allowed(&path) {
            let name = path.chars().take(64).collect();
            return Err(ModuleError { line: Some(line), problem: ModuleProblem::Builtin { name } });
        }
        if c.is_alphanumeric() || matches!(c, '_' | '.') {
            path.push(c);
        } else if !path.is_empty() {
            dotted = path.contains('.');
            path.clear();
        }
        match c {
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' | '`' => {
                while let Some(inner) = chars.next() {
                    match inner {
                        '\\' if c == '"' => drop(chars.next()),
                        '\n' => line = line.saturating_add(1),
                        _ if inner == c => break,
                        _ => {}
                    }
                }
            }
            '\n' => {
                line = line.saturating_add(1);
                while chars.next_if(|c| c.is_whitespace() && *c != '\n').is_some() {}
                let begins =
                    chars.peek().is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '"' | '`' | '[' | '}'));
                if begins && (before.is_alphanumeric() || matches!(before, '_' | '"' | '`' | ')' | ']' | '}')) {
                    let continues = word_continues(&mut chars.clone());
                    if !continues {
                        nesting.expression_ends();
                    }
                    defined &= continues || nesting.is_in_brackets();
                }
            }
            ';' | ',' => nesting.expression_ends(),
            // An index stands right behind what it is of; behind white space a list begins.
            '[' => nesting.open(last.is_alphanumeric() || matches!(last, '_' | ']' | ')' | '"' | '`' | '}')),
            '{' | '(' => nesting.open(false),
            '}' | ']' | ')' => nesting.close(),
            '+' | '-' | '*' | '/' | '%' | '|' | '&' | '.' | '=' | '<' | '>' | '!' => nesting.operator(),
            _ => {}
        }
        if let Some(what) = nesting.excess() {
            return refused(what);
        }
        if elses > MAX_ELSE {
            return refused("else more than 128 times");
        }
        if !c.is_whitespace() {
            nesting.character();
            before = c;
        }
        last = c;
    }
    Ok(())
}

/// Digits of the exponent of a number that this word ends, or whose exponent begins behind it.
fn exponent(word: &str, next: char, rest: &(impl Iterator<Item = char> + Clone)) -> usize {
    let Some((_, digits)) = word.split_once(['e', 'E']).filter(|_| word.starts_with(|c: char| c.is_ascii_digit()))
    else {
        return 0;
    };
    if digits.is_empty() && matches!(next, '+' | '-') {
        return rest.clone().take_while(char::is_ascii_digit).take(MAX_EXPONENT.saturating_add(1)).count();
    }
    digits.len()
}

/// Whether the line goes on with what stands before it.
fn word_continues(chars: &mut impl Iterator<Item = char>) -> bool {
    let word: String = chars.take_while(|c| c.is_alphanumeric() || *c == '_').take(8).collect();
    matches!(word.as_str(), "in" | "with" | "as" | "else")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<(usize, String)> {
        check(text).err().map(|error| (error.line.unwrap(), error.problem.to_string()))
    }

    #[test]
    fn ordinary_modules_are_of_ordinary_shape() {
        let rule = "verdicts contains {\"a\": [1, {\"b\": f(x.y[0])}]} if {\n  not x.y.z == 1 # (((((\n  a + b - c > \"((\\\"((\"\n}\n";
        assert_eq!(refused(&rule.repeat(150)), None);
    }

    #[test]
    fn calls_are_by_names_of_the_list() {
        for text in
            ["x := input.default\ny := f(1) | g(2)", "a := 1 # default\nb := f(1)", "a\nb := array.concat(x, y)"]
        {
            assert_eq!(refused(text), None, "{text}");
        }
        assert_eq!(refused("a\nb := rand.intn(x, y)").unwrap().0, 2);
    }

    #[test]
    fn what_nests_is_counted() {
        for (open, says) in [
            ("[\n", "brackets"),
            ("(\n", "brackets"),
            ("{ x |\n", "brackets"),
            ("f(1, ", "brackets"),
            ("-\n", "in a row"),
        ] {
            let (_, told) = refused(&format!("x := {}", open.repeat(200))).unwrap();
            assert!(told.contains(says), "{open}: {told}");
        }
        for (link, says) in [
            ("\n+ 1", "in a row"),
            (" +\n1", "in a row"),
            ("\n.a", "in a row"),
            ("[0\n]", "in a row"),
            ("\n| 1", "in a row"),
            (" + {1}", "in a row"),
            (" + f(1, [2; 3])", "in a row"),
            (" in b", "in a row"),
        ] {
            let (_, told) = refused(&format!("x := a{}", link.repeat(200))).unwrap();
            assert!(told.contains(says), "{link}: {told}");
        }
        assert_eq!(refused(&format!("x\n{}", "not\n".repeat(200))).unwrap().0, 130);
        assert!(refused(&"else := 1 if {\ntrue\n} ".repeat(200)).is_some());
        // Texts and comments do not nest.
        assert_eq!(refused(&format!("x := \"{}\" # {}", "(".repeat(200), "(".repeat(200))), None);
        assert_eq!(refused(&format!("x := `{}`", "(\n".repeat(200))), None);
    }
}
