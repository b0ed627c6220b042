//! Media: client-server API, "Content repository".

mod headers;
mod legacy;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use matron_homeserver::Homeserver;
use matron_homeserver::media::{Asker, Found, Name, Pieces, Told, Wanted};
use ruma::api::Metadata as _;
use ruma::api::client::authenticated_media as authenticated;
use ruma::api::client::media::{create_content, create_content_async, create_mxc_uri};
use ruma::api::path_builder::PathBuilder as _;
use ruma::media::Method;
use ruma::{ServerName, UInt};
use serde_json::json;

use crate::error::{self, Result};
use crate::request::Ruma;
use crate::router::{Routes, Streamed};
use headers::Part;

/// How much of a refused body is taken, and for how long.
const MAX_DROPPED_BYTES: usize = 16 << 20;
const DROPPED_WITHIN: Duration = Duration::from_secs(2);

/// Marks an answer that goes out as it is stored: nobody compresses it.
#[derive(Debug, Clone, Copy)]
pub struct Verbatim;

pub fn routes(routes: &mut Routes) {
    routes.add(create);
    routes.add_streaming(upload);
    routes.add_streaming(upload_to);
    routes.add(config);
    for path in authenticated::get_media_preview::v1::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, preview);
    }
    routes.add_streaming(download);
    routes.add_streaming(download_as);
    routes.add_streaming(thumbnail);
    legacy::routes(routes);
}

async fn create(
    homeserver: Arc<Homeserver>,
    request: Ruma<create_mxc_uri::v1::Request>,
) -> Result<create_mxc_uri::v1::Response> {
    let (name, expires) = homeserver.media.reserve(&request.identity).await?;
    let mut response = create_mxc_uri::v1::Response::new(name.uri());
    response.unused_expires_at = Some(ruma::MilliSecondsSinceUnixEpoch(UInt::new_saturating(expires)));
    Ok(response)
}

fn told(headers: &HeaderMap, content_type: Option<String>, file_name: Option<String>) -> Told {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    Told { content_type, file_name, bytes: length }
}

/// Many clients hear of no refusal until they have sent their body: some of what is left of it is taken and dropped.
async fn heard<T, E>(done: Result<T, E>, body: &mut BodyDataStream) -> Result<T, E> {
    if done.is_err() {
        let drop_some = async {
            let mut dropped = 0;
            while dropped < MAX_DROPPED_BYTES
                && let Some(Ok(piece)) = body.next().await
            {
                dropped += piece.len();
            }
        };
        let _ = tokio::time::timeout(DROPPED_WITHIN, drop_some).await;
    }
    done
}

async fn upload(
    homeserver: Arc<Homeserver>,
    request: Ruma<create_content::v3::Request>,
    streamed: Streamed,
) -> Result<Response> {
    let told = told(&streamed.headers, request.body.content_type, request.body.filename);
    let mut body = streamed.body.into_data_stream();
    let name = heard(homeserver.media.upload(&request.identity, told, &mut body).await, &mut body).await?;
    Ok(error::json(StatusCode::OK, &json!({ "content_uri": name.uri() })))
}

async fn upload_to(
    homeserver: Arc<Homeserver>,
    request: Ruma<create_content_async::v3::Request>,
    streamed: Streamed,
) -> Result<Response> {
    let Ruma { identity, body, .. } = request;
    let name = Name::new(&body.server_name, &body.media_id)?;
    let told = told(&streamed.headers, body.content_type, body.filename);
    let mut stream = streamed.body.into_data_stream();
    heard(homeserver.media.upload_to(&identity, &name, told, &mut stream).await, &mut stream).await?;
    Ok(error::json(StatusCode::OK, &json!({})))
}

async fn config(
    homeserver: Arc<Homeserver>,
    _: Ruma<authenticated::get_media_config::v1::Request>,
) -> Result<authenticated::get_media_config::v1::Response> {
    Ok(authenticated::get_media_config::v1::Response::new(UInt::new_saturating(homeserver.media.max_upload_bytes())))
}

async fn preview(
    homeserver: Arc<Homeserver>,
    request: Ruma<authenticated::get_media_preview::v1::Request>,
) -> Result<Response> {
    preview_of(&homeserver, &request.body.url).await
}

async fn preview_of(homeserver: &Homeserver, url: &str) -> Result<Response> {
    let found = homeserver.media.preview(url).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], found).into_response())
}

