//! Media in a bucket: against an S3 server of this process.

use std::path::Path;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use spec_tests::Server;
use tokio::net::TcpListener;

use super::Visitor;
use crate::run;

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// An object store with one bucket, in a folder.
async fn object_store(folder: &Path) -> String {
    std::fs::create_dir_all(folder.join("wards")).unwrap();
    let mut builder = S3ServiceBuilder::new(FileSystem::new(folder).unwrap());
    builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    format!("http://127.0.0.1:{port}")
}

fn objects(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.len() == 64 || name.contains("-crop") {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn media_lie_in_a_bucket() {
    run(async {
        let (folder, store) = (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
        let endpoint = object_store(store.path()).await;
        let settings = [
            ("MATRON_MEDIA__STORAGE", "s3"),
            ("MATRON_MEDIA__S3__BUCKET", "wards"),
            ("MATRON_MEDIA__S3__ENDPOINT", &endpoint),
            ("MATRON_MEDIA__S3__PREFIX", "matron"),
            ("MATRON_MEDIA__S3__ACCESS_KEY_ID", KEY),
            ("MATRON_MEDIA__S3__SECRET_ACCESS_KEY", SECRET),
        ];
        let mut server = Server::start_in(folder.path(), &settings).await;
        let mut ann = Visitor::of(&server).await;
        // One request, and several parts.
        let mut media = Vec::new();
        for length in [5, 3_000_000, 20_000_000_u32] {
            let bytes: Vec<u8> = (0..length).map(|nth| (nth % 249) as u8).collect();
            let medium = ann.upload("", "text/plain", &bytes).await;
            assert_eq!(ann.upload("", "text/plain", &bytes).await.len(), medium.len());
            media.push((medium, bytes));
        }
        let stored = objects(store.path());
        assert_eq!(stored.len(), 3, "the same bytes are kept once: {stored:?}");
        assert!(stored.iter().all(|path| path.contains("wards/matron/")), "{stored:?}");
        server.restart().await;
        ann.url.clone_from(&server.url);
        for (medium, bytes) in &media {
            let path = format!("/client/v1/media/download/{medium}");
            assert!(ann.get(&path).await.bytes == *bytes);
            let part = ann.call(reqwest::Method::GET, &path, &[("range", "bytes=1-3")], Vec::new()).await;
            assert_eq!((part.status.as_u16(), part.bytes.as_slice()), (206, &bytes[1..4]));
        }
        let empty = ann.upload("", "text/plain", b"").await;
        assert_eq!(ann.get(&format!("/client/v1/media/download/{empty}")).await.bytes, b"");
        let mut picture = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(200, 200).write_to(&mut picture, image::ImageFormat::Png).unwrap();
        let picture = ann.upload("", "image/png", picture.get_ref()).await;
        let path = format!("/client/v1/media/thumbnail/{picture}?width=32&height=32&method=crop");
        for _ in 0..2 {
            let got = ann.get(&path).await;
            assert_eq!(image::load_from_memory(&got.bytes).unwrap().width(), 32);
        }
    });
}

#[test]
fn a_bucket_that_is_away_refuses_uploads_and_loses_none() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let settings = [
            ("MATRON_MEDIA__STORAGE", "s3"),
            ("MATRON_MEDIA__S3__BUCKET", "wards"),
            ("MATRON_MEDIA__S3__ENDPOINT", "http://127.0.0.1:1"),
            ("MATRON_MEDIA__S3__ACCESS_KEY_ID", KEY),
            ("MATRON_MEDIA__S3__SECRET_ACCESS_KEY", SECRET),
        ];
        let server = Server::start_in(folder.path(), &settings).await;
        let ann = Visitor::of(&server).await;
        let got = ann.call(reqwest::Method::POST, "/media/v3/upload", &[], b"x".to_vec()).await;
        got.refused(503, "M_UNKNOWN");
        // All else goes on.
        let _ = ann.user.create_room(serde_json::json!({})).await;
    });
}
