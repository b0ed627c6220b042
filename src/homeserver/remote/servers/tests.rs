//! What another server sees of a call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use matron_matrix::authentication;
use matron_storage::{Options, Store};
use ruma::{ServerName, server_name};

use super::{Call, Servers};
use crate::clock::Clock;
use crate::remote::addresses::Addresses;
use crate::remote::dns::Service;
use crate::remote::fixture::{Came, Far, Names};
use crate::remote::http::{CallError, Limits};
use crate::remote::trust;
use crate::signing::SigningKey;
use crate::streams::Streams;

const LIMITS: Limits = Limits { within: Duration::from_secs(20), bytes: 1 << 10 };
const CALL: Call<'static> = Call { method: Method::PUT, uri: "/_matrix/test?x=1", content: Some(r#"{"a":1}"#) };

fn echo(came: &Came) -> (String, String) {
    ("200 OK".to_owned(), came.asked.clone())
}

async fn key() -> Arc<SigningKey> {
    let (streams, _news) = Streams::new(1);
    SigningKey::open(&Store::open(&Options::memory(), streams).unwrap()).await.unwrap()
}

async fn servers(far: &Far, names: Names, addresses: Addresses) -> (Servers, Arc<SigningKey>) {
    let tls = trust::client(std::slice::from_ref(&far.authority)).unwrap();
    let key = key().await;
    let name = server_name!("here.example").to_owned();
    let of = (name, Arc::clone(&key));
    (Servers::new(of, &tls, Arc::new(addresses), Arc::new(names), Clock::system()), key)
}

/// A service on the port of a server.
fn leads_to(far: &Far, name: &'static str) -> Names {
    let service = Service { priority: 1, weight: 1, port: far.address.port(), target: "there.example".to_owned() };
    Names { services: HashMap::from([(name, vec![service])]), ..Names::default() }
}

#[tokio::test]
async fn a_call_is_signed_for_the_server_that_was_named() {
    let far = Far::start(&["127.0.0.1"], |came| Some(echo(came))).await;
    let (servers, key) = servers(&far, Names::default(), Addresses::all()).await;
    let server = ServerName::parse(far.address.to_string()).unwrap();
    let answer = servers.call(&server, &CALL, LIMITS).await.unwrap();
    assert_eq!(&answer.body()[..], b"PUT /_matrix/test?x=1");
    let came = far.came().remove(0);
    assert_eq!((came.body.as_str(), came.headers["content-type"].as_str()), (r#"{"a":1}"#, "application/json"));
    assert_eq!((came.headers["host"].as_str(), came.greeted), (server.as_str(), None), "an address is no name for TLS");
    let signed = authentication::Request {
        origin: server_name!("here.example"),
        destination: &server,
        method: "PUT",
        uri: CALL.uri,
        content: CALL.content,
    };
    assert_eq!(came.headers["authorization"], signed.authorization(&*key));
}

#[tokio::test]
async fn by_a_service_the_name_stays_for_host_and_certificate() {
    let far = Far::start(&["a.example"], |came| Some(echo(came))).await;
    // Nothing listens on port 443, so that there is no delegation.
    let (servers, _) = servers(&far, leads_to(&far, "_matrix-fed._tcp.a.example"), Addresses::all()).await;
    servers.call(server_name!("a.example"), &CALL, LIMITS).await.unwrap();
    let came = far.came().remove(0);
    assert_eq!((came.headers["host"].as_str(), came.greeted.as_deref()), ("a.example", Some("a.example")));
}

#[tokio::test]
async fn who_has_no_certificate_for_the_name_gets_no_request() {
    let far = Far::start(&["there.example"], |came| Some(echo(came))).await;
    let (servers, _) = servers(&far, leads_to(&far, "_matrix-fed._tcp.a.example"), Addresses::all()).await;
    let refused = servers.call(server_name!("a.example"), &CALL, LIMITS).await;
    assert!(matches!(refused, Err(CallError::Unreachable(_))), "{refused:?}");
    assert!(far.came().is_empty());
}

#[tokio::test]
async fn neither_names_nor_services_lead_into_the_network() {
    let far = Far::start(&["a.example", "127.0.0.1"], |came| Some(echo(came))).await;
    let (servers, _) = servers(&far, leads_to(&far, "_matrix-fed._tcp.a.example"), Addresses::default()).await;
    let address = ServerName::parse(far.address.to_string()).unwrap();
    for server in [server_name!("a.example"), &address, server_name!("b.example:8448")] {
        assert_eq!(servers.call(server, &CALL, LIMITS).await.unwrap_err(), CallError::Denied, "{server}");
    }
    assert!(far.came().is_empty());
}

#[tokio::test]
async fn silence_ends_in_time() {
    let far = Far::start(&["127.0.0.1"], |_| None).await;
    let (servers, _) = servers(&far, Names::default(), Addresses::all()).await;
    let server = ServerName::parse(far.address.to_string()).unwrap();
    let limits = Limits { within: Duration::from_millis(100), ..LIMITS };
    assert_eq!(servers.call(&server, &CALL, limits).await.unwrap_err(), CallError::TimedOut);
}

#[tokio::test]
async fn the_port_of_https_stands_in_the_host_header() {
    let far = Far::start(&["a.example"], |came| Some(echo(came))).await;
    let (servers, _) = servers(&far, Names::default(), Addresses::all()).await;
    let host_of = |name: &str| {
        let name = ServerName::parse(name).unwrap();
        servers.request(server_name!("a.example"), &CALL, &name).unwrap().headers().get("host").cloned()
    };
    assert_eq!(host_of("b.example:443").unwrap(), "b.example:443");
    // All others HTTP writes there itself, from the URI.
    assert_eq!(host_of("b.example:8448"), None);
    assert_eq!(host_of("b.example"), None);
}
