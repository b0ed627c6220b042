//! The client-server API: a file per chapter of the spec.

mod account;
mod account_data;
mod admin;
mod backup;
mod capabilities;
mod create;
mod dehydrated;
mod device_management;
mod directory;
mod discovery;
mod fallback;
mod filter;
mod history;
mod keys;
mod login;
mod media;
mod membership;
mod notifications;
mod openid;
mod presence;
mod profile;
mod public_rooms;
mod push_rules;
mod pushers;
mod receipts;
mod register;
mod relations;
mod reports;
mod search;
mod send;
mod spaces;
mod state;
mod summary;
mod sync;
mod tags;
mod third_party;
mod third_party_networks;
mod threads;
mod to_device;
mod typing;
mod upgrade;
mod user_directory;
mod voip;

#[cfg(test)]
mod tests;

pub use media::Verbatim;

use crate::router::Routes;

/// All endpoints of the client-server API.
pub fn routes(routes: &mut Routes) {
    account::routes(routes);
    account_data::routes(routes);
    admin::routes(routes);
    backup::routes(routes);
    capabilities::routes(routes);
    create::routes(routes);
    dehydrated::routes(routes);
    device_management::routes(routes);
    directory::routes(routes);
    discovery::routes(routes);
    fallback::routes(routes);
    filter::routes(routes);
    history::routes(routes);
    keys::routes(routes);
    login::routes(routes);
    media::routes(routes);
    membership::routes(routes);
    openid::routes(routes);
    presence::routes(routes);
    notifications::routes(routes);
    profile::routes(routes);
    public_rooms::routes(routes);
    push_rules::routes(routes);
    pushers::routes(routes);
    receipts::routes(routes);
    register::routes(routes);
    relations::routes(routes);
    reports::routes(routes);
    search::routes(routes);
    send::routes(routes);
    spaces::routes(routes);
    state::routes(routes);
    sync::routes(routes);
    tags::routes(routes);
    third_party::routes(routes);
    third_party_networks::routes(routes);
    threads::routes(routes);
    to_device::routes(routes);
    typing::routes(routes);
    upgrade::routes(routes);
    voip::routes(routes);
    user_directory::routes(routes);
}
