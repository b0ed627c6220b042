//! What is taken from outside, and what is not.

use ruma::api::error::ErrorKind;

use super::{MAX_DEPTH, check_depth, parse_object};

#[test]
fn what_nests_deeper_is_refused() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(check_depth(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert!(check_depth(nested(MAX_DEPTH + 1).as_bytes()).is_err());
    let in_a_text = format!(r#"["{}\"{}"]"#, "[".repeat(200), "{".repeat(200));
    assert!(check_depth(in_a_text.as_bytes()).is_ok());
}

#[test]
fn names_that_are_read_as_something_else_are_refused() {
    let hidden = format!(r#"{{"a":{{"$serde_json::private::RawValue":"{}{}"}}}}"#, "[".repeat(120), "]".repeat(120));
    for json in [
        hidden.as_str(),
        r#"{"$serde_json::private::RawValue":"{}"}"#,
        // Sorted it would come first.
        r#"{"a":1,"$serde_json::private::RawValue":"5"}"#,
        r#"{"a":[{"\u0024serde_json:\u003A\u0070rivate::RawValue" : "[[]]"}]}"#,
        "{\"$serde_json::private::Number\"\n:\"5\"}",
    ] {
        assert!(matches!(parse_object(json.as_bytes()).unwrap_err().kind, ErrorKind::BadJson), "{json}");
    }
}

#[test]
fn what_is_taken_is_written_and_read_for_ever() {
    for json in [
        r#"{"a":"$serde_json::private::RawValue","b":["$serde_json::private::RawValue",":"]}"#,
        r#"{"$serde_json":1,"\\u0024serde_json::private::RawValue":2,"$":3,"":4,"\u00e4":5,"\u0024":6}"#,
        r#"{"z":{"a $serde_json::private::RawValue":1},"y":[],"x":-9007199254740991}"#,
    ] {
        let object = parse_object(json.as_bytes()).unwrap();
        let text = serde_json::to_string(&object).unwrap();
        assert_eq!(parse_object(text.as_bytes()).unwrap(), object);
    }
}
