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

use super::validity;
use crate::failure::{Failure, Result};
use crate::pem;

/// A listener's certificate: where it comes from, and what is in use.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<Certificate>,
}

/// A certificate as its files had it.
#[derive(Debug)]
pub struct Certificate {
    server: Arc<ServerConfig>,
    ends: Option<u64>,
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// A file is wrong.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Self> {
        let current = ArcSwap::from_pointee(read(&certificate, &key)?);
        Ok(Self { certificate, key, current })
    }

    /// Reads both files again, and leaves in use what is.
    ///
    /// # Errors
    /// A file is wrong.
    pub fn read(&self) -> Result<Certificate> {
        read(&self.certificate, &self.key)
    }

    /// Uses another certificate from now on; connections that are open keep what they have.
    pub fn set(&self, certificate: Certificate) {
        self.current.store(Arc::new(certificate));
    }

    /// Until when the certificate in use holds, in seconds since 1970; nothing where it does not say so readably.
    pub fn ends(&self) -> Option<u64> {
        self.current.load().ends
    }

    /// What shakes hands with the certificate of today.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().server))
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Certificate> {
    let chain = pem::certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| Failure::because(format_args!("{} cannot be read", key.display()), &error))?;
    let ends = chain.first().and_then(|own| validity::end(own));
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
    Ok(Certificate { server: Arc::new(config), ends })
}
