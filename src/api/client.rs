//! The client-server API: a file per chapter of the spec.

mod account_data;
mod discovery;
mod filter;
mod profile;
mod push_rules;
mod tags;

use crate::router::Routes;

/// All endpoints of the client-server API.
pub fn routes(routes: &mut Routes) {
    discovery::routes(routes);
    push_rules::routes(routes);
    account_data::routes(routes);
    tags::routes(routes);
    profile::routes(routes);
    filter::routes(routes);
}
