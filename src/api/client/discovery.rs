//! Versions and well-known documents: client-server API, "Server discovery" and "API versions".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_matrix::Error as MatrixError;
use ruma::api::client::discovery::discover_support::{Contact, ContactRole};
use ruma::api::client::discovery::{discover_homeserver, discover_support, get_supported_versions};

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

/// Clients refuse a server that names too few, and take newer ones for what they offer.
const VERSIONS: [&str; 13] =
    ["v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12", "v1.13"];

/// What is served of proposals, by the names under which clients look for it: each flag stands for paths that are routed.
const UNSTABLE: [&str; 11] = [
    "org.matrix.msc3030",
    "org.matrix.msc3266",
    "org.matrix.msc3814",
    "org.matrix.msc3814.v1",
    "org.matrix.msc4155",
    "org.matrix.msc4380.stable",
    "uk.half-shot.msc2666.query_mutual_rooms",
    "uk.half-shot.msc2666.query_mutual_rooms.stable",
    "uk.tcpip.msc4133",
    "uk.tcpip.msc4133.stable",
    "uk.timedout.msc4323",
];

pub fn routes(routes: &mut Routes) {
    routes.add(versions);
    routes.add(well_known_client);
    routes.add(well_known_support);
}

async fn versions(
    _: Arc<Homeserver>,
    _: Ruma<get_supported_versions::Request>,
) -> Result<get_supported_versions::Response> {
    let mut response = get_supported_versions::Response::new(VERSIONS.map(ToOwned::to_owned).to_vec());
    response.unstable_features = UNSTABLE.map(|name| (name.to_owned(), true)).into();
    Ok(response)
}

async fn well_known_client(
    homeserver: Arc<Homeserver>,
    _: Ruma<discover_homeserver::Request>,
) -> Result<discover_homeserver::Response> {
    let base_url = homeserver.config.public_url.clone();
    let base_url = base_url.ok_or_else(|| MatrixError::not_found("no public address is configured"))?;
    Ok(discover_homeserver::Response::new(discover_homeserver::HomeserverInfo::new(base_url)))
}

async fn well_known_support(
    homeserver: Arc<Homeserver>,
    _: Ruma<discover_support::Request>,
) -> Result<discover_support::Response> {
    let config = &homeserver.config;
    let contact = config.support_email.clone().map(|email| Contact::with_email_address(ContactRole::Admin, email));
    let contacts: Vec<_> = contact.into_iter().collect();
    if contacts.is_empty() && config.support_page.is_none() {
        return Err(MatrixError::not_found("no contact is configured").into());
    }
    let mut response = discover_support::Response::with_contacts(contacts);
    response.support_page.clone_from(&config.support_page);
    Ok(response)
}
