//! Fetching what is at an address that a user named: each hop looked at, sizes and times bounded.

use std::io::BufReader;
use std::time::Duration;

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION, USER_AGENT};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming as Answer;
use url::Url;

use crate::error::Error;
use crate::media::incoming::{Incoming, Whole};
use crate::media::picture::{self, Head, Refusal};
use crate::remote::http::{CallError, Client};

/// How often an address may lead to another one.
const MAX_HOPS: usize = 5;
/// How long an answer may keep us waiting for its beginning, and for each piece of it.
const WITHIN: Duration = Duration::from_secs(10);
/// How much of a page is looked at: what a preview needs stands at its top.
const MAX_PAGE_BYTES: usize = 1 << 20;
/// The largest picture.
const MAX_PICTURE_BYTES: u64 = 10 << 20;

/// Why nothing was found.
#[derive(Debug)]
pub enum Trouble {
    /// It lies in a network that is not called for users.
    Denied,
    /// It does not answer, or not with what can be shown.
    Unreachable,
    /// This server cannot.
    Ours(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        if error == CallError::Denied { Self::Denied } else { Self::Unreachable }
    }
}

/// An answer whose body is not read yet.
#[derive(Debug)]
pub struct Body {
    /// Where it came from in the end.
    url: Url,
    /// What it says that it is, without parameters.
    pub content_type: String,
    charset: Option<&'static Encoding>,
    rest: Answer,
}

/// The text of a page.
#[derive(Debug)]
pub struct Text {
    /// Where it came from.
    pub url: Url,
    charset: Option<&'static Encoding>,
    bytes: Vec<u8>,
}

/// Asks for what is at an address.
pub async fn fetch(client: &Client, mut url: Url) -> Result<Body, Trouble> {
    for _ in 0..=MAX_HOPS {
        let request = Request::get(url.as_str())
            .header(USER_AGENT, concat!("Matron/", env!("CARGO_PKG_VERSION"), " (previews of links)"))
            .header(ACCEPT, "text/html, application/xhtml+xml, image/*");
        let request = request.body(Full::default()).map_err(|_| Trouble::Unreachable)?;
        let response =
            tokio::time::timeout(WITHIN, client.begin(request)).await.map_err(|_| Trouble::Unreachable)??;
        if response.status().is_redirection() {
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            url = next.filter(may_be_fetched).ok_or(Trouble::Unreachable)?;
            continue;
        }
        if !response.status().is_success() {
            return Err(Trouble::Unreachable);
        }
        let header = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (content_type, parameters) = header.split_once(';').unwrap_or((header, ""));
        let charset = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
        let charset = charset.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        let mut charset =
            charset.filter_map(|(_, value)| Encoding::for_label(value.trim().trim_matches('"').as_bytes()));
        let (content_type, charset) = (content_type.trim().to_ascii_lowercase(), charset.next_back());
        return Ok(Body { url, content_type, charset, rest: response.into_body() });
    }
    Err(Trouble::Unreachable)
}

/// Whether it is an address of the web, and holds no password.
pub fn may_be_fetched(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
}

impl Body {
    /// The next piece.
    async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            let frame = tokio::time::timeout(WITHIN, self.rest.frame()).await.map_err(|_| Trouble::Unreachable)?;
            let Some(frame) = frame else { return Ok(None) };
            if let Ok(piece) = frame.map_err(|_| Trouble::Unreachable)?.into_data() {
                return Ok(Some(piece));
            }
        }
    }

    /// Whether it says that it is a picture.
    pub fn is_picture(&self) -> bool {
        self.content_type.starts_with("image/")
    }

    /// The top of a page; none where it is something else.
    pub async fn text(mut self) -> Result<Option<Text>, Trouble> {
        if !matches!(self.content_type.as_str(), "text/html" | "application/xhtml+xml") {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        while bytes.len() < MAX_PAGE_BYTES
            && let Some(piece) = self.next().await?
        {
            bytes.extend_from_slice(&piece);
        }
        bytes.truncate(MAX_PAGE_BYTES);
        Ok(Some(Text { url: self.url, charset: self.charset, bytes }))
    }

    /// A picture as a file, and what its first bytes say where that can be read.
    pub async fn picture(mut self, mut file: Incoming, most: u64) -> Result<(Whole, Option<Head>), Trouble> {
        while let Some(piece) = self.next().await? {
            if file.bytes() + piece.len() as u64 > MAX_PICTURE_BYTES {
                return Err(Trouble::Unreachable);
            }
            file.write(piece).await?;
        }
        let whole = file.finish().await?;
        let look = move || {
            let head = match whole.file.reopen() {
                Ok(file) => picture::head(BufReader::new(file), most),
                Err(error) => Err(error.into()),
            };
            (whole, head)
        };
        let (whole, head) = tokio::task::spawn_blocking(look).await.map_err(Error::internal)?;
        match head {
            Ok(head) => Ok((whole, Some(head))),
            Err(Refusal::NoPicture) => Ok((whole, None)),
            Err(Refusal::TooLarge) => Err(Trouble::Unreachable),
        }
    }
}

impl Text {
    /// The page's letters: by the answer's charset, else by what the page itself says near its top, else UTF-8.
    pub fn decoded(&self) -> String {
        let charset = self.charset.or_else(|| declared(self.bytes.get(..1024).unwrap_or(&self.bytes)));
        let (text, ..) = charset.unwrap_or(UTF_8).decode(&self.bytes);
        text.into_owned()
    }
}

/// The charset in a page's own words: `<meta charset="…">` and its older forms.
fn declared(top: &[u8]) -> Option<&'static Encoding> {
    let top = top.to_ascii_lowercase();
    let at = top.windows(8).position(|window| window == b"charset=")? + 8;
    let label = top.get(at..)?;
    let label = label.strip_prefix(b"\"").or_else(|| label.strip_prefix(b"'")).unwrap_or(label);
    let end = label.iter().position(|byte| b"\"' />;".contains(byte)).unwrap_or(label.len());
    Encoding::for_label(label.get(..end)?)
}

#[cfg(test)]
mod tests {
    use encoding_rs::{SHIFT_JIS, WINDOWS_1252};

    use super::declared;

    #[test]
    fn pages_say_their_charset_in_many_ways() {
        assert_eq!(declared(b"<html><meta charset=Shift_JIS>"), Some(SHIFT_JIS));
        assert_eq!(declared(b"<META CHARSET='iso-8859-1'/>"), Some(WINDOWS_1252));
        let old = b"<meta http-equiv=\"Content-Type\" content=\"text/html; charset=windows-1252\">";
        assert_eq!(declared(old), Some(WINDOWS_1252));
        for none in [b"<meta charset=klingon>".as_slice(), b"charset=", b"", b"charset=\""] {
            assert_eq!(declared(none), None);
        }
    }
}