/// A request for a medium, whichever endpoint it came by.
struct Asked<'a> {
    server: &'a ServerName,
    id: &'a str,
    wait: Duration,
    asker: Asker,
}

async fn find(homeserver: &Homeserver, asked: &Asked<'_>) -> Result<Found> {
    let name = Name::new(asked.server, asked.id)?;
    Ok(homeserver.media.find(&name, asked.wait, asked.asker).await?)
}

macro_rules! asked {
    ($request:ident by $asker:ident) => {
        Asked {
            server: &$request.body.server_name,
            id: &$request.body.media_id,
            wait: $request.body.timeout_ms,
            asker: Asker::$asker,
        }
    };
}

use asked;

async fn download(
    homeserver: Arc<Homeserver>,
    request: Ruma<authenticated::get_content::v1::Request>,
    streamed: Streamed,
) -> Result<Response> {
    serve(&homeserver, &asked!(request by User), None, &streamed.headers).await
}

async fn download_as(
    homeserver: Arc<Homeserver>,
    request: Ruma<authenticated::get_content_as_filename::v1::Request>,
    streamed: Streamed,
) -> Result<Response> {
    serve(&homeserver, &asked!(request by User), Some(&request.body.filename), &streamed.headers).await
}

async fn serve(
    homeserver: &Homeserver,
    asked: &Asked<'_>,
    file_name: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response> {
    let found = find(homeserver, asked).await?;
    let content = &found.content;
    let tag = found.tag();
    if headers::is_known(headers, &tag) {
        return Ok(headers::not_modified(&tag));
    }
    let file_name = file_name.or(content.file_name.as_deref());
    let (status, start, end) = match headers::part(headers, content.bytes, &tag) {
        Part::All => (StatusCode::OK, 0, content.bytes),
        Part::Some(start, end) => (StatusCode::PARTIAL_CONTENT, start, end),
        Part::Nothing => return Ok(headers::no_such_part(content.bytes)),
    };
    let pieces = homeserver.media.read(&found, start, end).await?;
    let mut response = streamed(pieces, end - start, &content.content_type, &tag);
    *response.status_mut() = status;
    let answered = response.headers_mut();
    headers::insert(answered, header::CONTENT_DISPOSITION, &headers::disposition(&content.content_type, file_name));
    answered.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        headers::insert(answered, header::CONTENT_RANGE, &format!("bytes {start}-{}/{}", end - 1, content.bytes));
    }
    Ok(response)
}

fn streamed(pieces: Pieces, bytes: u64, content_type: &str, tag: &str) -> Response {
    let mut response = Body::from_stream(pieces).into_response();
    response.extensions_mut().insert(Verbatim);
    let answered = response.headers_mut();
    answered.insert(header::CONTENT_LENGTH, bytes.into());
    headers::insert(answered, header::CONTENT_TYPE, content_type);
    headers::guard(answered);
    headers::cache(answered, tag);
    response
}

/// What a thumbnail's request asks for, whichever endpoint it came by.
macro_rules! wanted {
    ($request:ident) => {
        Wanted {
            method: $request.body.method.clone().unwrap_or(Method::Scale),
            width: $request.body.width.into(),
            height: $request.body.height.into(),
            animated: $request.body.animated.unwrap_or(false),
        }
    };
}

use wanted;

async fn thumbnail(
    homeserver: Arc<Homeserver>,
    request: Ruma<authenticated::get_content_thumbnail::v1::Request>,
    streamed: Streamed,
) -> Result<Response> {
    serve_thumbnail(&homeserver, &asked!(request by User), &wanted!(request), &streamed.headers).await
}

async fn serve_thumbnail(
    homeserver: &Homeserver,
    asked: &Asked<'_>,
    wanted: &Wanted,
    headers: &HeaderMap,
) -> Result<Response> {
    let found = find(homeserver, asked).await?;
    let thumbnail = homeserver.media.thumbnail(&found, wanted).await?;
    if headers::is_known(headers, &thumbnail.tag) {
        return Ok(headers::not_modified(&thumbnail.tag));
    }
    let (_, extension) = thumbnail.content_type.split_once('/').unwrap_or_default();
    let mut response = streamed(thumbnail.pieces, thumbnail.bytes, thumbnail.content_type, &thumbnail.tag);
    let disposition = format!("inline; filename=thumbnail.{extension}");
    headers::insert(response.headers_mut(), header::CONTENT_DISPOSITION, &disposition);
    Ok(response)
}
