//! Patterns that exclude nothing.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// How little a pattern excludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breadth {
    /// Every text matches.
    Everything,
    /// Every text without a line break matches.
    EveryLine,
    /// Every text matches but the empty one, and perhaps those with a line break.
    NotEmpty,
}

impl Breadth {
    /// Of a pattern that is matched against whole texts. None: it was not found to be one of these.
    ///
    /// Found are repetitions of everything, in groups, branches and beside parts that may be empty, such as `.*`,
    /// `(?s)(.|x)*`, `.*[a-z]*` or `[\s\S]+`. Not found is what only branches together say, such as `a.*|[^a].*|`.
    pub fn of(pattern: &str) -> Option<Self> {
        of(&regex_syntax::parse(pattern).ok()?)
    }
}

fn of(hir: &Hir) -> Option<Breadth> {
    match hir.kind() {
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Alternation(branches) => branches.iter().filter_map(of).min(),
        HirKind::Concat(parts) => {
            let parts: Vec<&Hir> = without_anchors(parts);
            let may_be_empty = |hir: &Hir| hir.properties().minimum_len() == Some(0) && !looks(hir);
            let (index, breadth) = parts
                .iter()
                .enumerate()
                .filter_map(|(index, part)| Some((index, of(part)?)))
                .min_by_key(|(_, b)| *b)?;
            let mut others = parts.iter().enumerate().filter(|(other, _)| *other != index);
            others.all(|(_, part)| may_be_empty(part)).then_some(breadth)
        }
        HirKind::Repetition(repetition) if repetition.max.is_none() => {
            match (any_character(&repetition.sub)?, repetition.min) {
                (Breadth::Everything, 0) => Some(Breadth::Everything),
                (_, 0) => Some(Breadth::EveryLine),
                (_, 1) => Some(Breadth::NotEmpty),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Anchors at the ends of a pattern that is matched against whole texts change nothing.
fn without_anchors(parts: &[Hir]) -> Vec<&Hir> {
    let is = |hir: &Hir, looks: [Look; 2]| matches!(hir.kind(), HirKind::Look(look) if looks.contains(look));
    let start = parts.iter().take_while(|part| is(part, [Look::Start, Look::StartLF])).count();
    let end = parts.iter().rev().take_while(|part| is(part, [Look::End, Look::EndLF])).count();
    parts.iter().skip(start).take(parts.len().saturating_sub(start).saturating_sub(end)).collect()
}

fn looks(hir: &Hir) -> bool {
    !hir.properties().look_set().is_empty()
}

/// Whether it is one character: any, or any but a line break.
fn any_character(hir: &Hir) -> Option<Breadth> {
    match hir.kind() {
        HirKind::Capture(capture) => any_character(&capture.sub),
        HirKind::Alternation(branches) => branches.iter().filter_map(any_character).min(),
        HirKind::Class(Class::Unicode(class)) => {
            let mut left = class.clone();
            left.negate();
            let mut missing = left.iter().flat_map(|range| range.start()..=range.end()).peekable();
            if missing.peek().is_none() {
                Some(Breadth::Everything)
            } else {
                missing.all(|c| matches!(c, '\n' | '\r')).then_some(Breadth::EveryLine)
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::Breadth::{EveryLine, Everything, NotEmpty};
    use super::*;
    use crate::policy::Normalize;
    use crate::rules::resolve::Subject;
    use crate::rules::text::Pattern;

    #[test_case("(?s).*", Some(Everything))]
    #[test_case(r"[\s\S]*", Some(Everything))]
    #[test_case("(?s)(?:a|.)*", Some(Everything))]
    #[test_case(".*", Some(EveryLine))]
    #[test_case("^.*$", Some(EveryLine))]
    #[test_case("(.*)", Some(EveryLine))]
    #[test_case("a|.*", Some(EveryLine))]
    #[test_case(".*[a-z]*x?", Some(EveryLine))]
    #[test_case("(?s).+", Some(NotEmpty))]
    #[test_case(".+", Some(NotEmpty))]
    #[test_case("[^a]*", None)]
    #[test_case(r"[^\n-\r]*", None; "more than line breaks")]
    #[test_case(".*a", None)]
    #[test_case(".*$a?", None; "an anchor in the middle")]
    #[test_case(".{2,}", None)]
    #[test_case(".{0,9}", None)]
    #[test_case(r"\w*", None)]
    #[test_case("", None)]
    #[test_case(r".*\b", None; "a word boundary")]
    fn finds_what_excludes_nothing(pattern: &str, breadth: Option<Breadth>) {
        assert_eq!(Breadth::of(pattern), breadth);
    }

    /// What is claimed is what matching says, for texts that differ in all that patterns look at.
    #[test]
    fn what_is_claimed_is_matched() {
        let texts = ["a", "Ä", " ", "7", "a b", "\u{1f600}", "x.y", "a\tb", "ß$^"];
        for pattern in ["(?s).*", ".*", "^.*$", "a|.*", ".*[a-z]*x?", "(?s).+", ".+", "(?s)(?:a|.)*"] {
            let breadth = Breadth::of(pattern).unwrap();
            let compiled = Pattern::compile(pattern).unwrap();
            let matches = |text| compiled.matches(Subject::Text(text), Normalize::None) == true.into();
            assert!(texts.into_iter().all(matches), "{pattern}");
            assert!(breadth == NotEmpty || matches(""), "{pattern}");
            assert!(breadth != Everything || matches("a\nb"), "{pattern}");
        }
    }
}
