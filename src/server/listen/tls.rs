//! TLS: certificates from PEM files, read again on reload.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::{ServerConfig, version};

use crate::failure::{Failure, Result};
use crate::pem;

/// A certificate in use, and where it came from.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads both files.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Self> {
        let current = ArcSwap::from_pointee(read(&certificate, &key)?);
        Ok(Self { certificate, key, current })
    }

    /// Reads both files again; connections that are open keep what they have.
    ///
    /// # Errors
    /// A file is wrong; then what was in use stays so.
    pub fn reload(&self) -> Result<()> {
        self.current.store(Arc::new(read(&self.certificate, &self.key)?));
        Ok(())
    }

    /// What shakes hands with the certificate of today.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig> {
    let chain = pem::certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| Failure::because(format_args!("{} cannot be read", key.display()), &error))?;
    let failed =
        |error| Failure::because(format_args!("{} does not fit {}", key.display(), certificate.display()), &error);
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(failed)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(failed)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Resumption by tickets, which the clients keep: nothing here grows with their number.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = ring::Ticketer::new().map_err(failed)?;
    Ok(config)
}
