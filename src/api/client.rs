//! The client-server API: a file per chapter of the spec.

mod backup;
mod discovery;
mod keys;
mod to_device;

use crate::router::Routes;

/// All endpoints of the client-server API.
pub fn routes(routes: &mut Routes) {
    backup::routes(routes);
    discovery::routes(routes);
    keys::routes(routes);
    to_device::routes(routes);
}
