//! Path templates: RFC 6570 level 1 with whole segments, such as `/orders/{id}/confirm`.

use super::percent;
use super::target::RequestPath;

/// Most segments of a template.
const MAX_SEGMENTS: usize = 32;

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Exactly this text.
    Literal(String),
    /// Any segment; becomes the argument of this name.
    Parameter(String),
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) segments: Vec<Segment>,
    pub(super) trailing_slash: bool,
}

/// How two templates relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// No path matches both.
    Disjoint,
    /// Every path that matches one matches the other.
    Same,
    /// The first has literals where the second has parameters: it is more specific.
    First,
    /// The second is more specific.
    Second,
    /// Some paths match both, and neither is more specific.
    Crossing,
}

impl Template {
    /// Reads a template, or tells what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix('/').ok_or("must start with a slash")?;
        if rest.is_empty() {
            return Ok(Self { segments: Vec::new(), trailing_slash: true });
        }
        let (rest, trailing_slash) = rest.strip_suffix('/').map_or((rest, false), |rest| (rest, true));
        let segments = rest.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
        if segments.len() > MAX_SEGMENTS {
            return Err("must have at most 32 segments");
        }
        Ok(Self { segments, trailing_slash })
    }

    /// Names of its parameters, in order.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// The path with these values for the parameters; an empty segment for one that has none.
    pub(super) fn filled(&self, values: &[(String, String)]) -> RequestPath {
        let value = |name: &str| values.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        let segment = |segment: &Segment| match segment {
            Segment::Literal(literal) => literal.clone(),
            Segment::Parameter(name) => value(name).unwrap_or_default(),
        };
        RequestPath { segments: self.segments.iter().map(segment).collect(), trailing_slash: self.trailing_slash }
    }

    /// The parameters' values, if the path matches.
    pub(super) fn matches(&self, path: &RequestPath) -> Option<Vec<(String, String)>> {
        if self.trailing_slash != path.trailing_slash || self.segments.len() != path.segments.len() {
            return None;
        }
        let mut values = Vec::new();
        for (segment, given) in self.segments.iter().zip(&path.segments) {
            match segment {
                Segment::Literal(literal) if literal == given => {}
                Segment::Literal(_) => return None,
                Segment::Parameter(name) => values.push((name.clone(), given.clone())),
            }
        }
        Some(values)
    }

    /// How many segments from the start a path has in common with it.
    pub(super) fn common_prefix(&self, path: &RequestPath) -> usize {
        let common = |(segment, given): &(&Segment, &String)| match segment {
            Segment::Literal(literal) => literal == *given,
            Segment::Parameter(_) => true,
        };
        self.segments.iter().zip(&path.segments).take_while(common).count()
    }

    /// How it relates to another template.
    pub(super) fn relation(&self, other: &Self) -> Relation {
        if self.trailing_slash != other.trailing_slash || self.segments.len() != other.segments.len() {
            return Relation::Disjoint;
        }
        let (mut first, mut second) = (false, false);
        for pair in self.segments.iter().zip(&other.segments) {
            match pair {
                (Segment::Literal(a), Segment::Literal(b)) if a != b => return Relation::Disjoint,
                (Segment::Literal(_), Segment::Parameter(_)) => first = true,
                (Segment::Parameter(_), Segment::Literal(_)) => second = true,
                _ => {}
            }
        }
        match (first, second) {
            (false, false) => Relation::Same,
            (true, false) => Relation::First,
            (false, true) => Relation::Second,
            (true, true) => Relation::Crossing,
        }
    }
}

fn segment(text: &str) -> Result<Segment, &'static str> {
    if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        return if !name.is_empty() && name.len() <= 64 && name.bytes().all(plain) {
            Ok(Segment::Parameter(name.to_owned()))
        } else {
            Err("a parameter's name must be 1 to 64 letters, digits, _ or -")
        };
    }
    if text.is_empty() || text == "." || text == ".." {
        return Err("must not have empty segments, . or ..");
    }
    if !text.bytes().all(percent::is_path_byte) {
        return Err("a segment must be one {parameter}, or literal ASCII without escapes");
    }
    Ok(Segment::Literal(text.to_owned()))
}
