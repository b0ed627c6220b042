//! Client-server API, "Send-to-Device messaging".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use ruma::api::client::to_device::send_event_to_device::v3 as send;

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(send_to_device);
}

async fn send_to_device(homeserver: Arc<Homeserver>, request: Ruma<send::Request>) -> Result<send::Response> {
    let send::Request { event_type, txn_id, messages } = request.body;
    homeserver.devices.send(&request.identity, &event_type.to_string(), txn_id.as_str(), messages).await?;
    Ok(send::Response::new())
}
