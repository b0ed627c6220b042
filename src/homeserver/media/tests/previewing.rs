//! Previews, of a small web on this machine.

use std::sync::{Arc, LazyLock, Mutex};

use matron_storage::Batch;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::{DAY, World, administrator, refusal, user};
use crate::media::Name;
use crate::media::picture::tests::png;
use crate::schema::media::PREVIEW_USAGE;

static PICTURE: LazyLock<Vec<u8>> = LazyLock::new(|| png(6, 4));

/// A web server that knows some paths, and which were asked for.
struct Web {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

fn page(path: &str) -> Vec<u8> {
    let answer = |status: &str, kind: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    match path {
        "/page" => answer(
            "200 OK",
            "text/html; charset=iso-8859-1",
            b"<title>B\xe4der</title><meta property=og:image content=/picture>",
        ),
        "/picture" => answer("200 OK", "image/png", &PICTURE),
        "/text" => answer("200 OK", "text/plain", b"<title>no</title>"),
        "/lie" => answer("200 OK", "image/png", b"<title>no picture</title>"),
        "/lost-picture" => answer("200 OK", "text/html", b"<title>t</title><meta property=og:image content=/none>"),
        "/inside-picture" => {
            answer("200 OK", "text/html", b"<title>t</title><meta property=og:image content=http://10.0.0.1/>")
        }
        "/endless" => {
            let mut body = b"<title>long</title>".to_vec();
            body.resize(3 << 20, b' ');
            answer("200 OK", "text/html", &body)
        }
        "/huge-picture" => answer("200 OK", "image/png", &vec![0; 11 << 20]),
        "/hop" => b"HTTP/1.1 302 Found\r\nlocation: /page\r\ncontent-length: 0\r\n\r\n".to_vec(),
        "/loop" => b"HTTP/1.1 302 Found\r\nlocation: /loop\r\ncontent-length: 0\r\n\r\n".to_vec(),
        "/inside" => b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n".to_vec(),
        "/file" => b"HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n".to_vec(),
        _ => answer("404 Not Found", "text/html", b"<title>nothing</title>"),
    }
}

impl Web {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let mut line = String::new();
                    while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
                        let path = line.split_whitespace().nth(1).unwrap().to_owned();
                        while line.trim() != "" {
                            line.clear();
                            stream.read_line(&mut line).await.unwrap();
                        }
                        line.clear();
                        let answer = page(&path);
                        log.lock().unwrap().push(path);
                        let _ = stream.write_all(&answer).await;
                    }
                });
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn world() -> World {
    world_with(1 << 30)
}

/// One whose previews have pictures of so many bytes at most.
fn world_with(max_preview_bytes: u64) -> World {
    World::with(|config| {
        config.media.url_previews = true;
        config.media.max_preview_bytes = max_preview_bytes;
        config.outgoing.addresses.allowed.push("127.0.0.1/32".parse().unwrap());
    })
}

