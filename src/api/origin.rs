//! Where a request comes from.

use std::net::IpAddr;

use http::{HeaderMap, header};

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Client {
    /// The address, behind trusted proxies the one that they name.
    pub address: Option<IpAddr>,
    /// The user agent.
    pub agent: String,
}

impl Client {
    /// From the connection and the headers.
    pub fn new(address: Option<IpAddr>, headers: &HeaderMap) -> Self {
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self { address, agent: agent.chars().take(256).collect() }
    }
}
