//! The server-server API, as far as it is served: a file per chapter.

mod openid;

use crate::router::Routes;

/// All endpoints of the server-server API.
pub fn routes(routes: &mut Routes) {
    openid::routes(routes);
}
