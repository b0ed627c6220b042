//! The old addresses of media, from before access tokens were asked for: what is open is served there.
#![allow(deprecated, reason = "the spec's own word; clients and servers still call them")]

use std::sync::Arc;

use axum::response::Response;
use matron_homeserver::Homeserver;
use matron_homeserver::media::{Asker, Wanted};
use ruma::UInt;
use ruma::api::Metadata as _;
use ruma::api::client::media::{
    get_content, get_content_as_filename, get_content_thumbnail, get_media_config, get_media_preview,
};
use ruma::api::path_builder::PathBuilder as _;
use ruma::media::Method;

use super::{Asked, asked, preview_of, serve, serve_thumbnail, wanted};
use crate::error::Result;
use crate::request::Ruma;
use crate::router::{Routes, Streamed};

pub fn routes(routes: &mut Routes) {
    routes.add(config);
    for path in get_media_preview::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, preview);
    }
    routes.add_streaming(download);
    routes.add_streaming(download_as);
    routes.add_streaming(thumbnail);
}

async fn config(
    homeserver: Arc<Homeserver>,
    _: Ruma<get_media_config::v3::Request>,
) -> Result<get_media_config::v3::Response> {
    Ok(get_media_config::v3::Response::new(UInt::new_saturating(homeserver.media.max_upload_bytes())))
}

async fn preview(homeserver: Arc<Homeserver>, request: Ruma<get_media_preview::v3::Request>) -> Result<Response> {
    preview_of(&homeserver, &request.body.url).await
}

async fn download(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_content::v3::Request>,
    streamed: Streamed,
) -> Result<Response> {
    serve(&homeserver, &asked!(request by Anybody), None, &streamed.headers).await
}

async fn download_as(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_content_as_filename::v3::Request>,
    streamed: Streamed,
) -> Result<Response> {
    serve(&homeserver, &asked!(request by Anybody), Some(&request.body.filename), &streamed.headers).await
}

async fn thumbnail(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_content_thumbnail::v3::Request>,
    streamed: Streamed,
) -> Result<Response> {
    serve_thumbnail(&homeserver, &asked!(request by Anybody), &wanted!(request), &streamed.headers).await
}
