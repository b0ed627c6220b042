//! Media in a bucket: against an S3 server of this process.

use spec_tests::{ObjectStore, Server};

use super::Visitor;
use crate::run;

#[test]
fn media_lie_in_a_bucket() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let store = ObjectStore::start(&["wards"]).await;
        let settings = [
            ("MATRON_MEDIA__STORAGE", "s3"),
            ("MATRON_MEDIA__S3__BUCKET", "wards"),
            ("MATRON_MEDIA__S3__ENDPOINT", &store.url),
            ("MATRON_MEDIA__S3__PREFIX", "matron"),
            ("MATRON_MEDIA__S3__ACCESS_KEY_ID", ObjectStore::KEY),
            ("MATRON_MEDIA__S3__SECRET_ACCESS_KEY", ObjectStore::SECRET),
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
        let mut stored = store.objects("");
        assert_eq!(stored, store.objects("wards/matron/"));
        stored.retain(|object| !object.ends_with("matron/owner"));
        assert_eq!(stored.len(), 3, "the same bytes are kept once: {stored:?}");
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
            ("MATRON_MEDIA__S3__ACCESS_KEY_ID", ObjectStore::KEY),
            ("MATRON_MEDIA__S3__SECRET_ACCESS_KEY", ObjectStore::SECRET),
        ];
        let server = Server::start_in(folder.path(), &settings).await;
        let ann = Visitor::of(&server).await;
        let got = ann.call(reqwest::Method::POST, "/media/v3/upload", &[], b"x".to_vec()).await;
        got.refused(503, "M_UNKNOWN");
        // All else goes on.
        let _ = ann.user.create_room(serde_json::json!({})).await;
    });
}
