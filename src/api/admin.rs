//! The admin API: what Synapse's scripts and tools expect under `/_synapse/admin`.

mod notices;
mod register;

use crate::router::Routes;

/// All endpoints of the admin API.
pub fn routes(routes: &mut Routes) {
    notices::routes(routes);
    register::routes(routes);
}
