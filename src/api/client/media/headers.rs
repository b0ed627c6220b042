//! The headers of media: what browsers may do with it, what they may keep of it, which part of it they want.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ruma::http_headers::{ContentDisposition, ContentDispositionType};

/// "Serving inline content": types with which nothing can be run.
const INLINE: [&str; 26] = [
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// What the spec recommends: whatever a browser makes of it, it runs nothing and reaches nothing.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; \
     object-src 'self';",
);
/// The content of an address never changes. A day, since it may be deleted; private, since a token was asked for.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, max-age=86400, immutable");

/// Which part of the bytes is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    All,
    /// From the first up to but without the second.
    Some(u64, u64),
    /// Some that are not there.
    Nothing,
}

/// Sets a header to a text; what cannot stand in a header is left out.
pub fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// The headers by which content can do no harm to the origin that serves it.
pub fn guard(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(policy, HeaderValue::from_static("cross-origin"));
}

/// The headers by which clients keep it.
pub fn cache(headers: &mut HeaderMap, tag: &str) {
    headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    insert(headers, header::ETAG, &format!("\"{tag}\""));
}

/// Whether it is shown or saved, and under which name.
pub fn disposition(content_type: &str, file_name: Option<&str>) -> String {
    let (kind, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    let is_inline = INLINE.contains(&kind.trim().to_ascii_lowercase().as_str());
    let kind = if is_inline { ContentDispositionType::Inline } else { ContentDispositionType::Attachment };
    ContentDisposition::new(kind).with_filename(file_name.map(ToOwned::to_owned)).to_string()
}

/// Whether the client has this content already.
pub fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(','));
    known.any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known).trim_matches('"') == tag
    })
}

/// 304
pub fn not_modified(tag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    cache(response.headers_mut(), tag);
    response
}

/// 416
pub fn no_such_part(bytes: u64) -> Response {
    let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{bytes}"));
    response
}

/// The part that a `Range` header asks for. Several parts, and what cannot be read, are answered with all, as HTTP allows.
pub fn part(headers: &HeaderMap, bytes: u64, tag: &str) -> Part {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = text(header::RANGE).and_then(|range| range.strip_prefix("bytes=")) else { return Part::All };
    if text(header::IF_RANGE).is_some_and(|of| of.trim_matches('"') != tag) {
        return Part::All;
    }
    let Some((first, last)) = range.trim().split_once('-') else { return Part::All };
    let number = |text: &str| if text.is_empty() { Some(None) } else { text.parse::<u64>().ok().map(Some) };
    let (Some(first), Some(last)) = (number(first), number(last)) else { return Part::All };
    let (start, end) = match (first, last) {
        (Some(first), Some(last)) if last < first => return Part::All,
        (Some(first), Some(last)) => (first, last.saturating_add(1).min(bytes)),
        (Some(first), None) => (first, bytes),
        (None, Some(length)) => (bytes.saturating_sub(length), bytes),
        (None, None) => return Part::All,
    };
    if start < end { Part::Some(start, end) } else { Part::Nothing }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::{Part, disposition, is_known, part};

    #[test]
    fn only_what_cannot_run_is_shown() {
        assert_eq!(disposition("image/png", None), "inline");
        assert_eq!(disposition("Text/Plain; charset=utf-8", Some("a b.txt")), "inline; filename=\"a b.txt\"");
        for kind in ["text/html", "image/svg+xml", "image/svg", "application/xhtml+xml", "application/pdf", "", ";"] {
            assert_eq!(disposition(kind, None), "attachment", "{kind}");
        }
    }

    #[test]
    fn names_of_files_break_out_of_nothing() {
        assert_eq!(disposition("x/y", Some("\u{2615}.txt")), "attachment; filename*=utf-8''%E2%98%95.txt");
        assert_eq!(disposition("x/y", Some("a\"; x=\"y")), "attachment; filename=\"a\\\"; x=\\\"y\"");
        for name in ["a\r\nSet-Cookie: x", "a\nb", "\0", "ä\r\nb"] {
            let text = disposition("x/y", Some(name));
            assert!(HeaderValue::from_str(&text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn parts_are_as_http_has_them() {
        let of = |range: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, range.parse().unwrap());
            part(&headers, 10, "tag")
        };
        for (range, wanted) in [
            ("bytes=0-0", Part::Some(0, 1)),
            ("bytes=2-5", Part::Some(2, 6)),
            ("bytes=2-", Part::Some(2, 10)),
            ("bytes=2-99", Part::Some(2, 10)),
            ("bytes=-3", Part::Some(7, 10)),
            ("bytes=-99", Part::Some(0, 10)),
            ("bytes=-0", Part::Nothing),
            ("bytes=10-", Part::Nothing),
            ("bytes=0-18446744073709551615", Part::Some(0, 10)),
            ("bytes=5-2", Part::All),
            ("bytes=0-1,3-4", Part::All),
            ("bytes=-", Part::All),
            ("bytes=x-y", Part::All),
            ("lines=0-1", Part::All),
        ] {
            assert_eq!(of(range), wanted, "{range}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-0"));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"other\""));
        assert_eq!(part(&headers, 10, "tag"), Part::All);
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"tag\""));
        assert_eq!(part(&headers, 0, "tag"), Part::Nothing);
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let of = |known: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(known));
            is_known(&headers, "tag")
        };
        assert!(of("\"tag\"") && of("W/\"tag\"") && of("\"x\", \"tag\"") && of("*"));
        assert!(!of("\"x\"") && !of("\"\"") && !is_known(&HeaderMap::new(), "tag"));
    }
}
