//! Reports to the administrators: client-server API, "Reporting Content".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use ruma::api::client::reporting::report_user;
use ruma::api::client::room::{report_content, report_room};

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(event);
    routes.add(room);
    routes.add(user);
}

async fn event(
    homeserver: Arc<Homeserver>,
    request: Ruma<report_content::v3::Request>,
) -> Result<report_content::v3::Response> {
    let report_content::v3::Request { room_id, event_id, reason, .. } = request.body;
    let reason = reason.unwrap_or_default();
    homeserver.reports.event(&request.identity, &room_id, &event_id, &reason).await?;
    Ok(report_content::v3::Response::new())
}

async fn room(
    homeserver: Arc<Homeserver>,
    request: Ruma<report_room::v3::Request>,
) -> Result<report_room::v3::Response> {
    let report_room::v3::Request { room_id, reason } = request.body;
    homeserver.reports.room(&request.identity, &room_id, &reason).await?;
    Ok(report_room::v3::Response::new())
}

async fn user(
    homeserver: Arc<Homeserver>,
    request: Ruma<report_user::v3::Request>,
) -> Result<report_user::v3::Response> {
    let report_user::v3::Request { user_id, reason } = request.body;
    homeserver.reports.user(&request.identity, &user_id, &reason).await?;
    Ok(report_user::v3::Response::new())
}
