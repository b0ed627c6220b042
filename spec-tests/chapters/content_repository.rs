//! Content repository: what is uploaded, downloaded, drawn smaller, and by whom.

mod bucket;
mod previews;
mod thumbnails;

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use spec_tests::{Server, User};

use crate::{run, server};

/// An answer with its headers and bytes.
struct Got {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    #[track_caller]
    fn refused(&self, status: u16, errcode: &str) {
        assert_eq!((self.status.as_u16(), self.json()["errcode"].as_str()), (status, Some(errcode)), "{}", self.json());
    }
}

/// Somebody with a server: media are more than JSON.
struct Visitor {
    user: User,
    url: String,
    http: reqwest::Client,
}

impl Visitor {
    async fn of(server: &Server) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { user: server.user("visitor").await, url: server.url.clone(), http }
    }

    async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Got {
        let mut request = self.http.request(method, format!("{}/_matrix{path}", self.url)).body(body);
        if !self.user.token.is_empty() {
            request = request.bearer_auth(&self.user.token);
        }
        for (name, value) in headers {
            request = request.header(name.parse::<HeaderName>().unwrap(), *value);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        Got { status, headers, bytes: answer.bytes().await.unwrap().to_vec() }
    }

    async fn get(&self, path: &str) -> Got {
        self.call(Method::GET, path, &[], Vec::new()).await
    }

    /// Uploads and answers `server/id`.
    async fn upload(&self, query: &str, content_type: &str, body: &[u8]) -> String {
        let path = format!("/media/v3/upload{query}");
        let got = self.call(Method::POST, &path, &[("content-type", content_type)], body.to_vec()).await;
        assert_eq!(got.status, 200, "{}", got.json());
        name(&got.json())
    }
}

