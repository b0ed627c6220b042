//! Where a request comes from: the peer, or behind trusted proxies the client that they name.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Walks `X-Forwarded-For` from its end, which our own proxies wrote, to the first address that is none of them: what stands
/// before that, anybody could have written.
pub fn of(peer: SocketAddr, headers: &HeaderMap, proxies: &[IpNet]) -> SocketAddr {
    let trusted = |ip: &IpAddr| is_trusted(*ip, proxies);
    let mut client = peer.ip().to_canonical();
    if !trusted(&client) {
        return SocketAddr::new(client, peer.port());
    }
    let lines = headers.get_all(FORWARDED_FOR).into_iter().rev();
    for name in lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(',')) {
        let Some(ip) = parse(name.trim()) else { break };
        client = ip;
        if !trusted(&client) {
            break;
        }
    }
    SocketAddr::new(client, peer.port())
}

/// Whether somebody is one of our own proxies.
pub fn is_trusted(ip: IpAddr, proxies: &[IpNet]) -> bool {
    proxies.iter().any(|proxies| proxies.contains(&ip.to_canonical()))
}

/// Some proxies write a port too.
fn parse(name: &str) -> Option<IpAddr> {
    let ip = name.parse::<IpAddr>().or_else(|_| name.parse::<SocketAddr>().map(|address| address.ip()));
    let ip = ip.or_else(|_| name.trim_start_matches('[').trim_end_matches(']').parse());
    ip.ok().map(|ip| ip.to_canonical())
}
