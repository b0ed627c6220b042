//! Addresses behind proxies.

use std::net::SocketAddr;

use http::HeaderMap;

use super::{address, span};

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
fn a_proxy_may_name_a_request() {
    let given = |id: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(span::REQUEST_ID, id.parse().unwrap());
        span::given_id(&headers).map(ToOwned::to_owned)
    };
    assert_eq!(given("7c3f-09_a.b").as_deref(), Some("7c3f-09_a.b"));
    for bad in ["", "a b", "a\"b", "@ann:trust.example", &"a".repeat(65)] {
        assert_eq!(given(bad), None, "{bad}");
    }
}
