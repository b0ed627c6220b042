//! The admin API: what Synapse's scripts and tools expect under `/_synapse/admin`.

mod register;

use crate::router::Routes;

/// All endpoints of the admin API.
pub fn routes(routes: &mut Routes) {
    register::routes(routes);
}
