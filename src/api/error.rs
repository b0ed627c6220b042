//! Errors as answers: rendered once, here.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use matron_homeserver::Error as DomainError;
use matron_matrix::Error as MatrixError;
use matron_storage::Error as StorageError;
use ruma::api::error::{ErrorBody, StandardErrorBody};
use serde::Serialize;

/// An error on its way out.
#[derive(Debug)]
pub struct Error(pub DomainError);

/// What a handler returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl<E: Into<DomainError>> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

#[derive(Serialize)]
struct Body<'a> {
    errcode: &'a str,
    error: &'a str,
}

/// Answers with what is JSON already.
pub fn raw_json(body: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// Answers with JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response()
}

fn plain(status: StatusCode, errcode: &str, error: &str) -> Response {
    json(status, &Body { errcode, error })
}

/// 404 for a path that nobody serves.
pub fn unrecognized_path() -> Response {
    plain(StatusCode::NOT_FOUND, "M_UNRECOGNIZED", "nothing is served here")
}

/// 405 for a path that is served by other methods.
pub fn unrecognized_method() -> Response {
    plain(StatusCode::METHOD_NOT_ALLOWED, "M_UNRECOGNIZED", "this method is not served here")
}

fn matrix(error: MatrixError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    matrix_as(status, error)
}

fn matrix_as(status: StatusCode, error: MatrixError) -> Response {
    let body = ErrorBody::Standard(StandardErrorBody::new(error.kind, error.message));
    let error = ruma::api::error::Error::new(status, body);
    match ruma::api::OutgoingResponseExt::try_into_http_response::<Vec<u8>>(error) {
        Ok(response) => response.map(Into::into),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN", "the error could not be written"),
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self.0 {
            DomainError::Matrix(error) => matrix(error),
            DomainError::ServerControlled(error) => matrix_as(StatusCode::METHOD_NOT_ALLOWED, error),
            DomainError::Taken(error) => matrix_as(StatusCode::CONFLICT, error),
            DomainError::Upstream(error) => matrix_as(StatusCode::BAD_GATEWAY, error),
            DomainError::Declined { status, error } => {
                matrix_as(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), error)
            }
            DomainError::Interactive(info) => json(StatusCode::UNAUTHORIZED, &*info),
            DomainError::Storage(StorageError::Unavailable(_) | StorageError::OutcomeUnknown(_)) => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "M_UNKNOWN", "the server cannot write at the moment")
            }
            error @ (DomainError::Storage(_) | DomainError::Backup(_) | DomainError::Internal(_)) => {
                tracing::error!(%error, "a request failed");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN", "internal server error")
            }
        }
    }
}
