//! Profiles: client-server API, "Profiles".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use ruma::api::client::profile::{delete_profile_field, get_profile, get_profile_field, set_profile_field};

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(whole);
    routes.add(get);
    routes.add(put);
    routes.add(delete);
}

async fn whole(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_profile::v3::Request>,
) -> Result<get_profile::v3::Response> {
    let profile = homeserver.accounts.whole_profile(&request.body.user_id).await?;
    Ok(get_profile::v3::Response::from(profile))
}

async fn get(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_profile_field::v3::Request>,
) -> Result<get_profile_field::v3::Response> {
    let get_profile_field::v3::Request { user_id, field } = request.body;
    let value = homeserver.accounts.profile_field(&user_id, &field).await?;
    Ok(get_profile_field::v3::Response::new(value))
}

async fn put(
    homeserver: Arc<Homeserver>,
    request: Ruma<set_profile_field::v3::Request>,
) -> Result<set_profile_field::v3::Response> {
    let set_profile_field::v3::Request { user_id, value } = request.body;
    if homeserver.accounts.set_profile_field(&request.identity, &user_id, &value).await? {
        homeserver.ephemeral.profile_changed(request.identity.user);
        homeserver.rooms.profile_changed(request.identity.user).await;
    }
    Ok(set_profile_field::v3::Response::new())
}

async fn delete(
    homeserver: Arc<Homeserver>,
    request: Ruma<delete_profile_field::v3::Request>,
) -> Result<delete_profile_field::v3::Response> {
    let delete_profile_field::v3::Request { user_id, field } = request.body;
    if homeserver.accounts.delete_profile_field(&request.identity, &user_id, &field).await? {
        homeserver.ephemeral.profile_changed(request.identity.user);
        homeserver.rooms.profile_changed(request.identity.user).await;
    }
    Ok(delete_profile_field::v3::Response::new())
}
