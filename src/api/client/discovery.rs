//! Versions and well-known documents: client-server API, "Server discovery" and "API versions".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use ruma::api::client::discovery::get_supported_versions;

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

/// Clients refuse a server that names too few, and take newer ones for what they offer.
const VERSIONS: [&str; 13] =
    ["v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12", "v1.13"];

pub fn routes(routes: &mut Routes) {
    routes.add(versions);
}

async fn versions(
    _: Arc<Homeserver>,
    _: Ruma<get_supported_versions::Request>,
) -> Result<get_supported_versions::Response> {
    Ok(get_supported_versions::Response::new(VERSIONS.map(ToOwned::to_owned).to_vec()))
}
