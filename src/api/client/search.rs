//! Searching what was said: client-server API, "Server Side Search".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_homeserver::search::{Answer, Around, Asked, GroupBy, Key, Order};
use matron_matrix::Error as MatrixError;
use ruma::UInt;
use ruma::api::Metadata;
use ruma::api::client::filter::RoomEventFilter;
use ruma::api::client::search::search_events::v3::{
    EventContext, GroupingKey, Groupings, OrderBy, Request, SearchKeys,
};
use ruma::api::path_builder::PathBuilder;
use serde::{Deserialize, Serialize};

use crate::error::{Result, json};
use crate::request::{Loose, Ruma};
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    // ruma leaves out empty lists of results, and cannot tell a context that is not asked for from the usual one.
    for path in Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, search);
    }
}

#[derive(Deserialize)]
struct Body {
    search_categories: Categories,
}

#[derive(Deserialize)]
struct Categories {
    room_events: Option<Criteria>,
}

#[derive(Deserialize)]
struct Criteria {
    search_term: String,
    keys: Option<Vec<SearchKeys>>,
    #[serde(default)]
    filter: RoomEventFilter,
    order_by: Option<OrderBy>,
    event_context: Option<EventContext>,
    #[serde(default)]
    include_state: bool,
    #[serde(default)]
    groupings: Groupings,
}

#[derive(Serialize)]
struct Found {
    search_categories: FoundCategories,
}

#[derive(Serialize)]
struct FoundCategories {
    #[serde(skip_serializing_if = "Option::is_none")]
    room_events: Option<Answer>,
}

fn key(key: &SearchKeys) -> Result<Key, MatrixError> {
    match key {
        SearchKeys::ContentBody => Ok(Key::Body),
        SearchKeys::ContentName => Ok(Key::Name),
        SearchKeys::ContentTopic => Ok(Key::Topic),
        key => Err(MatrixError::invalid_param(format!("{} cannot be searched", key.as_str()))),
    }
}

fn group(key: &GroupingKey) -> Result<GroupBy, MatrixError> {
    match key {
        GroupingKey::RoomId => Ok(GroupBy::Room),
        GroupingKey::Sender => Ok(GroupBy::Sender),
        key => Err(MatrixError::invalid_param(format!("results are not grouped by {}", key.as_str()))),
    }
}

fn number(number: UInt) -> usize {
    usize::try_from(u64::from(number)).unwrap_or(usize::MAX)
}

fn asked(criteria: Criteria, from: Option<String>) -> Result<Asked, MatrixError> {
    let order = match &criteria.order_by {
        None | Some(OrderBy::Rank) => Order::Rank,
        Some(OrderBy::Recent) => Order::Recent,
        Some(order) => {
            return Err(MatrixError::invalid_param(format!("results are not ordered by {}", order.as_str())));
        }
    };
    let groups = criteria.groupings.group_by.iter().filter_map(|grouping| grouping.key.as_ref());
    Ok(Asked {
        term: criteria.search_term,
        keys: criteria.keys.iter().flatten().map(key).collect::<Result<_, _>>()?,
        filter: criteria.filter,
        order,
        around: criteria.event_context.map(|context| Around {
            before: number(context.before_limit),
            after: number(context.after_limit),
            profiles: context.include_profile,
        }),
        state: criteria.include_state,
        groups: groups.map(group).collect::<Result<_, _>>()?,
        from,
    })
}

async fn search(homeserver: Arc<Homeserver>, request: Ruma<Loose<Request, Body>>) -> Result<Response> {
    let from = request.body.query("next_batch");
    let room_events = match request.body.body.search_categories.room_events {
        Some(criteria) => Some(homeserver.search.search(&request.identity, &asked(criteria, from)?).await?),
        None => None,
    };
    Ok(json(StatusCode::OK, &Found { search_categories: FoundCategories { room_events } }))
}
