//! An object store that speaks S3, in this process and a folder.

use std::path::PathBuf;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// An object store. It ends with the test's runtime.
#[derive(Debug)]
pub struct ObjectStore {
    /// Where it answers.
    pub url: String,
    folder: TempDir,
}

impl ObjectStore {
    /// The id of the key that opens it.
    pub const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
    /// The key's secret.
    pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    /// Starts one with these buckets.
    pub async fn start(buckets: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        for bucket in buckets {
            std::fs::create_dir(folder.path().join(bucket)).unwrap();
        }
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(Self::KEY, Self::SECRET));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let connection = auto::Builder::new(TokioExecutor::new());
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, folder }
    }

    /// The files of all objects whose path has this in it, in order.
    #[must_use]
    pub fn objects(&self, part: &str) -> Vec<PathBuf> {
        let (mut found, mut folders) = (Vec::new(), vec![self.folder.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                // What is hidden is the object store's own.
                if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if path.to_str().unwrap().contains(part) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}
