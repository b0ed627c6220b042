//! Canonical JSON and the limits of what we take from outside.

use ruma::CanonicalJsonObject;
use ruma::CanonicalJsonValue;

use crate::{Error, Result};

#[cfg(test)]
mod tests;

/// The largest event, signatures included.
pub const MAX_EVENT_BYTES: usize = 65_536;

/// The deepest nesting of arrays and objects that is taken from outside.
pub const MAX_DEPTH: usize = 100;

/// How names begin that `serde_json` keeps for itself: where one stands first in an object, the text beside it is read
/// as JSON in the object's place. That hides how deep it is; and once it is sorted, an object is read otherwise.
const RESERVED: &[u8] = b"$serde_json::private::";

/// Parses a JSON object from outside: canonical numbers only, bounded depth.
///
/// # Errors
/// `M_NOT_JSON` where it is not JSON, `M_BAD_JSON` where it is no object or breaks canonical JSON's rules.
pub fn parse_object(bytes: &[u8]) -> Result<CanonicalJsonObject> {
    check_depth(bytes)?;
    match serde_json::from_slice::<CanonicalJsonValue>(bytes) {
        Ok(CanonicalJsonValue::Object(object)) => Ok(object),
        Ok(_) => Err(Error::bad_json("a JSON object was expected")),
        Err(error) if error.is_data() => Err(Error::bad_json(error.to_string())),
        Err(error) => Err(Error::not_json(error.to_string())),
    }
}

/// A JSON object that clients gave, as canonical JSON.
///
/// # Errors
/// `M_BAD_JSON` where it is no object or breaks canonical JSON's rules.
pub fn object(value: serde_json::Value) -> Result<CanonicalJsonObject> {
    match CanonicalJsonValue::try_from(value) {
        Ok(CanonicalJsonValue::Object(object)) => Ok(object),
        Ok(_) => Err(Error::bad_json("a content is a JSON object")),
        Err(error) => Err(Error::bad_json(error.to_string())),
    }
}

/// Refuses JSON that nests deeper than [`MAX_DEPTH`], without recursion, and names by which it could hide its depth.
///
/// # Errors
/// `M_BAD_JSON`.
pub fn check_depth(bytes: &[u8]) -> Result<()> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let end = after_text(bytes, at);
                if is_reserved(bytes.get(at..end).unwrap_or_default()) && names_something(bytes, end) {
                    return Err(Error::bad_json("no name may begin with `$serde_json::private::`"));
                }
                at = end;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Error::bad_json(format!("it nests deeper than {MAX_DEPTH} levels")));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// The place after a string's end. Most of what comes in are strings, so they are not looked at byte by byte.
fn after_text(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// Whether a string, without its first quote, begins as [`RESERVED`] does, however that is written.
fn is_reserved(mut text: &[u8]) -> bool {
    RESERVED.iter().all(|wanted| {
        let (found, rest) = match text {
            [b'\\', b'u', b'0', b'0', high, low, rest @ ..] => (from_hex(*high, *low), rest),
            [found, rest @ ..] => (Some(*found), rest),
            [] => return false,
        };
        text = rest;
        found == Some(*wanted)
    })
}

fn from_hex(high: u8, low: u8) -> Option<u8> {
    let digit = |sign: u8| char::from(sign).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Whether a string that ends here is a member's name.
fn names_something(bytes: &[u8], end: usize) -> bool {
    bytes.get(end..).is_some_and(|rest| rest.trim_ascii_start().first() == Some(&b':'))
}

/// An object's canonical form.
///
/// # Errors
/// `M_TOO_LARGE` where it is larger than an event may be.
pub fn to_event_json(object: &CanonicalJsonObject) -> Result<Box<str>> {
    let json = serde_json::to_string(object).map_err(|error| Error::bad_json(error.to_string()))?;
    if json.len() > MAX_EVENT_BYTES {
        return Err(Error::too_large(format!("the event has {} bytes, {MAX_EVENT_BYTES} are allowed", json.len())));
    }
    Ok(json.into())
}
