//! The client-server API: a file per chapter of the spec.

mod discovery;

use crate::router::Routes;

/// All endpoints of the client-server API.
pub fn routes(routes: &mut Routes) {
    discovery::routes(routes);
}
