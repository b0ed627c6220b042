//! Canonical JSON: what is taken from outside is JSON, no deeper than allowed, and written the same way ever after.
#![no_main]

use libfuzzer_sys::fuzz_target;
use matron_matrix::canonical::{MAX_DEPTH, check_depth, object, parse_object, to_event_json};
use ruma::{CanonicalJsonObject, CanonicalJsonValue};
use serde_json::Value;

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn in_range(value: &CanonicalJsonValue) -> bool {
    match value {
        CanonicalJsonValue::Integer(number) => i64::from(*number).unsigned_abs() < 1 << 53,
        CanonicalJsonValue::Array(items) => items.iter().all(in_range),
        CanonicalJsonValue::Object(fields) => fields.values().all(in_range),
        _ => true,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let plain = serde_json::from_slice::<Value>(bytes);
    if let Ok(plain) = &plain {
        // Names that serde_json keeps for itself are refused, however they are written.
        let is_refused = ["$serde_json", "\\u00"].iter().any(|sign| String::from_utf8_lossy(bytes).contains(sign));
        assert!(check_depth(bytes).is_err() || depth(plain) <= MAX_DEPTH);
        assert!(check_depth(bytes).is_ok() || depth(plain) > MAX_DEPTH || is_refused);
    }
    let Ok(parsed) = parse_object(bytes) else { return };
    let plain = plain.expect("canonical JSON is JSON");
    assert!(parsed.values().all(in_range));
    assert_eq!(object(plain).expect("the same object"), parsed);
    let text = serde_json::to_string(&parsed).expect("an object can be written");
    let again: CanonicalJsonObject = parse_object(text.as_bytes()).expect("what was written is read");
    assert_eq!(again, parsed);
    assert_eq!(serde_json::to_string(&again).expect("an object can be written"), text);
    if let Ok(event) = to_event_json(&parsed) {
        assert_eq!(*event, *text);
    }
});
