//! `GET /sync`: client-server API, "Syncing".

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use matron_homeserver::Homeserver;
use matron_homeserver::streams::{Token, TokenError};
use matron_homeserver::sync::{Request, SyncFilter};
use matron_matrix::Error as MatrixError;
use ruma::api::Metadata;
use ruma::api::client::filter::FilterDefinition;
use ruma::api::client::sync::sync_events::v3;
use ruma::api::path_builder::PathBuilder;

use crate::error::{Result, raw_json};
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    for path in v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, sync);
    }
}

async fn sync(homeserver: Arc<Homeserver>, request: Ruma<v3::Request>) -> Result<Response> {
    let (session, body) = (&request.identity, &request.body);
    let filter = match &body.filter {
        None => SyncFilter::from(&FilterDefinition::default()),
        Some(v3::Filter::FilterDefinition(definition)) => SyncFilter::from(definition),
        Some(v3::Filter::FilterId(id)) => {
            let filter = homeserver.accounts.filter(&homeserver.store.snapshot(), session.user, id).await?;
            SyncFilter::from(&*filter)
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
        state_after: body.use_state_after,
        timeout: body.timeout.unwrap_or(Duration::ZERO),
        set_presence: body.set_presence.clone(),
    };
    let answer = homeserver.sync.classic(session, &asked, homeserver.stopping()).await?;
    Ok(raw_json(answer.to_json()))
}
