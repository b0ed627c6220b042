//! Profiles: client-server API, "Profiles".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::schema::UserNum;
use matron_matrix::Error as MatrixError;
use ruma::OwnedUserId;
use ruma::api::client::profile::{delete_profile_field, get_profile, get_profile_field, set_profile_field};
use ruma::profile::ProfileFieldValue;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::request::{Loose, Ruma, bad_json};
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

/// Tells of a new name or picture wherever its user is seen.
async fn tell(homeserver: &Homeserver, user: UserNum) {
    homeserver.ephemeral.profile_changed(user);
    homeserver.rooms.profile_changed(user).await;
}

/// ruma takes what stands beside the field, or instead of it, for no JSON.
async fn put(
    homeserver: Arc<Homeserver>,
    request: Ruma<Loose<set_profile_field::v3::Request, Map<String, Value>>>,
) -> Result<set_profile_field::v3::Response> {
    let user_id = request.body.id::<OwnedUserId>(0)?;
    let name = request.body.path.get(1).map_or("", String::as_str);
    let value = request.body.body.get(name);
    let value = value.ok_or_else(|| MatrixError::missing_param("the body does not have the field of the path"))?;
    let value = ProfileFieldValue::new(name, value.clone()).map_err(|error| bad_json(&error))?;
    let (house, session) = (Arc::clone(&homeserver), request.identity);
    let done = homeserver.to_its_end(async move {
        if house.accounts.set_profile_field(&session, &user_id, &value).await? {
            tell(&house, session.user).await;
        }
        Ok(())
    });
    done.await?;
    Ok(set_profile_field::v3::Response::new())
}

async fn delete(
    homeserver: Arc<Homeserver>,
    request: Ruma<delete_profile_field::v3::Request>,
) -> Result<delete_profile_field::v3::Response> {
    let delete_profile_field::v3::Request { user_id, field } = request.body;
    let (house, session) = (Arc::clone(&homeserver), request.identity);
    let done = homeserver.to_its_end(async move {
        if house.accounts.delete_profile_field(&session, &user_id, &field).await? {
            tell(&house, session.user).await;
        }
        Ok(())
    });
    done.await?;
    Ok(delete_profile_field::v3::Response::new())
}