impl World {
    async fn see(&self, url: &str) -> Value {
        serde_json::from_str(&self.preview(url).await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_page_is_shown_with_its_picture() {
    let (world, web) = (world(), Web::new().await);
    let found = world.see(&format!("{}/hop#there", web.url)).await;
    let picture = found["og:image"].as_str().unwrap();
    let wanted = json!({ "og:title": "Bäder", "og:image": picture, "og:image:type": "image/png",
        "og:image:width": 6, "og:image:height": 4, "matrix:image:size": PICTURE.len() });
    assert_eq!(found, wanted);
    let name = Name::of_key(picture.strip_prefix("mxc://").unwrap()).unwrap();
    assert_eq!(world.get(&name).await.unwrap(), *PICTURE);
    assert_eq!(web.asked(), ["/hop", "/page", "/picture"]);
    let alone = world.see(&format!("{}/picture", web.url)).await;
    assert_eq!(alone["matrix:image:size"], PICTURE.len());
    assert_eq!(world.files().len(), 1);
}

#[tokio::test]
async fn a_page_is_fetched_once_for_all_who_ask() {
    let (world, web) = (world(), Web::new().await);
    let url = format!("{}/page", web.url);
    let both = tokio::join!(world.see(&url), world.see(&url));
    assert_eq!(both.0, both.1);
    assert_eq!(web.asked(), ["/page", "/picture"]);
    world.wait(60 * 60 * 1000);
    world.see(&url).await;
    assert_eq!(web.asked(), ["/page", "/picture"]);
    world.wait(2 * DAY);
    world.sweep_expired().await.unwrap();
    assert!(world.files().is_empty());
    let missing = format!("{}/missing", web.url);
    assert_eq!(refusal(world.preview(&missing).await), "502 M_UNKNOWN");
    assert_eq!(refusal(world.preview(&missing).await), "502 M_UNKNOWN");
    assert_eq!(web.asked(), ["/missing"]);
}

#[tokio::test]
async fn the_oldest_pictures_make_room_for_new_ones() {
    let (world, web) = (world_with(2 * PICTURE.len() as u64), Web::new().await);
    let upload = world.put(&user(1), &PICTURE).await.unwrap();
    let (awaited, _) = world.reserve(&user(1)).await.unwrap();
    let mut pictures = Vec::new();
    for path in ["/page", "/picture", "/hop"] {
        let found = world.see(&format!("{}{path}", web.url)).await;
        pictures.push(Name::of_key(found["og:image"].as_str().unwrap().strip_prefix("mxc://").unwrap()).unwrap());
        world.wait(1);
    }
    assert_eq!(refusal(world.look(&pictures[0]).await), "M_NOT_FOUND");
    for name in [&pictures[1], &pictures[2], &upload] {
        assert_eq!(world.get(name).await.unwrap(), *PICTURE);
    }
    assert_eq!(refusal(world.look(&awaited).await), "M_NOT_YET_UPLOADED");
    let usage = async || world.preview_usage(&world.store.snapshot()).await.unwrap();
    assert_eq!((usage().await.media, usage().await.bytes), (2, 2 * PICTURE.len() as u64));
    world.wait(2 * DAY);
    world.sweep_expired().await.unwrap();
    assert_eq!((usage().await.media, usage().await.bytes), (0, 0));
}

#[tokio::test]
async fn a_page_whose_picture_is_gone_is_fetched_anew() {
    let (world, web) = (world(), Web::new().await);
    let url = format!("{}/page", web.url);
    let before = world.see(&url).await;
    let name = Name::of_key(before["og:image"].as_str().unwrap().strip_prefix("mxc://").unwrap()).unwrap();
    world.delete(&administrator(), &name).await.unwrap();
    let after = world.see(&url).await;
    assert_ne!(before["og:image"], after["og:image"]);
    assert_eq!(world.see(&url).await, after);
    assert_eq!(web.asked(), ["/page", "/picture", "/page", "/picture"]);
}

#[tokio::test]
async fn pictures_that_no_version_counted_yet_count() {
    let (world, web) = (world_with(2 * PICTURE.len() as u64), Web::new().await);
    for path in ["/page", "/picture"] {
        world.see(&format!("{}{path}", web.url)).await;
        world.wait(1);
    }
    world.reserve(&user(1)).await.unwrap();
    let mut batch = Batch::new();
    batch.delete(&PREVIEW_USAGE, &());
    world.store.commit(batch).await.unwrap();
    let usage = async || world.preview_usage(&world.store.snapshot()).await.unwrap();
    assert_eq!((usage().await.media, usage().await.bytes), (2, 2 * PICTURE.len() as u64));
    world.see(&format!("{}/hop", web.url)).await;
    assert_eq!((usage().await.media, usage().await.bytes), (2, 2 * PICTURE.len() as u64));
}

#[tokio::test]
async fn what_is_no_page_shows_nothing() {
    let (world, web) = (world(), Web::new().await);
    let see = async |path: &str| world.see(&format!("{}{path}", web.url)).await;
    assert_eq!(see("/text").await, json!({}));
    assert_eq!(see("/lost-picture").await, json!({ "og:title": "t" }));
    assert_eq!(see("/inside-picture").await, json!({ "og:title": "t" }));
    assert_eq!(see("/endless").await, json!({ "og:title": "long" }));
    let lie = see("/lie").await;
    assert_eq!((&lie["matrix:image:size"], &lie["og:image:width"]), (&json!(25), &Value::Null));
    for path in ["/loop", "/file", "/huge-picture"] {
        assert_eq!(refusal(world.preview(&format!("{}{path}", web.url)).await), "502 M_UNKNOWN", "{path}");
    }
}

#[tokio::test]
async fn nothing_inside_the_house_is_looked_at() {
    let (world, web) = (world(), Web::new().await);
    let inside = format!("{}/inside", web.url);
    for url in [inside.as_str(), "http://169.254.169.254/latest", "http://[::1]:1/", "http://10.0.0.1/", "http://0/"] {
        assert_eq!(refusal(world.preview(url).await), "M_FORBIDDEN", "{url}");
    }
    let by_name = web.url.replace("127.0.0.1", "localhost");
    assert!(world.preview(&format!("{by_name}/page")).await.is_ok(), "127.0.0.1 is allowed here, by whichever name");
    let careful = World::with(|config| config.media.url_previews = true);
    for url in [format!("{}/page", web.url), format!("{by_name}/page")] {
        assert_eq!(refusal(careful.preview(&url).await), "M_FORBIDDEN", "{url}");
    }
    for url in ["", "x", "file:///etc/passwd", "ftp://example.org/", "http://user:pw@example.org/", "http://"] {
        assert_eq!(refusal(world.preview(url).await), "M_INVALID_PARAM", "{url}");
    }
    let long = format!("http://example.org/{}", "x".repeat(2048));
    assert_eq!(refusal(world.preview(&long).await), "M_INVALID_PARAM");
    assert_eq!(refusal(World::new().preview(&web.url).await), "M_UNRECOGNIZED");
}
