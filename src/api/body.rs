//! Bodies of requests that are no media: read whole, within limits.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use matron_matrix::{Error as MatrixError, canonical};

use crate::error::Result;

/// The largest body.
const MAX_BYTES: usize = 8 << 20;
/// The largest one of somebody who is not logged in: nothing that strangers say is long.
const MAX_STRANGERS_BYTES: usize = 64 << 10;
/// The largest form: some short fields.
const MAX_FORM_BYTES: usize = 4 << 10;
/// A body comes within this, and a long one within the time more that a slow line takes for it.
const WITHIN: Duration = Duration::from_mins(1);
const SLOW_BYTES_PER_SECOND: u64 = 16 << 10;

/// The body of somebody who is logged in.
pub async fn read_body(body: Body) -> Result<Bytes> {
    read(MAX_BYTES, WITHIN, body).await
}

/// The body of anybody.
pub async fn read_strangers_body(body: Body) -> Result<Bytes> {
    read(MAX_STRANGERS_BYTES, WITHIN, body).await
}

/// Anybody's body where it is a form, or as short as one.
pub async fn read_form(body: Body) -> Result<Bytes> {
    read(MAX_FORM_BYTES, WITHIN, body).await
}

/// The whole body, within limits of size, time and depth.
async fn read(most: usize, within: Duration, body: Body) -> Result<Bytes> {
    let size = body.size_hint().upper().unwrap_or(u64::MAX).min(most as u64);
    let within = within + Duration::from_secs(size / SLOW_BYTES_PER_SECOND);
    let collected = tokio::time::timeout(within, Limited::new(body, most).collect()).await;
    let bytes = collected.map_err(|_| MatrixError::not_json("the body came too slowly"))?.map_err(|error| {
        if error.is::<LengthLimitError>() {
            MatrixError::too_large(format!("a body may have {most} bytes here"))
        } else {
            MatrixError::not_json("the body ended too early")
        }
    })?;
    let bytes = bytes.to_bytes();
    if std::str::from_utf8(&bytes).is_err() {
        return Err(MatrixError::not_json("the body is not UTF-8").into());
    }
    canonical::check_depth(&bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use axum::body::Body;
    use bytes::Bytes;
    use futures_util::StreamExt as _;
    use futures_util::stream::{iter, pending};
    use matron_homeserver::Error;
    use ruma::api::error::ErrorKind;

    use super::{read, read_form};

    fn kind(answer: crate::error::Result<Bytes>) -> ErrorKind {
        match answer.unwrap_err().0 {
            Error::Matrix(error) => error.kind,
            other => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let begun = iter([Ok::<_, io::Error>(Bytes::from_static(b"{"))]).chain(pending());
        let given_up = read(1000, Duration::from_millis(1), Body::from_stream(begun)).await;
        assert_eq!(kind(given_up), ErrorKind::NotJson);
    }

    #[tokio::test]
    async fn a_form_is_short() {
        assert_eq!(read_form(Body::from("sid=a&token=b")).await.unwrap(), "sid=a&token=b");
        assert_eq!(kind(read_form(Body::from(vec![b'a'; 5000])).await), ErrorKind::TooLarge);
    }
}
