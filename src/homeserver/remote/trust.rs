//! Whom this server believes to be who they say: the authorities of the system, and those that the configuration adds.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Result};

/// How TLS is spoken to others: one for all calls out. Reads the system's store of authorities.
///
/// # Errors
/// The TLS library refuses its own defaults.
pub fn client(extra: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "the system's certificate authorities cannot all be read");
    }
    let (known, _) = roots.add_parsable_certificates(system.certs);
    if known == 0 {
        tracing::warn!("the system has no certificate authorities (ca-certificates): extra_ca_files alone are trusted");
    }
    roots.add_parsable_certificates(extra.iter().cloned());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
