//! Filters: client-server API, "Filtering".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use ruma::api::client::filter::{create_filter, get_filter};

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(create);
    routes.add(get);
}

async fn create(
    homeserver: Arc<Homeserver>,
    request: Ruma<create_filter::v3::Request>,
) -> Result<create_filter::v3::Response> {
    let create_filter::v3::Request { user_id, filter } = request.body;
    let id = homeserver.accounts.create_filter(&request.identity, &user_id, &filter).await?;
    Ok(create_filter::v3::Response::new(id))
}

async fn get(homeserver: Arc<Homeserver>, request: Ruma<get_filter::v3::Request>) -> Result<get_filter::v3::Response> {
    let get_filter::v3::Request { user_id, filter_id } = request.body;
    let filter = homeserver.accounts.get_filter(&request.identity, &user_id, &filter_id).await?;
    Ok(get_filter::v3::Response::new(Arc::unwrap_or_clone(filter)))
}
