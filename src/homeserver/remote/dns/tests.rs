//! What the system's name servers answer, by one of our own.

use std::net::Ipv4Addr;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::net::UdpSocket;

use super::{Dns, Service, SystemDns};

const HEADER: usize = 12;
const REFUSED: u8 = 5;
const NO_SUCH_NAME: u8 = 3;

/// The labels of a name as they go over the wire.
fn labels(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> =
        labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
    wire.push(0);
    wire
}

/// The answer to a query: what we know of `a.example`, that we tell nothing of `b.example`, that there is nothing else.
fn answer(query: &[u8]) -> Vec<u8> {
    let name_end = HEADER + query[HEADER..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let asked = query[HEADER..name_end].to_ascii_lowercase();
    let services = [(10_u16, 60_u16, 443_u16, "one.example"), (20, 0, 0, "")];
    let is_known = asked == labels("_matrix-fed._tcp.a.example");
    let code = match () {
        () if is_known => 0,
        () if asked == labels("_matrix-fed._tcp.b.example") => REFUSED,
        () => NO_SUCH_NAME,
    };
    let count = if is_known { 2 } else { 0 };
    // The query's number; an answer, recursion and all; one question, so many answers.
    let mut wire =
        [&query[..2], &[0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0], &query[HEADER..name_end + 4]].concat();
    for (priority, weight, port, target) in services.into_iter().take(count.into()) {
        let data = [&priority.to_be_bytes()[..], &weight.to_be_bytes(), &port.to_be_bytes(), &labels(target)].concat();
        // The name of the question, SRV, of the Internet, good for a minute.
        wire.extend([0xc0, 0x0c, 0, 33, 0, 1, 0, 0, 0, 60]);
        wire.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        wire.extend(data);
    }
    wire
}

async fn dns() -> SystemDns {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut over = ConnectionConfig::udp();
    over.port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query).await {
            socket.send_to(&answer(&query[..length]), from).await.unwrap();
        }
    });
    let server = NameServerConfig::new(Ipv4Addr::LOCALHOST.into(), true, vec![over]);
    let config = ResolverConfig::from_name_servers(vec![server]);
    let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build().unwrap();
    SystemDns { resolver: Some(resolver).into() }
}

#[tokio::test]
async fn services_are_there_or_not_or_not_to_be_known() {
    let dns = dns().await;
    let service = |priority, weight, port, target: &str| Service { priority, weight, port, target: target.to_owned() };
    let found = dns.services("_matrix-fed._tcp.a.example").await.unwrap();
    assert_eq!(found, [service(10, 60, 443, "one.example"), service(20, 0, 0, "")]);
    assert!(dns.services("_matrix._tcp.a.example").await.unwrap().is_empty());
    assert!(dns.services("_matrix-fed._tcp.b.example").await.is_err());
    assert!(dns.services("no..name").await.is_err());
}

#[tokio::test]
async fn addresses_are_those_of_the_system() {
    assert!(SystemDns::default().addresses("localhost").await.unwrap().iter().all(std::net::IpAddr::is_loopback));
    assert!(SystemDns::default().addresses("nobody.invalid").await.is_err());
}