fn name(answer: &Value) -> String {
    answer["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned()
}

#[test]
fn what_one_uploads_all_can_download() {
    run(async {
        let (ann, bob) = (Visitor::of(&*server().await).await, Visitor::of(&*server().await).await);
        let bytes: Vec<u8> = (0..3_000_001_u32).map(|nth| (nth % 253) as u8).collect();
        let medium = ann.upload("?filename=X%20ray.bin", "img/png", &bytes).await;
        assert!(medium.starts_with("localhost/"));
        let got = bob.get(&format!("/client/v1/media/download/{medium}")).await;
        assert_eq!(got.status, 200);
        assert!(got.bytes == bytes);
        for (name, value) in [
            ("content-type", "img/png"),
            ("content-length", "3000001"),
            ("content-disposition", "attachment; filename=\"X ray.bin\""),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("access-control-allow-origin", "*"),
            ("accept-ranges", "bytes"),
        ] {
            assert_eq!(got.header(name), value, "{name}");
        }
        assert!(got.header("content-security-policy").starts_with("sandbox; default-src 'none';"));
        assert!(got.header("cache-control").contains("immutable"));
        let named = bob.get(&format!("/client/v1/media/download/{medium}/%E2%98%95.bin")).await;
        assert_eq!(named.header("content-disposition"), "attachment; filename*=utf-8''%E2%98%95.bin");
        let headless = bob.call(Method::HEAD, &format!("/client/v1/media/download/{medium}"), &[], Vec::new()).await;
        assert_eq!((headless.status.as_u16(), headless.header("content-length")), (200, "3000001"));
    });
}

#[test]
fn downloads_go_on_where_they_stopped() {
    run(async {
        let ann = Visitor::of(&*server().await).await;
        let medium = ann.upload("", "text/plain", b"0123456789").await;
        let path = format!("/client/v1/media/download/{medium}");
        let part = ann.call(Method::GET, &path, &[("range", "bytes=2-4")], Vec::new()).await;
        assert_eq!((part.status.as_u16(), part.bytes.as_slice()), (206, b"234".as_slice()));
        assert_eq!((part.header("content-range"), part.header("content-length")), ("bytes 2-4/10", "3"));
        let none = ann.call(Method::GET, &path, &[("range", "bytes=10-")], Vec::new()).await;
        assert_eq!((none.status.as_u16(), none.header("content-range")), (416, "bytes */10"));
        let tag = part.header("etag").to_owned();
        let known = ann.call(Method::GET, &path, &[("if-none-match", &tag)], Vec::new()).await;
        assert_eq!((known.status.as_u16(), known.bytes.len(), known.header("etag")), (304, 0, tag.as_str()));
        // A media answer is never compressed: its length and its parts would not be what they say.
        let text = ann.upload("", "text/plain", &[b'x'; 10_000]).await;
        let path = format!("/client/v1/media/download/{text}");
        let got = ann.call(Method::GET, &path, &[("accept-encoding", "gzip")], Vec::new()).await;
        assert_eq!((got.header("content-encoding"), got.bytes.len()), ("", 10_000));
    });
}

#[test]
fn only_what_cannot_run_is_shown_by_browsers() {
    run(async {
        let ann = Visitor::of(&*server().await).await;
        for (content_type, disposition) in [
            ("image/png", "inline"),
            ("Text/Plain; charset=utf-8", "inline"),
            ("text/html", "attachment"),
            ("image/svg+xml", "attachment"),
            ("application/octet-stream", "attachment"),
        ] {
            let medium = ann.upload("", content_type, b"<script>alert(1)</script>").await;
            let got = ann.get(&format!("/client/v1/media/download/{medium}")).await;
            assert_eq!(got.header("content-disposition"), disposition, "{content_type}");
            assert_eq!(got.header("content-type"), content_type);
        }
        let got = ann.call(Method::POST, "/media/v3/upload", &[], b"x".to_vec()).await;
        let got = ann.get(&format!("/client/v1/media/download/{}", name(&got.json()))).await;
        assert_eq!(got.header("content-type"), "application/octet-stream");
    });
}

#[test]
fn names_that_are_none_lead_nowhere() {
    run(async {
        let ann = Visitor::of(&*server().await).await;
        for path in ["localhost/nothing", "localhost/..%2F..%2Fetc%2Fpasswd", "localhost/a.b", "other.example/abc"] {
            ann.get(&format!("/client/v1/media/download/{path}")).await.refused(404, "M_NOT_FOUND");
            let thumbnail = format!("/client/v1/media/thumbnail/{path}?width=1&height=1");
            ann.get(&thumbnail).await.refused(404, "M_NOT_FOUND");
        }
        ann.get("/client/v1/media/download/no%20server/abc").await.refused(400, "M_INVALID_PARAM");
    });
}

#[test]
fn bytes_may_come_after_their_address() {
    run(async {
        let (ann, bob) = (Visitor::of(&*server().await).await, Visitor::of(&*server().await).await);
        let created = ann.call(Method::POST, "/media/v1/create", &[], Vec::new()).await;
        assert_eq!(created.status, 200, "{}", created.json());
        assert!(created.json()["unused_expires_at"].as_u64().unwrap() > 1_700_000_000_000);
        let medium = name(&created.json());
        let (download, upload) = (format!("/client/v1/media/download/{medium}"), format!("/media/v3/upload/{medium}"));
        bob.get(&format!("{download}?timeout_ms=0")).await.refused(504, "M_NOT_YET_UPLOADED");
        let put = async |who: &Visitor| {
            who.call(Method::PUT, &upload, &[("content-type", "image/png")], b"png".to_vec()).await
        };
        put(&bob).await.refused(403, "M_FORBIDDEN");
        let waiting = async { bob.get(&format!("{download}?timeout_ms=30000")).await };
        let (got, done) = tokio::join!(waiting, put(&ann));
        assert_eq!((done.status.as_u16(), done.json()), (200, json!({})));
        assert_eq!((got.status.as_u16(), got.bytes.as_slice()), (200, b"png".as_slice()));
        put(&ann).await.refused(409, "M_CANNOT_OVERWRITE_MEDIA");
        let never = ann.call(Method::PUT, "/media/v3/upload/localhost/never", &[], Vec::new()).await;
        never.refused(404, "M_NOT_FOUND");
    });
}

#[test]
fn uploads_have_a_limit_that_is_told() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let settings = [("MATRON_MEDIA__MAX_UPLOAD_MIB", "1"), ("MATRON_MEDIA__USER_QUOTA_MIB", "2")];
        let server = Server::start_in(folder.path(), &settings).await;
        let ann = Visitor::of(&server).await;
        for path in ["/client/v1/media/config", "/media/v3/config"] {
            assert_eq!(ann.get(path).await.json(), json!({ "m.upload.size": 1 << 20 }));
        }
        let upload = async |bytes: usize| ann.call(Method::POST, "/media/v3/upload", &[], vec![7; bytes]).await;
        assert_eq!(upload(1 << 20).await.status, 200);
        upload((1 << 20) + 1).await.refused(413, "M_TOO_LARGE");
        assert_eq!(upload(1 << 20).await.status, 200);
        upload(1).await.refused(403, "M_FORBIDDEN");
    });
}

