//! Words in a text: glob patterns that must begin and end at a word's edge.
//!
//! ruma matches these too, but by recursion as deep as a text has near misses, and by an `expect` on the pattern's size:
//! a message must not be able to end the program, so `content.body` is looked into here. Tests hold both to agree, but for
//! lines: a wildcard stands for their ends as for any character, as the spec has it, and ruma's does not.

use std::fmt::Write as _;

use regex::bytes::Regex;

/// A pattern made ready for many texts.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// Text without wildcards.
    Literal(String),
    /// One with wildcards; none where it is too large to be searched for, and matches nothing.
    Glob(Option<Regex>),
}

impl Pattern {
    /// Makes a pattern ready, which is lower case.
    pub fn new(pattern: &str) -> Self {
        if pattern.contains(['*', '?']) {
            Self::Glob(Regex::new(&expression(pattern)).ok())
        } else {
            Self::Literal(pattern.to_owned())
        }
    }

    /// Whether `text`, which is lower case, has a part that matches and begins and ends at a word's edge.
    pub fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.as_ref().is_some_and(|glob| glob.is_match(text.as_bytes())),
            Self::Literal(literal) => has(text, literal),
        }
    }
}

/// Whether `text` has a part that matches `pattern` and begins and ends at a word's edge. Both are lower case.
pub(super) fn contains(text: &str, pattern: &str) -> bool {
    Pattern::new(pattern).is_in(text)
}

fn has(text: &str, literal: &str) -> bool {
    if literal.is_empty() {
        return text.is_empty();
    }
    let step = literal.chars().next().map_or(1, char::len_utf8);
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find(literal)) {
        let start = from + found;
        if is_edge(text, start) && is_edge(text, start + literal.len()) {
            return true;
        }
        from = start + step;
    }
    false
}

/// Whether a character is part of a word.
pub(super) fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}

/// Whether there is no word that goes on over this place.
fn is_edge(text: &str, place: usize) -> bool {
    let before = text.get(..place).and_then(|text| text.chars().next_back()).is_some_and(is_word);
    let after = text.get(place..).and_then(|text| text.chars().next()).is_some_and(is_word);
    !(before && after)
}

/// A glob pattern as a regular expression. A run of wildcards becomes one repetition, which is cheap to match.
fn expression(pattern: &str) -> String {
    let mut expression = String::from(r"(?-u:^|\W|\b)");
    let mut rest = pattern;
    while !rest.is_empty() {
        let literal = rest.find(['*', '?']).unwrap_or(rest.len());
        let (text, after) = rest.split_at(literal);
        expression.push_str(&regex::escape(text));
        let wildcards = after.find(|char| !matches!(char, '*' | '?')).unwrap_or(after.len());
        let (wildcards, after) = after.split_at(wildcards);
        if !wildcards.is_empty() {
            let least = wildcards.matches('?').count();
            let most = if wildcards.contains('*') { "," } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(expression, "(?s:.{{{least}{most}}})");
        }
        rest = after;
    }
    expression.push_str(r"(?-u:\b|\W|$)");
    expression
}
