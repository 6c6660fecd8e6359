//! `wss://`, as behind a proxy that ends TLS.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "support/socket.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared by several test binaries")]
mod socket;
#[allow(dead_code, unreachable_pub, clippy::wildcard_enum_match_arm, reason = "shared by several test binaries")]
mod support;

use std::sync::Arc;

use arqonbus_client::core::Fault;
use arqonbus_client::{Client, Error};
use rcgen::CertifiedKey;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use socket::Server;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A proxy that ends TLS before `server`: its address, and the certificate that it shows.
async fn proxy(server: &Server) -> (String, String) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = versions.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}", listener.local_addr().unwrap());
    let behind = server.url().replace("ws://", "");
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let Ok(mut near) = acceptor.accept(near).await else { return };
                let mut far = TcpStream::connect(behind).await.unwrap();
                let _either_end = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (url, cert.pem())
}

#[tokio::test]
async fn a_bus_behind_tls_is_reached_by_whoever_believes_its_certificate() {
    let server = Server::start().await;
    let (url, certificate) = proxy(&server).await;
    let client = Client::builder(&url).root_certificates(certificate).connect().await.unwrap();
    assert_eq!(client.publish("a:b", &1).await.unwrap().position.unwrap().seq, 1);
    client.drain().await;
}

#[tokio::test]
async fn a_certificate_of_nobody_that_is_believed_is_an_error_at_once() {
    let server = Server::start().await;
    let (url, _) = proxy(&server).await;
    for (url, says) in [(url, "certificate"), (server.url().replace("ws:", "wss:"), "")] {
        let error = Client::connect(&url).await.unwrap_err();
        assert!(matches!(&error, Error::Closed(Fault::Unreachable(why)) if why.contains(says)), "{url}: {error}");
    }
    for nonsense in ["no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = Client::builder("wss://127.0.0.1:1").root_certificates(nonsense).connect().await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");
    }
}
