//! What is signed is what ruma would sign, and the key is the spec's.

use ruma::signatures::{Ed25519KeyPair, KeyPair, sign_json};
use ruma::{CanonicalJsonValue, server_name};
use serde_json::json;

use super::Request;
use crate::canonical;

/// The key of the spec's test vectors: appendices, "Cryptographic Test Vectors".
fn key() -> Ed25519KeyPair {
    let seed =
        ruma::serde::Base64::<ruma::serde::base64::Standard>::parse("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1");
    // PKCS#8 of an ed25519 key: the seed behind what says that it is one.
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let der: Vec<u8> = head.into_iter().chain(seed.unwrap().into_inner()).collect();
    Ed25519KeyPair::from_der(&der, "1".to_owned()).unwrap()
}

#[test]
fn the_key_signs_as_the_spec_has_it() {
    let of_nothing = "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ";
    assert_eq!(key().sign(b"{}").base64(), of_nothing);
}

#[test]
fn the_header_has_the_signature_of_the_whole_request() {
    let (origin, destination) = (server_name!("origin.example:8448"), server_name!("[2001:db8::1]"));
    let uri = "/_matrix/federation/v1/send/1?b=%22&a";
    for content in [None, Some(json!({ "b": [1, { "ü": "\"\\\n" }], "a": {} }))] {
        let mut whole = canonical::object(json!({
            "method": "PUT", "uri": uri, "origin": origin, "destination": destination,
        }))
        .unwrap();
        let content = content.map(|content| canonical::object(content).unwrap());
        if let Some(content) = &content {
            whole.insert("content".to_owned(), CanonicalJsonValue::Object(content.clone()));
        }
        sign_json(origin.as_str(), &key(), &mut whole).unwrap();
        let signature = crate::signed::signature(&whole, origin.as_str(), "ed25519:1").unwrap();

        let content = content.map(|content| serde_json::to_string(&content).unwrap());
        let request = Request { origin, destination, method: "PUT", uri, content: content.as_deref() };
        let expected = format!(
            "X-Matrix origin=\"origin.example:8448\",destination=\"[2001:db8::1]\",key=\"ed25519:1\",sig=\"{signature}\""
        );
        assert_eq!(request.authorization(&key()), expected);
    }
}
