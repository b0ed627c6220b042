//! The client-server API: a file per chapter of the spec.

mod account_data;
mod discovery;
mod filter;
mod profile;
mod push_rules;
mod tags;
mod backup;
mod discovery;
mod keys;
mod to_device;

use crate::router::Routes;

/// All endpoints of the client-server API.
pub fn routes(routes: &mut Routes) {
    backup::routes(routes);
    discovery::routes(routes);
    push_rules::routes(routes);
    account_data::routes(routes);
    tags::routes(routes);
    profile::routes(routes);
    filter::routes(routes);
    keys::routes(routes);
    to_device::routes(routes);
}
