//! Finding people: client-server API, "User Directory".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use ruma::api::client::user_directory::search_users;

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(search);
}

async fn search(
    homeserver: Arc<Homeserver>,
    request: Ruma<search_users::v3::Request>,
) -> Result<search_users::v3::Response> {
    let search_users::v3::Request { search_term, limit, .. } = request.body;
    let limit = usize::try_from(u64::from(limit)).unwrap_or(usize::MAX);
    let found = homeserver.directory.search(&request.identity, &search_term, limit).await?;
    let people = found.people.into_iter().map(|person| {
        let mut user = search_users::v3::User::new(person.user_id);
        user.display_name = person.display_name;
        user.avatar_url = person.avatar_url;
        user
    });
    Ok(search_users::v3::Response::new(people.collect(), found.limited))
}
