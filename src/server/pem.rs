//! Certificates in PEM files: our own, and those of authorities that we trust.

use std::path::Path;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::failure::{Failure, Result};

/// The certificates of a PEM file.
///
/// # Errors
/// The file cannot be read, or holds none.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let failed = |error| Failure::because(format_args!("{} cannot be read", file.display()), &error);
    let certificates = CertificateDer::pem_file_iter(file).map_err(failed)?.collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(failed)?;
    if certificates.is_empty() {
        return Err(Failure::new(format!("{} holds no certificate", file.display())));
    }
    Ok(certificates)
}
