//! `X-Forwarded-For`, whatever it says: an address comes out, and never one that a proxy vouched for nobody.
//!
//! The first bytes are the peer and whether proxies are trusted; then the header, line by line.
#![no_main]

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

#[path = "../../src/server/face/address.rs"]
mod address;

fuzz_target!(|input: (SocketAddr, bool, &[u8])| {
    let (peer, trusted, lines) = input;
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(16) {
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