#[test]
fn old_addresses_are_closed_until_they_are_opened() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let open = [("MATRON_MEDIA__UNAUTHENTICATED", "true")];
        let server = Server::start_in(folder.path(), &open).await;
        let mut ann = Visitor::of(&server).await;
        let before = ann.upload("", "text/plain", b"before the freeze").await;
        drop(server);
        let server = Server::start_in(folder.path(), &[]).await;
        ann.url.clone_from(&server.url);
        let after = ann.upload("", "image/png", b"after the freeze").await;
        let created = ann.call(Method::POST, "/media/v1/create", &[], Vec::new()).await;
        let created = name(&created.json());
        ann.user.token.clear();
        for version in ["v3", "r0"] {
            let got = ann.get(&format!("/media/{version}/download/{before}/name.txt")).await;
            assert_eq!(got.bytes, b"before the freeze");
            for medium in [&after, &created] {
                let download = format!("/media/{version}/download/{medium}");
                let thumbnail = format!("/media/{version}/thumbnail/{medium}?width=1&height=1");
                for path in [download.clone(), format!("{download}/x"), thumbnail] {
                    ann.get(&path).await.refused(404, "M_NOT_FOUND");
                }
            }
        }
    });
}

#[test]
fn uploads_survive_a_kill() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let mut server = Server::start_in(folder.path(), &[]).await;
        let mut ann = Visitor::of(&server).await;
        let medium = ann.upload("", "text/plain", b"kept").await;
        std::fs::write(folder.path().join("data/media/incoming/half"), b"ha").unwrap();
        server.restart().await;
        ann.url.clone_from(&server.url);
        assert_eq!(ann.get(&format!("/client/v1/media/download/{medium}")).await.bytes, b"kept");
        assert!(!folder.path().join("data/media/incoming/half").exists());
    });
}

#[test]
fn what_keeps_a_server_from_its_media_is_in_its_log() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let server = Server::start_in(folder.path(), &[]).await;
        let ann = Visitor::of(&server).await;
        let medium = ann.upload("", "text/plain", b"kept").await;
        ann.get("/client/v1/media/download/localhost/never").await.refused(404, "M_NOT_FOUND");
        assert!(!server.log().contains("a file of the media"));
        std::fs::remove_dir_all(folder.path().join("data/media")).unwrap();
        assert_eq!(ann.get(&format!("/client/v1/media/download/{medium}")).await.status, 503);
        assert_eq!(ann.call(Method::POST, "/media/v3/upload", &[], b"more".to_vec()).await.status, 503);
        for what in ["a file of the media cannot be read", "a file of the media cannot be written aside"] {
            server.logged(what).await;
            let log = server.log();
            let lines: Vec<_> = log.lines().filter(|line| line.contains(what)).collect();
            assert!(lines.len() == 1 && lines[0].contains("data/media"), "{what}: {lines:?}");
        }
    });
}
