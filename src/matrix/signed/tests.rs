//! Signatures: right ones pass; missing, forged, moved ones do not.

use ruma::serde::Base64;
use ruma::signatures::{Ed25519KeyPair, sign_json};
use ruma::{CanonicalJsonObject, CanonicalJsonValue};

use super::{public_key, same, set_signatures, signatures_of, verify};

fn key(name: &str) -> (Ed25519KeyPair, String) {
    let pair = Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), name.to_owned()).unwrap();
    let public = Base64::<ruma::serde::base64::Standard, _>::new(pair.public_key().to_vec()).encode();
    (pair, public)
}

fn object(json: &str) -> CanonicalJsonObject {
    serde_json::from_str(json).unwrap()
}

#[test]
fn only_the_named_key_of_the_named_user_counts() {
    let (pair, public) = key("DEV");
    let (_, other) = key("DEV");
    let mut signed = object(r#"{"a":1,"unsigned":{"b":2}}"#);
    sign_json("@a:x", &pair, &mut signed).unwrap();
    verify(&signed, "@a:x", "ed25519:DEV", &public).unwrap();

    let code = |error: crate::Error| error.kind.errcode().to_string();
    for (user, id, key) in [
        ("@b:x", "ed25519:DEV", &public),
        ("@a:x", "ed25519:OTHER", &public),
        ("@a:x", "ed25519:DEV", &other),
        ("@a:x", "ed25519:DEV", &String::new()),
    ] {
        assert_eq!(verify(&signed, user, id, key).map_err(code), Err("M_INVALID_SIGNATURE".to_owned()));
    }

    let mut changed = signed.clone();
    changed.insert("a".to_owned(), CanonicalJsonValue::Bool(true));
    verify(&changed, "@a:x", "ed25519:DEV", &public).unwrap_err();
    changed.insert("signatures".to_owned(), CanonicalJsonValue::Object(CanonicalJsonObject::new()));
    verify(&changed, "@a:x", "ed25519:DEV", &public).unwrap_err();
    changed.remove("signatures");
    verify(&changed, "@a:x", "ed25519:DEV", &public).unwrap_err();

    let mut unsigned = signed;
    unsigned.remove("unsigned");
    verify(&unsigned, "@a:x", "ed25519:DEV", &public).unwrap();
}

#[test]
fn signatures_are_no_content() {
    let a = object(r#"{"k":"v","signatures":{"@a:x":{"ed25519:1":"s"},"@b:x":{"ed25519:2":"t"}}}"#);
    let mut b = a.clone();
    let own = signatures_of(&a, "@a:x");
    assert_eq!(own, [("ed25519:1".to_owned(), "s".to_owned())]);
    set_signatures(&mut b, "@a:x", own);
    assert!(same(&a, &b));
    assert!(signatures_of(&b, "@b:x").is_empty());
    assert!(!same(&a, &object(r#"{"k":"w"}"#)));
}

#[test]
fn keys_have_32_bytes() {
    public_key(&"A".repeat(43)).unwrap();
    for wrong in ["", "AAAA", "!", &"A".repeat(44)] {
        public_key(wrong).unwrap_err();
    }
}
