//! Certificates for a test: an authority of its own, and a server that it vouches for.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use redis::TlsCertificates;

use super::super::Scratch;

/// An authority, and a certificate for the loopback address.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Scratch>);

impl Tls {
    /// Makes them.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it writes files: that should be seen where it happens")]
    pub fn new() -> Self {
        let authority_key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_cert = authority.self_signed(&authority_key).expect("a certificate");
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let cert = CertificateParams::new(names).expect("names").signed_by(&key, &issuer).expect("a certificate");
        let tls = Self(Arc::new(Scratch::new()));
        for (name, text) in [("ca.pem", authority_cert.pem()), ("cert.pem", cert.pem()), ("key.pem", key.serialize_pem())] {
            fs::write(tls.file(name), text).expect("a file");
        }
        // redis crate and rustls want one provider for the process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        tls
    }

    /// One of `ca.pem`, `cert.pem`, `key.pem`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Lines of a server's configuration.
    pub(super) fn lines(&self) -> String {
        let path = |name| self.file(name).display().to_string();
        format!("tls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ntls-auth-clients no\n", path("cert.pem"), path("key.pem"), path("ca.pem"))
    }

    pub(super) fn certificates(&self) -> TlsCertificates {
        TlsCertificates { client_tls: None, root_cert: Some(fs::read(self.file("ca.pem")).expect("a file")) }
    }
}
