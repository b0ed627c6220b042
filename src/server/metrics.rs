//! The page of metrics, and the listener where Prometheus reads it. What is counted lies with its owners as plain numbers;
//! here they get their names when somebody looks.

mod certificates;
mod disk;
mod domain;
mod process;
mod sheet;
mod store;
mod traffic;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use matron_homeserver::Homeserver;
use matron_homeserver::config::MediaStorage;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use crate::listen::Tls;

pub use traffic::Traffic;

/// All that is on the page.
pub fn registry(
    homeserver: &Arc<Homeserver>,
    traffic: &Arc<Traffic>,
    data_dir: PathBuf,
    certificates: Vec<(SocketAddr, Arc<Tls>)>,
) -> Registry {
    let mut registry = Registry::with_prefix("matron");
    registry.register_collector(Box::new(traffic::Collect(Arc::clone(traffic))));
    registry.register_collector(Box::new(store::Collect(Arc::clone(&homeserver.store))));
    registry.register_collector(Box::new(domain::Collect(Arc::clone(homeserver))));
    registry.register_collector(Box::new(disk::Collect(folders(homeserver, data_dir))));
    registry.register_collector(Box::new(certificates::Collect(certificates)));
    registry.register_collector(Box::new(process::Collect));
    registry
}

/// The folders that the server writes to. Where media go to a bucket, they come by a folder too.
fn folders(homeserver: &Homeserver, data_dir: PathBuf) -> Vec<(&'static str, PathBuf)> {
    let mut folders = vec![("data", data_dir)];
    match &homeserver.config.media.storage {
        MediaStorage::Folder(media) | MediaStorage::Bucket { incoming: media, .. } => {
            folders.push(("media", media.clone()));
        }
        MediaStorage::Temporary => {}
    }
    folders
}

/// Serves the registry at `/metrics`.
pub fn routes(registry: Registry) -> Router {
    let registry = Arc::new(registry);
    Router::new().route("/metrics", get(move || async move { page(&registry) }))
}

fn page(registry: &Registry) -> Response {
    let mut page = String::new();
    match text::encode(&mut page, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], page)
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
