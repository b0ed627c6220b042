//! Addresses behind proxies.

use std::net::SocketAddr;

use http::HeaderMap;

use super::{address, method};

fn from(peer: &str, forwarded: &[&str]) -> String {
    let proxies = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let mut headers = HeaderMap::new();
    for line in forwarded {
        headers.append("x-forwarded-for", line.parse().unwrap());
    }
    address::of(peer.parse::<SocketAddr>().unwrap(), &headers, &proxies).ip().to_string()
}

#[test]
fn only_trusted_proxies_are_believed() {
    assert_eq!(from("192.0.2.1:5", &["198.51.100.7"]), "192.0.2.1");
    assert_eq!(from("10.0.0.1:5", &[]), "10.0.0.1");
    assert_eq!(from("10.0.0.1:5", &["198.51.100.7"]), "198.51.100.7");
    assert_eq!(from("[::1]:5", &["2001:db8::7"]), "2001:db8::7");
    assert_eq!(from("[::ffff:10.0.0.1]:5", &["198.51.100.7"]), "198.51.100.7");
}

#[test]
fn what_a_client_made_up_is_not_believed() {
    assert_eq!(from("10.0.0.1:5", &["1.1.1.1, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
    assert_eq!(from("10.0.0.1:5", &["1.1.1.1", "198.51.100.7:4711"]), "198.51.100.7");
    assert_eq!(from("10.0.0.1:5", &["1.1.1.1, nonsense, 10.0.0.2"]), "10.0.0.2");
}

#[test]
fn methods_are_a_bounded_set() {
    assert_eq!(method(&http::Method::PUT), "PUT");
    assert_eq!(method(&http::Method::from_bytes(b"MADEUP").unwrap()), "other");
}
