//! Words in a text: glob patterns that must begin and end at a word's edge.
//!
//! ruma matches these too, but by recursion as deep as a text has near misses, and by an `expect` on the pattern's size:
//! a message must not be able to end the program, so `content.body` is looked into here. Tests hold both to agree.

use std::fmt::Write as _;

use regex::bytes::Regex;

/// Whether `text` has a part that matches `pattern` and begins and ends at a word's edge. Both are lower case.
pub(super) fn contains(text: &str, pattern: &str) -> bool {
    if pattern.is_empty() {
        return text.is_empty();
    }
    if pattern.contains(['*', '?']) {
        return Regex::new(&expression(pattern)).is_ok_and(|expression| expression.is_match(text.as_bytes()));
    }
    let step = pattern.chars().next().map_or(1, char::len_utf8);
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find(pattern)) {
        let start = from + found;
        if is_edge(text, start) && is_edge(text, start + pattern.len()) {
            return true;
        }
        from = start + step;
    }
    false
}

/// Whether there is no word that goes on over this place.
fn is_edge(text: &str, place: usize) -> bool {
    let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
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
            let _ = write!(expression, ".{{{least}{most}}}");
        }
        rest = after;
    }
    expression.push_str(r"(?-u:\b|\W|$)");
    expression
}
