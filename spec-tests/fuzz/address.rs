//! `X-Forwarded-For`, whatever it says: an address comes out, and never one that a proxy vouched for nobody.
#![no_main]

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

#[path = "../../src/server/face/address.rs"]
mod address;

fuzz_target!(|input: (SocketAddr, Vec<Vec<u8>>, bool)| {
    let (peer, lines, trusted) = input;
    let mut headers = HeaderMap::new();
    for line in lines.iter().take(16) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append("x-forwarded-for", value);
        }
    }
    let proxies = if trusted {
        vec!["10.0.0.0/8".parse().unwrap(), "::/1".parse().unwrap(), peer.ip().to_canonical().into()]
    } else {
        Vec::new()
    };
    let found = address::of(peer, &headers, &proxies);
    assert_eq!(found.port(), peer.port());
    if !trusted {
        assert_eq!(found.ip(), peer.ip().to_canonical(), "who is not trusted names nobody");
    }
});
