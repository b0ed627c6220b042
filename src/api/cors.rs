//! Cross-origin headers: client-server API, "Web browser clients".

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// Adds the headers that let web clients of any origin use the API.
pub fn allow(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("X-Requested-With, Content-Type, Authorization"),
    );
}

/// The answer to a browser that asks before it calls.
pub fn preflight() -> Response {
    StatusCode::OK.into_response()
}
