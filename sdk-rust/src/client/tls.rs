//! `wss://`: whom a client believes.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::Connector;

use super::Error;

/// Believes the authorities of the web and those of `own`, in PEM.
///
/// The cryptography is named here: left to rustls it would depend on what else the process is built with, and fail by a panic.
pub(crate) fn connector(own: &[u8]) -> Result<Connector, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let known = roots.len();
    for certificate in CertificateDer::pem_slice_iter(own) {
        let certificate = certificate.map_err(|error| Error::Invalid(format!("a root certificate is not PEM: {error}")))?;
        roots.add(certificate).map_err(|error| Error::Invalid(format!("a root certificate is of no use: {error}")))?;
    }
    if !own.is_empty() && roots.len() == known {
        return Err(Error::Invalid("the root certificates are a text in PEM, and this one holds none".into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.expect("ring speaks the versions that are safe").with_root_certificates(roots).with_no_client_auth();
    Ok(Connector::Rustls(Arc::new(config)))
}
