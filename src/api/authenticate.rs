//! Who calls: one identity type per authentication scheme, so that no handler unwraps anything.

use std::sync::Arc;

use http::request::Parts;
use matron_homeserver::Homeserver;
use matron_homeserver::accounts::Session;
use matron_matrix::Error as MatrixError;
use ruma::api::auth_scheme::{
    AccessToken, AccessTokenOptional, AppserviceTokenOptional, AuthScheme, NoAccessToken, NoAuthentication,
};

use crate::error::Result;
use crate::origin::Client;

/// An authentication scheme, and whom it yields.
pub trait Authenticate: AuthScheme {
    /// Whom it yields.
    type Identity: Send;

    /// Finds out who calls.
    fn authenticate(
        homeserver: &Arc<Homeserver>,
        parts: &Parts,
        client: &Client,
    ) -> impl Future<Output = Result<Self::Identity>> + Send;

    /// The session among the identity, if there is one.
    fn session(_: &Self::Identity) -> Option<&Session> {
        None
    }
}

/// Only headers and query matter to a scheme.
fn bare(parts: &Parts) -> Result<http::Request<()>> {
    let mut request = http::Request::builder().method(parts.method.clone()).uri(parts.uri.clone());
    if let Some(headers) = request.headers_mut()
        && let Some(value) = parts.headers.get(http::header::AUTHORIZATION)
    {
        headers.insert(http::header::AUTHORIZATION, value.clone());
    }
    Ok(request.body(()).map_err(matron_homeserver::Error::internal)?)
}

impl Authenticate for AccessToken {
    type Identity = Session;

    async fn authenticate(homeserver: &Arc<Homeserver>, parts: &Parts, client: &Client) -> Result<Session> {
        let token = Self::extract_authentication(&bare(parts)?)
            .map_err(|_| MatrixError::missing_token("an access token is needed"))?;
        session(homeserver, &token, parts, client).await
    }

    fn session(identity: &Session) -> Option<&Session> {
        Some(identity)
    }
}

impl Authenticate for AccessTokenOptional {
    type Identity = Option<Session>;

    async fn authenticate(homeserver: &Arc<Homeserver>, parts: &Parts, client: &Client) -> Result<Option<Session>> {
        match Self::extract_authentication(&bare(parts)?) {
            Ok(Some(token)) => session(homeserver, &token, parts, client).await.map(Some),
            Ok(None) => Ok(None),
            Err(_) => Err(MatrixError::missing_token("the access token cannot be read").into()),
        }
    }

    fn session(identity: &Option<Session>) -> Option<&Session> {
        identity.as_ref()
    }
}

/// No application service is known here: its token is nobody's.
impl Authenticate for AppserviceTokenOptional {
    type Identity = ();

    async fn authenticate(_: &Arc<Homeserver>, _: &Parts, _: &Client) -> Result<()> {
        Ok(())
    }
}

impl Authenticate for NoAccessToken {
    type Identity = ();

    async fn authenticate(_: &Arc<Homeserver>, _: &Parts, _: &Client) -> Result<()> {
        Ok(())
    }
}

impl Authenticate for NoAuthentication {
    type Identity = ();

    async fn authenticate(_: &Arc<Homeserver>, _: &Parts, _: &Client) -> Result<()> {
        Ok(())
    }
}

/// What somebody whose account is locked may still do.
const LOG_OUT: [&str; 4] = [
    "/_matrix/client/v3/logout",
    "/_matrix/client/v3/logout/all",
    "/_matrix/client/r0/logout",
    "/_matrix/client/r0/logout/all",
];

async fn session(homeserver: &Arc<Homeserver>, token: &str, parts: &Parts, client: &Client) -> Result<Session> {
    let accounts = &homeserver.accounts;
    let session = if LOG_OUT.contains(&parts.uri.path()) {
        accounts.authenticate_even_locked(token).await?
    } else {
        accounts.authenticate(token).await?
    };
    accounts.touch(&session, client.address, &client.agent);
    Ok(session)
}
