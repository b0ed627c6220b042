//! Calls to other Matrix servers: found by their names, over TLS for those names, and signed.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::Full;
use matron_matrix::authentication;
use ruma::{OwnedServerName, ServerName};
use tokio_rustls::rustls::ClientConfig;

use super::addresses::Addresses;
use super::dns::Dns;
use super::http::{CallError, Client, Limits};
use super::locate;
use super::well_known::WellKnown;
use crate::clock::Clock;
use crate::signing::SigningKey;

#[cfg(test)]
mod tests;

/// The port that HTTP leaves out of a `Host` header, and Matrix does not.
const HTTPS_PORT: u16 = 443;

/// What is asked of another server.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// The path, from its first slash on, with the query.
    pub uri: &'a str,
    /// The body in canonical JSON, where there is one.
    pub content: Option<&'a str>,
}

/// Other Matrix servers, as this one calls them.
#[derive(Debug)]
pub struct Servers {
    /// Who calls.
    name: OwnedServerName,
    key: Arc<SigningKey>,
    well_known: WellKnown,
    client: Client,
}

impl Servers {
    /// Calls in the name of this server.
    #[must_use]
    pub fn new(
        (name, key): (OwnedServerName, Arc<SigningKey>),
        tls: &Arc<ClientConfig>,
        addresses: Arc<Addresses>,
        dns: Arc<dyn Dns>,
        clock: Clock,
    ) -> Self {
        let hosts = Client::finding(tls, Arc::clone(&addresses), Arc::new(locate::Hosts(Arc::clone(&dns))));
        let client = Client::finding(tls, addresses, Arc::new(locate::Servers(dns)));
        Self { name, key, well_known: WellKnown::new(hosts, clock), client }
    }

    /// Asks a server for something, and reads its whole answer, whatever its status.
    ///
    /// # Errors
    /// There is no answer within the limits.
    pub async fn call(
        &self,
        server: &ServerName,
        call: &Call<'_>,
        limits: Limits,
    ) -> Result<Response<Bytes>, CallError> {
        let answer = async {
            let request = self.request(server, call, &self.well_known.delegate(server).await)?;
            self.client.call(request, limits).await
        };
        tokio::time::timeout(limits.within, answer).await.map_err(|_| CallError::TimedOut)?
    }

    /// The signed request. The URI's host is the name that the server is found under; the rest follows from it, the
    /// certificate and the pool of connections too.
    fn request(
        &self,
        server: &ServerName,
        call: &Call<'_>,
        found_under: &ServerName,
    ) -> Result<Request<Full<Bytes>>, CallError> {
        let signed = authentication::Request {
            origin: &self.name,
            destination: server,
            method: call.method.as_str(),
            uri: call.uri,
            content: call.content,
        };
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(format!("https://{found_under}{}", call.uri))
            .header(AUTHORIZATION, signed.authorization(&*self.key))
            .header(USER_AGENT, super::AGENT);
        if found_under.port() == Some(HTTPS_PORT) {
            request = request.header(HOST, found_under.as_str());
        }
        if call.content.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = call.content.map(|content| Bytes::copy_from_slice(content.as_bytes())).unwrap_or_default();
        request.body(Full::new(body)).map_err(|error| CallError::Unreachable(error.to_string()))
    }
}
