use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{List, Members, Object, member, push_text, text};

/// Any JSON value, with the signs that matter to a walk by bytes in its texts and names.
pub fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Texts with quotes, backslashes, brackets, control characters and more than one byte to a character.
pub fn word() -> impl Strategy<Value = String> {
    let sign = prop::sample::select(vec![
        "\"", "\\", "{", "}", "[", "]", ",", ":", "\n", "\u{0}", "\u{1f}", "\u{7f}", "a", "content", "ä", "😀", " ",
    ]);
    prop::collection::vec(sign, 0..8).prop_map(|signs| signs.concat())
}

proptest! {
    #[test]
    fn members_are_those_that_a_parser_finds(object in prop::collection::btree_map(word(), value(), 0..8), pretty: bool) {
        let object = Value::Object(object.into_iter().collect());
        let json = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) }.unwrap();
        let mut found = Map::new();
        for (name, value) in Members::of(&json) {
            let name: String = serde_json::from_str(&format!("\"{name}\"")).unwrap();
            found.insert(name, serde_json::from_str(value).unwrap());
        }
        prop_assert_eq!(Value::Object(found), object);
    }

    #[test]
    fn no_bytes_make_it_panic(json in ".{0,40}", cut in 0_usize..60) {
        let whole = format!("{{\"a\":[{{\"b\":\"\\\"\"}}],\"c\":{json}");
        let mut cut = cut.min(whole.len());
        while !whole.is_char_boundary(cut) {
            cut -= 1;
        }
        Members::of(&whole[..cut]).count();
        Members::of(&json).count();
    }

    #[test]
    fn texts_are_written_as_serde_writes_them(word in word()) {
        let mut out = String::new();
        push_text(&mut out, &word);
        let read = text(&out).map(std::borrow::Cow::into_owned);
        prop_assert_eq!(read, Some(word.clone()));
        prop_assert_eq!(out, serde_json::to_string(&word).unwrap());
    }
}

#[test]
fn what_is_no_object_has_no_members() {
    for json in ["", "[1]", "\"{\"", "17", "{", "{\"a\"", "{\"a\":", "{\"a\":\"", "{\"a\":}", "{]", "{\"a\" 1}"] {
        assert_eq!(Members::of(json).count(), 0, "{json}");
    }
}

#[test]
fn a_member_is_that_of_the_object_itself() {
    let object = json!({ "a": { "wanted": 1, "x": "\"wanted\":2" }, "wanted": [3, { "wanted": 4 }] });
    let json = object.to_string();
    assert_eq!(member(&json, "wanted"), Some(r#"[3,{"wanted":4}]"#));
    assert_eq!(member(&json, "x"), None);
}

#[test]
fn objects_and_lists_are_json() {
    let mut list = List::default();
    list.push("1");
    list.element().push_str("{}");
    assert_eq!(list.len(), 2);
    let raw = list.to_raw().unwrap();
    assert_eq!(raw.iter().map(|element| element.get()).collect::<Vec<_>>(), ["1", "{}"]);
    let mut out = String::new();
    let mut object = Object::begin(&mut out);
    assert!(object.is_empty());
    object.text("text", "a \"b\"");
    object.number("number", 17);
    object.flag("flag", false);
    object.value("value", &json!({ "c": null })).unwrap();
    list.write(object.member("list"));
    object.named("a \\ b").push_str("null");
    object.end();
    let expected = json!({
        "text": "a \"b\"", "number": 17, "flag": false, "value": { "c": null }, "list": [1, {}], "a \\ b": null
    });
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), expected);
    let mut empty = String::new();
    Object::begin(&mut empty).end();
    List::default().write(&mut empty);
    assert_eq!(empty, "{}[]");
}
