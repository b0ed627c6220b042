//! Where Matrix servers are found, once their names are known.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Locate, Servers, in_order};
use crate::remote::dns::Service;
use crate::remote::fixture::Names;

fn service(priority: u16, weight: u16, port: u16, target: &str) -> Service {
    Service { priority, weight, port, target: target.to_owned() }
}

async fn locate(names: Names, host: &str) -> Result<Vec<String>, String> {
    let found = Servers(Arc::new(names)).locate(&format!("https://{host}/path").parse().unwrap()).await;
    found.map(|all| all.iter().map(ToString::to_string).collect()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_address_is_itself() {
    for (host, address) in [
        ("1.2.3.4", "1.2.3.4:8448"),
        ("1.2.3.4:443", "1.2.3.4:443"),
        ("[2001:db8::1]", "[2001:db8::1]:8448"),
        ("[2001:db8::1]:9", "[2001:db8::1]:9"),
    ] {
        assert_eq!(locate(Names::default(), host).await.unwrap(), [address], "{host}");
    }
}

#[tokio::test]
async fn a_port_in_the_name_goes_before_services_and_without_services_it_is_8448() {
    let names = || {
        let services = vec![service(1, 1, 7, "there.example")];
        Names { services: HashMap::from([("_matrix-fed._tcp.a.example", services)]), ..Names::default() }
    };
    assert_eq!(locate(names(), "a.example:443").await.unwrap(), ["127.0.0.1:443"]);
    assert_eq!(locate(names(), "a.example").await.unwrap(), ["127.0.0.1:7"]);
    assert_eq!(locate(names(), "b.example").await.unwrap(), ["127.0.0.1:8448"]);
}

#[tokio::test]
async fn the_registered_service_goes_before_that_of_old() {
    let old = ("_matrix._tcp.a.example", vec![service(1, 1, 8, "old.example")]);
    let new = ("_matrix-fed._tcp.a.example", vec![service(1, 1, 7, "new.example")]);
    let with = |services: HashMap<_, _>| Names { services, ..Names::default() };
    assert_eq!(locate(with(HashMap::from([old.clone(), new])), "a.example").await.unwrap(), ["127.0.0.1:7"]);
    assert_eq!(locate(with(HashMap::from([old.clone()])), "a.example").await.unwrap(), ["127.0.0.1:8"]);
    // One that cannot be looked up is as if it were not there.
    let names = Names { broken: vec!["_matrix-fed._tcp.a.example"], ..with(HashMap::from([old])) };
    assert_eq!(locate(names, "a.example").await.unwrap(), ["127.0.0.1:8"]);
}

#[tokio::test]
async fn services_are_tried_by_priority_and_without_those_that_are_nowhere() {
    let services =
        vec![service(20, 0, 3, "third.example"), service(10, 0, 2, "second.example"), service(5, 0, 1, "gone.example")];
    let services = HashMap::from([("_matrix-fed._tcp.a.example", services)]);
    let names = Names { services, nowhere: vec!["gone.example"], ..Names::default() };
    assert_eq!(locate(names, "a.example").await.unwrap(), ["127.0.0.1:2", "127.0.0.1:3"]);
    // "." says that there is no such service: then nothing else is tried either.
    let services = HashMap::from([("_matrix-fed._tcp.a.example", vec![service(0, 0, 0, "")])]);
    assert!(locate(Names { services, ..Names::default() }, "a.example").await.is_err());
    assert!(locate(Names { nowhere: vec!["a.example"], ..Names::default() }, "a.example").await.is_err());
}

#[test]
fn the_heavier_is_mostly_first() {
    let services = || vec![service(1, 0, 0, "never"), service(1, 10, 1, "light"), service(1, 90, 2, "heavy")];
    let firsts: Vec<_> = (0..1000).map(|_| in_order(services()).remove(0).target).collect();
    let count = |name: &str| firsts.iter().filter(|first| *first == name).count();
    // Nine of ten, with more room than chance ever takes.
    assert!((800..970).contains(&count("heavy")), "{}", count("heavy"));
    assert_eq!(count("never"), 0);
}
