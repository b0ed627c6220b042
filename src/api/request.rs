//! What a handler gets: who calls, from where, and the parsed request.

use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use matron_homeserver::Homeserver;
use matron_homeserver::streams::Token;
use matron_matrix::Error as MatrixError;
use percent_encoding::percent_decode_str;
use ruma::api::auth_scheme::AccessTokenOptional;
use ruma::api::error::{DeserializationError, FromHttpRequestError};
use ruma::api::{IncomingRequest, Metadata};
use serde::de::DeserializeOwned;

use crate::authenticate::Authenticate;
pub use crate::origin::Client;

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

/// How far a client has read, by the token that it was given.
pub fn token(homeserver: &Homeserver, text: &str) -> Result<Token, MatrixError> {
    Ok(Token::parse(text, homeserver.store.epoch())?)
}

/// The request of an endpoint with a body of another form: where ruma's type refuses what the spec allows.
pub struct Loose<T, B> {
    /// The parameters of the path, in their order.
    pub path: Vec<String>,
    /// The query, as it came.
    pub query: Option<String>,
    /// The body.
    pub body: B,
    endpoint: PhantomData<fn() -> T>,
}

impl<T: Metadata, B> Metadata for Loose<T, B> {
    const METHOD: http::Method = T::METHOD;
    const RATE_LIMITED: bool = T::RATE_LIMITED;
    type Authentication = T::Authentication;
    type PathBuilder = T::PathBuilder;
    const PATH_BUILDER: T::PathBuilder = T::PATH_BUILDER;
}

impl<T: IncomingRequest, B: DeserializeOwned> IncomingRequest for Loose<T, B> {
    type EndpointError = T::EndpointError;
    type OutgoingResponse = T::OutgoingResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let body = serde_json::from_slice(request.body())?;
        let query = request.uri().query().map(ToOwned::to_owned);
        Ok(Self { path: path_args.iter().map(ToString::to_string).collect(), query, body, endpoint: PhantomData })
    }
}

/// The request of an endpoint whose query is changed before it is parsed: where clients leave out what ruma asks for, or
/// name something in another way.
pub struct Requeried<T, Q> {
    /// The request.
    pub request: T,
    /// What the query was like.
    pub query: Q,
}

/// How a query is changed.
pub trait ChangeQuery: Default {
    /// The query as it is to be parsed, where that is another one. What else is to be known of it is noted.
    fn change(&mut self, query: &str) -> Option<String>;
}

impl<T: Metadata, Q> Metadata for Requeried<T, Q> {
    const METHOD: http::Method = T::METHOD;
    const RATE_LIMITED: bool = T::RATE_LIMITED;
    type Authentication = T::Authentication;
    type PathBuilder = T::PathBuilder;
    const PATH_BUILDER: T::PathBuilder = T::PATH_BUILDER;
}

impl<T: IncomingRequest, Q: ChangeQuery> IncomingRequest for Requeried<T, Q> {
    type EndpointError = T::EndpointError;
    type OutgoingResponse = T::OutgoingResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let (mut parts, body) = request.into_parts();
        let mut change = Q::default();
        // What cannot be a query any more is parsed as it came.
        if let Some(query) = change.change(parts.uri.query().unwrap_or_default())
            && let Ok(uri) = format!("{}?{query}", parts.uri.path()).parse()
        {
            parts.uri = uri;
        }
        let request = T::try_from_http_request_inner(http::Request::from_parts(parts, body), path_args)?;
        Ok(Self { request, query: change })
    }
}

impl<T, B> Loose<T, B> {
    /// A parameter of the query, if it is there.
    pub fn query(&self, name: &str) -> Option<String> {
        let pairs = self.query.as_deref()?.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    }

    /// A parameter of the path as an identifier.
    pub fn id<I: FromStr<Err: Display>>(&self, nth: usize) -> Result<I, MatrixError> {
        let text = self.path.get(nth).map_or("", String::as_str);
        text.parse().map_err(|error| MatrixError::invalid_param(format!("{text}: {error}")))
    }
}

/// The request of an endpoint that tells strangers less than those who are logged in, where ruma's type asks for no token.
pub struct Known<T>(pub T);

impl<T: Metadata> Metadata for Known<T> {
    const METHOD: http::Method = T::METHOD;
    const RATE_LIMITED: bool = T::RATE_LIMITED;
    type Authentication = AccessTokenOptional;
    type PathBuilder = T::PathBuilder;
    const PATH_BUILDER: T::PathBuilder = T::PATH_BUILDER;
}

impl<T: IncomingRequest> IncomingRequest for Known<T> {
    type EndpointError = T::EndpointError;
    type OutgoingResponse = T::OutgoingResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        T::try_from_http_request_inner(request, path_args).map(Self)
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
