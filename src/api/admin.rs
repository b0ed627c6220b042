//! The admin API: what Synapse's scripts and tools expect under `/_synapse/admin`.

mod notices;
mod rate_limits;
mod register;

use std::sync::Arc;

use http::request::Parts;
use matron_homeserver::Homeserver;
use matron_homeserver::accounts::Session;
use ruma::api::auth_scheme::AccessToken;

use crate::authenticate::Authenticate;
use crate::error::Result;
use crate::origin::Client;
use crate::router::Routes;

/// All endpoints of the admin API.
pub fn routes(routes: &mut Routes) {
    notices::routes(routes);
    rate_limits::routes(routes);
    register::routes(routes);
}

/// The administrator who calls: nobody else's request is looked at any further. The domain asks again.
async fn administrator(homeserver: &Arc<Homeserver>, parts: &Parts, client: &Client) -> Result<Session> {
    let session: Session = AccessToken::authenticate(homeserver, parts, client).await?;
    session.may_administer()?;
    Ok(session)
}
