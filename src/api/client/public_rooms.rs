//! The list of published rooms: client-server API, "Published room directory".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_homeserver::rooms::list::Asked;
use matron_matrix::Error as MatrixError;
use ruma::api::Metadata;
use ruma::api::client::directory::{get_public_rooms, get_public_rooms_filtered};
use ruma::api::path_builder::PathBuilder;
use ruma::directory::RoomNetwork;
use ruma::{ServerName, UInt};
use serde::Serialize;

use super::summary::Chunk;
use crate::error::{Result, json};
use crate::request::{Known, Ruma};
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    // ruma leaves out the join rule of public rooms, and clients and tests want to see it.
    for path in get_public_rooms::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, list);
    }
    for path in get_public_rooms_filtered::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, search);
    }
}

#[derive(Serialize)]
struct List {
    chunk: Vec<Chunk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    total_room_count_estimate: u64,
}

fn limit(limit: Option<UInt>) -> Option<usize> {
    limit.map(|limit| usize::try_from(u64::from(limit)).unwrap_or(usize::MAX))
}

/// No other server is asked for its list yet.
fn of_this_server(homeserver: &Homeserver, server: Option<&ServerName>) -> Result<()> {
    if server.is_some_and(|server| server != homeserver.config.server_name) {
        return Err(MatrixError::not_found("the lists of other servers are not served").into());
    }
    Ok(())
}

async fn list(homeserver: Arc<Homeserver>, request: Ruma<Known<get_public_rooms::v3::Request>>) -> Result<Response> {
    if request.identity.is_none() && !homeserver.config.finding.list_for_strangers {
        return Err(MatrixError::missing_token("an access token is needed").into());
    }
    let Known(body) = request.body;
    of_this_server(&homeserver, body.server.as_deref())?;
    answer(&homeserver, Asked { limit: limit(body.limit), since: body.since, ..Asked::default() }).await
}

async fn search(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_public_rooms_filtered::v3::Request>,
) -> Result<Response> {
    let body = request.body;
    of_this_server(&homeserver, body.server.as_deref())?;
    if matches!(body.room_network, RoomNetwork::ThirdParty(_)) {
        return Err(MatrixError::invalid_param("there is no such network here").into());
    }
    let types = body.filter.room_types.iter().map(|kind| kind.as_str().map(ToOwned::to_owned));
    let asked = Asked {
        limit: limit(body.limit),
        since: body.since,
        term: body.filter.generic_search_term,
        types: types.collect(),
    };
    answer(&homeserver, asked).await
}

async fn answer(homeserver: &Homeserver, asked: Asked) -> Result<Response> {
    let page = homeserver.rooms.published(asked).await?;
    let list = List {
        chunk: page.rooms.into_iter().map(Chunk::from).collect(),
        next_batch: page.next,
        prev_batch: page.prev,
        total_room_count_estimate: page.total,
    };
    Ok(json(StatusCode::OK, &list))
}
