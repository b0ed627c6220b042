//! JSON by its bytes: objects taken apart and put together without reading what stands in them.
//!
//! Most of what is shown to a client is part of an event as it was signed, so it is copied as it stands. What goes in here
//! is JSON already: stored events, and what this server wrote.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

#[cfg(test)]
pub(crate) mod tests;

/// The members of a JSON object, in their order: each name and each value as they stand there. What is no object, or ends
/// too early, ends the walk.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Members<'a> {
    /// Begins at an object's first member.
    #[must_use]
    pub fn of(json: &'a str) -> Self {
        let begin = blank_end(json.as_bytes(), 0);
        let at = if json.as_bytes().get(begin) == Some(&b'{') { begin + 1 } else { json.len() };
        Self { json, at }
    }
}

impl<'a> Iterator for Members<'a> {
    /// A name without its quotes (escapes are left as they are), and a value.
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.json.as_bytes();
        let mut at = blank_end(bytes, self.at);
        if bytes.get(at) == Some(&b',') {
            at = blank_end(bytes, at + 1);
        }
        let name_end = string_end(bytes, at)?;
        let name = self.json.get(at + 1..name_end - 1)?;
        let colon = blank_end(bytes, name_end);
        if bytes.get(colon) != Some(&b':') {
            return None;
        }
        let begin = blank_end(bytes, colon + 1);
        let end = value_end(bytes, begin)?;
        self.at = end;
        Some((name, self.json.get(begin..end)?))
    }
}

/// A member's value as it stands in an object, if the object has it.
#[must_use]
pub fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    Members::of(json).find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The text of a JSON string.
#[must_use]
pub fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

fn blank_end(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The place after a string that begins here.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The place after a value that begins here.
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => nested_end(bytes, at),
        b',' | b'}' | b']' | b':' => None,
        _ => {
            let length = bytes
                .get(at..)?
                .iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
            length.map(|length| at + length)
        }
    }
}

fn nested_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Appends a text as a JSON string.
pub fn push_text(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push_str(text);
    } else {
        escape(out, text);
    }
    out.push('"');
}

#[cold]
fn escape(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if u32::from(control) < 0x20 => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
}

/// Appends a number.
pub fn push_number(out: &mut String, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// A JSON object that is written member by member.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut String,
    begun: bool,
}

impl<'a> Object<'a> {
    /// Begins it where `out` ends.
    pub fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, begun: false }
    }

    /// A member whose value the caller appends. The name is one that needs no escapes.
    pub fn member(&mut self, name: &str) -> &mut String {
        self.out.push_str(if self.begun { ",\"" } else { "\"" });
        self.begun = true;
        self.out.push_str(name);
        self.out.push_str("\":");
        self.out
    }

    /// As [`Self::member`], under any name.
    pub fn named(&mut self, name: &str) -> &mut String {
        if self.begun {
            self.out.push(',');
        }
        self.begun = true;
        push_text(self.out, name);
        self.out.push(':');
        self.out
    }

    /// A member whose value is JSON already.
    pub fn raw(&mut self, name: &str, json: &str) {
        self.member(name).push_str(json);
    }

    /// A member that is a text.
    pub fn text(&mut self, name: &str, text: &str) {
        push_text(self.member(name), text);
    }

    /// A member that is a number.
    pub fn number(&mut self, name: &str, number: u64) {
        push_number(self.member(name), number);
    }

    /// A member that is yes or no.
    pub fn flag(&mut self, name: &str, yes: bool) {
        self.raw(name, if yes { "true" } else { "false" });
    }

    /// A member of any type.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn value(&mut self, name: &str, value: &impl Serialize) -> serde_json::Result<()> {
        let json = serde_json::to_string(value)?;
        self.raw(name, &json);
        Ok(())
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.begun
    }

    /// Ends it.
    pub fn end(self) {
        self.out.push('}');
    }
}

/// The elements of a JSON array as they are written, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    elements: String,
    count: usize,
}

impl List {
    /// The next element, which the caller appends.
    pub fn element(&mut self) -> &mut String {
        if self.count > 0 {
            self.elements.push(',');
        }
        self.count += 1;
        &mut self.elements
    }

    /// An element that is JSON already.
    pub fn push(&mut self, json: &str) {
        self.element().push_str(json);
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all of them.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.elements.len()
    }

    /// Each of them, for who writes with serde.
    ///
    /// # Errors
    /// What was appended is no JSON.
    pub fn to_raw(&self) -> serde_json::Result<Vec<Box<RawValue>>> {
        let mut array = String::new();
        self.write(&mut array);
        serde_json::from_str(&array)
    }

    /// Appends the array.
    pub fn write(&self, out: &mut String) {
        out.reserve(self.elements.len() + 2);
        out.push('[');
        out.push_str(&self.elements);
        out.push(']');
    }
}
