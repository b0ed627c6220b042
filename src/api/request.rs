//! What a handler gets: who calls, from where, and the parsed request.

use std::net::IpAddr;

use http::{HeaderMap, header};
use matron_matrix::Error as MatrixError;
use ruma::api::IncomingRequest;
use ruma::api::error::{DeserializationError, FromHttpRequestError};

use crate::authenticate::Authenticate;

/// A parsed request with the identity that its endpoint's authentication scheme names.
pub struct Ruma<T: IncomingRequest>
where
    T::Authentication: Authenticate,
{
    /// Who calls.
    pub identity: <T::Authentication as Authenticate>::Identity,
    /// From where.
    pub client: Client,
    /// What for.
    pub body: T,
}

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

/// The spec's errcode for a request that cannot be parsed.
pub fn bad_request(error: &FromHttpRequestError) -> MatrixError {
    let message = error.to_string();
    match error {
        FromHttpRequestError::Deserialization(DeserializationError::Json(json)) => bad_json(json),
        FromHttpRequestError::Deserialization(_) if message.contains("missing field") => {
            MatrixError::missing_param(message)
        }
        _ => MatrixError::invalid_param(message),
    }
}

/// The spec's errcode for a body that is no JSON, or not of the form that it should have.
pub fn bad_json(error: &serde_json::Error) -> MatrixError {
    let message = error.to_string();
    if !error.is_data() {
        MatrixError::not_json(message)
    } else if message.contains("missing field") {
        MatrixError::missing_param(message)
    } else {
        MatrixError::bad_json(message)
    }
}
