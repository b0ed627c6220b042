//! Networks beyond Matrix: client-server API, "Third-party Networks". No bridge leads there from here.

use std::collections::BTreeMap;
use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_matrix::Error as MatrixError;
use ruma::api::IncomingRequest;
use ruma::api::client::thirdparty::{
    get_location_for_protocol, get_location_for_room_alias, get_protocol, get_protocols, get_user_for_protocol,
    get_user_for_user_id,
};

use crate::authenticate::Authenticate;
use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(protocols);
    routes.add(not_found::<get_protocol::v3::Request>);
    routes.add(not_found::<get_location_for_protocol::v3::Request>);
    routes.add(not_found::<get_location_for_room_alias::v3::Request>);
    routes.add(not_found::<get_user_for_protocol::v3::Request>);
    routes.add(not_found::<get_user_for_user_id::v3::Request>);
}

async fn protocols(_: Arc<Homeserver>, _: Ruma<get_protocols::v3::Request>) -> Result<get_protocols::v3::Response> {
    Ok(get_protocols::v3::Response::new(BTreeMap::new()))
}

/// Whatever is asked for beyond.
async fn not_found<T>(_: Arc<Homeserver>, _: Ruma<T>) -> Result<T::OutgoingResponse>
where
    T: IncomingRequest,
    T::Authentication: Authenticate,
{
    Err(MatrixError::not_found("no other network is bridged here").into())
}
