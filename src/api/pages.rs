//! Pages that people see in a browser: small, loading nothing, running nothing but the one script that a page names.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use matron_homeserver::remote::mail::escaped;
use matron_matrix::digest;

const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const STYLE: &str = ":root{color-scheme:light dark}\
    body{font:1.1em/1.5 sans-serif;max-width:34em;margin:4em auto;padding:0 1em}\
    input,button{font:inherit;box-sizing:border-box;padding:.5em}label,input{display:block;width:100%}\
    button{margin-top:1em;padding:.5em 1.5em}";

/// Pages are kept by nobody, and tell nobody their address.
fn headers() -> [(HeaderName, &'static str); 4] {
    [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
}

/// A page that runs nothing. What it says and its form are HTML.
pub fn page(status: StatusCode, server: &str, says: &str, form: &str) -> Response {
    scripted(status, server, says, form, "")
}

/// A page with a script at its end, which may call this server.
pub fn scripted(status: StatusCode, server: &str, says: &str, form: &str, script: &str) -> Response {
    let server = escaped(server);
    let (run, policy) = if script.is_empty() {
        (String::new(), POLICY.to_owned())
    } else {
        let hash = digest::to_base64(&digest::of(script.as_bytes()));
        (format!("<script>{script}</script>\n"), format!("{POLICY}; script-src 'sha256-{hash}'; connect-src 'self'"))
    };
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{server}</title>\n\
         <style>{STYLE}</style>\n<h1>{server}</h1>\n<p>{says}</p>\n{form}{run}</html>\n"
    );
    let mut response = (status, html).into_response();
    for (name, value) in headers() {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let policy = HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static(POLICY));
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

#[cfg(test)]
mod tests {
    use http::{StatusCode, header};

    use super::{page, scripted};

    #[test]
    fn a_page_runs_its_own_script_alone() {
        let plain = page(StatusCode::OK, "localhost", "Hello.", "");
        let policy = plain.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("script-src"), "{policy}");
        let running = scripted(StatusCode::OK, "localhost", "Hello.", "", "alert('Hello, world.');");
        let policy = running.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        let named = "; script-src 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='; connect-src 'self'";
        assert!(policy.ends_with(named), "{policy}");
    }
}
