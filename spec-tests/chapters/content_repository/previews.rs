//! Previews of web pages: found where they are on, and never inside the house.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use spec_tests::Server;

use super::Visitor;
use crate::{run, server};

/// A web server with one page; it ends with the test's process.
fn web() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 2048]);
            let page = "<meta property=\"og:title\" content=\"Ward 7\"><p>Beds</p>";
            let head = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n",
                page.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(page.as_bytes()));
        }
    });
    format!("http://127.0.0.1:{port}/")
}

fn query(url: &str) -> String {
    format!("?url={}", utf8_percent_encode(url, NON_ALPHANUMERIC))
}

#[test]
fn previews_are_off_unless_they_are_on() {
    run(async {
        let ann = Visitor::of(&*server().await).await;
        for path in ["/client/v1/media/preview_url", "/media/v3/preview_url"] {
            ann.get(&format!("{path}{}", query(&web()))).await.refused(404, "M_UNRECOGNIZED");
        }
    });
}

#[test]
fn a_page_says_what_it_is() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let settings =
            [("MATRON_URL_PREVIEWS__ENABLED", "true"), ("MATRON_OUTGOING__ALLOWED_NETWORKS", "[\"127.0.0.1\"]")];
        let server = Server::start_in(folder.path(), &settings).await;
        let ann = Visitor::of(&server).await;
        let web = web();
        for path in ["/client/v1/media/preview_url", "/media/v3/preview_url"] {
            let got = ann.get(&format!("{path}{}&ts=1510610716656", query(&web))).await;
            assert_eq!(got.header("content-type"), "application/json");
            let wanted = serde_json::json!({ "og:title": "Ward 7", "og:description": "Beds" });
            assert_eq!(got.json(), wanted);
            ann.get(path).await.refused(400, "M_MISSING_PARAM");
        }
        for url in ["http://169.254.169.254/", "http://[::1]/", "http://10.0.0.1/"] {
            ann.get(&format!("/client/v1/media/preview_url{}", query(url))).await.refused(403, "M_FORBIDDEN");
        }
        let gone = "http://127.0.0.1:1/";
        ann.get(&format!("/client/v1/media/preview_url{}", query(gone))).await.refused(502, "M_UNKNOWN");
    });
}
