//! A room's threads: client-server API, "Querying threads in a room".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::rooms::threads::MOST_THREADS;
use matron_matrix::Error as MatrixError;
use ruma::api::client::threads::get_threads::v1::{IncludeThreads, Request, Response};
use ruma::serde::Raw;

use crate::error::Result;
use crate::request::{Ruma, token};
use crate::router::Routes;

/// How many threads a page holds where the client does not say.
const USUAL_LIMIT: usize = 20;

pub fn routes(routes: &mut Routes) {
    routes.add(threads);
}

async fn threads(homeserver: Arc<Homeserver>, request: Ruma<Request>) -> Result<Response> {
    let body = request.body;
    let participated = match body.include {
        IncludeThreads::All => false,
        IncludeThreads::Participated => true,
        _ => return Err(MatrixError::invalid_param("`include` is all or participated").into()),
    };
    let limit = body.limit.map_or(USUAL_LIMIT, |limit| usize::try_from(u64::from(limit)).unwrap_or(MOST_THREADS));
    let from = body.from.map(|from| token(&homeserver, &from)).transpose()?;
    let threads = homeserver.rooms.threads(&request.identity, &body.room_id, participated, from, limit).await?;
    let mut response = Response::new(threads.roots.into_iter().map(Raw::from_json).collect());
    response.next_batch = threads.next.map(|next| next.render(homeserver.store.epoch()));
    Ok(response)
}
