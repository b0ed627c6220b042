//! One's own account: client-server API, "Account management" and "Current account information".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::lifecycle::Operation;
use ruma::api::client::account::{ThirdPartyIdRemovalStatus, change_password, deactivate, whoami};

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(who_am_i);
    routes.add(password);
    routes.add(close);
}

async fn who_am_i(_: Arc<Homeserver>, request: Ruma<whoami::v3::Request>) -> Result<whoami::v3::Response> {
    let session = request.identity;
    let mut response = whoami::v3::Response::new(session.user_id, session.guest);
    response.device_id = Some(session.device_id);
    Ok(response)
}

async fn password(
    homeserver: Arc<Homeserver>,
    request: Ruma<change_password::v3::Request>,
) -> Result<change_password::v3::Response> {
    let operation = Operation { name: "account/password", subject: "", address: request.client.address };
    let (session, body) = (request.identity.as_ref(), &request.body);
    let lifecycle = &homeserver.lifecycle;
    lifecycle.change_password(session, body.auth.as_ref(), operation, &body.new_password, body.logout_devices).await?;
    Ok(change_password::v3::Response::new())
}

async fn close(
    homeserver: Arc<Homeserver>,
    request: Ruma<deactivate::v3::Request>,
) -> Result<deactivate::v3::Response> {
    let operation = Operation { name: "account/deactivate", subject: "", address: request.client.address };
    let (session, body) = (request.identity.as_ref(), &request.body);
    homeserver.lifecycle.deactivate(session, body.auth.as_ref(), operation, body.erase).await?;
    // Nothing was bound to begin with.
    Ok(deactivate::v3::Response::new(ThirdPartyIdRemovalStatus::Success))
}
