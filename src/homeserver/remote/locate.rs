//! Where calls go: the addresses behind the host of an URI, for any host and for Matrix servers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use http::Uri;

use super::dns::{Dns, Service};

#[cfg(test)]
mod tests;

/// Where a Matrix server is when nobody says otherwise.
const MATRIX_PORT: u16 = 8448;
/// How many of a server's services are looked at.
const MOST_SERVICES: usize = 6;
/// The services of a Matrix server: the registered one, and the one of old.
const SERVICES: [&str; 2] = ["_matrix-fed._tcp", "_matrix._tcp"];

/// Why nothing was found.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Finds the addresses behind an URI.
#[async_trait]
pub trait Locate: std::fmt::Debug + Send + Sync {
    /// Where to connect to, best first.
    ///
    /// # Errors
    /// The host has no addresses.
    async fn locate(&self, uri: &Uri) -> Result<Vec<SocketAddr>, BoxError>;
}

/// Any host: its addresses, and the port of the URI or its scheme.
#[derive(Debug)]
pub struct Hosts(pub Arc<dyn Dns>);

/// A Matrix server by the name that it has after delegation, which stands in the URI as its host: server-server API,
/// "Resolving server names", from step 4 on (which is 3.3 for a delegated name).
#[derive(Debug)]
pub struct Servers(pub Arc<dyn Dns>);

fn host(uri: &Uri) -> Result<&str, BoxError> {
    uri.host().ok_or_else(|| "the address names no host".into())
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

async fn addresses(dns: &dyn Dns, host: &str, port: u16) -> Result<Vec<SocketAddr>, BoxError> {
    if let Some(address) = literal(host) {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    Ok(dns.addresses(host).await?.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

#[async_trait]
impl Locate for Hosts {
    async fn locate(&self, uri: &Uri) -> Result<Vec<SocketAddr>, BoxError> {
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        addresses(&*self.0, host(uri)?, port).await
    }
}

#[async_trait]
impl Locate for Servers {
    async fn locate(&self, uri: &Uri) -> Result<Vec<SocketAddr>, BoxError> {
        let (dns, host) = (&*self.0, host(uri)?);
        if let Some(port) = uri.port_u16() {
            return addresses(dns, host, port).await;
        }
        if literal(host).is_none() {
            for service in SERVICES {
                // What cannot be looked up is as good as not there: the certificate must be the host's in any case.
                let found = dns.services(&format!("{service}.{host}")).await.unwrap_or_else(|error| {
                    tracing::debug!(%error, %host, service, "a service cannot be looked up");
                    Vec::new()
                });
                if !found.is_empty() {
                    return of_services(dns, found).await;
                }
            }
        }
        addresses(dns, host, MATRIX_PORT).await
    }
}

async fn of_services(dns: &dyn Dns, services: Vec<Service>) -> Result<Vec<SocketAddr>, BoxError> {
    let mut found = Vec::new();
    let mut last: BoxError = "the host is said to serve no Matrix".into();
    for service in in_order(services).into_iter().filter(|service| !service.target.is_empty()).take(MOST_SERVICES) {
        match addresses(dns, &service.target, service.port).await {
            Ok(addresses) => found.extend(addresses),
            Err(error) => last = error,
        }
    }
    if found.is_empty() { Err(last) } else { Ok(found) }
}

/// By priority, and within one by chance as the weights have it: each service draws a number, the sooner the heavier.
fn in_order(services: Vec<Service>) -> Vec<Service> {
    let draw =
        |service: &Service| -(1.0 - rand::random::<f64>()).ln() / f64::from(service.weight).max(f64::MIN_POSITIVE);
    let mut drawn: Vec<_> = services.into_iter().map(|service| (service.priority, draw(&service), service)).collect();
    drawn.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    drawn.into_iter().map(|(_, _, service)| service).collect()
}
