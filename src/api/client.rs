//! The client-server API: a file per chapter of the spec.

mod account;
mod capabilities;
mod device_management;
mod discovery;
mod login;
mod register;

use crate::router::Routes;

/// All endpoints of the client-server API.
pub fn routes(routes: &mut Routes) {
    account::routes(routes);
    capabilities::routes(routes);
    device_management::routes(routes);
    discovery::routes(routes);
    login::routes(routes);
    register::routes(routes);
}

#[cfg(test)]
mod tests;
