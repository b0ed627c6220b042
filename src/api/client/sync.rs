//! `GET /sync`: client-server API, "Syncing".

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use matron_homeserver::Homeserver;
use matron_homeserver::streams::{Token, TokenError};
use matron_homeserver::sync::{Request, StateName, SyncFilter};
use matron_matrix::Error as MatrixError;
use ruma::api::Metadata;
use ruma::api::client::filter::FilterDefinition;
use ruma::api::client::sync::sync_events::v3;
use ruma::api::path_builder::PathBuilder;

use crate::error::{Result, raw_json};
use crate::request::{ChangeQuery, Requeried, Ruma};
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    for path in v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, sync);
    }
}

/// Parameters that clients still name as their proposals did.
#[derive(Default)]
struct Unstable {
    /// Whether state after the timeline was asked for by its proposal's name, and is to be told by that.
    state_after: bool,
}

impl ChangeQuery for Unstable {
    fn change(&mut self, query: &str) -> Option<String> {
        if !query.contains("use_state_after=") {
            return None;
        }
        let is_there = query.split('&').any(|pair| pair.starts_with("use_state_after="));
        self.state_after = !is_there;
        let pairs =
            query.split('&').filter_map(|pair| match pair.strip_prefix("org.matrix.msc4222.use_state_after=") {
                Some(_) if is_there => None,
                Some(value) => Some(format!("use_state_after={value}")),
                None => Some(pair.to_owned()),
            });
        Some(pairs.collect::<Vec<_>>().join("&"))
    }
}

async fn sync(homeserver: Arc<Homeserver>, request: Ruma<Requeried<v3::Request, Unstable>>) -> Result<Response> {
    let (session, Requeried { request: body, query }) = (&request.identity, &request.body);
    let filter = match &body.filter {
        None => SyncFilter::try_from(&FilterDefinition::default())?,
        Some(v3::Filter::FilterDefinition(definition)) => SyncFilter::try_from(definition)?,
        Some(v3::Filter::FilterId(id)) => {
            let filter = homeserver.accounts.filter(&homeserver.store.snapshot(), session.user, id).await?;
            SyncFilter::try_from(&*filter)?
        }
    };
    let since = body.since.as_deref().map(|since| Token::parse(since, homeserver.store.epoch())).transpose();
    let (since, mends) = match since {
        Ok(since) => (since, false),
        Err(TokenError::OtherEpoch) => (None, true),
        Err(error) => return Err(MatrixError::from(error).into()),
    };
    let asked = Request {
        since,
        mends,
        filter,
        full_state: body.full_state,
        state: match (body.use_state_after, query.state_after) {
            (false, _) => StateName::State,
            (true, false) => StateName::StateAfter,
            (true, true) => StateName::ProposedStateAfter,
        },
        timeout: body.timeout.unwrap_or(Duration::ZERO),
        set_presence: body.set_presence.clone(),
    };
    let answer = homeserver.sync.classic(session, &asked, homeserver.stopping()).await?;
    Ok(raw_json(answer.to_json(asked.state)))
}
