//! TLS to the database, for the driver: rustls, with the server's name verified.
//!
//! SCRAM is bound to the connection (`tls-server-end-point` of RFC 5929), so that a password answers
//! only to the server whose certificate was seen.

use std::{
    fs, io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use ring::digest;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_rustls::{TlsConnector, client};
use x509_parser::{oid_registry, parse_x509_certificate};

use super::url::TlsFiles;

/// The driver's maker of TLS connections.
#[derive(Clone)]
pub(super) struct MakeRustls(Arc<ClientConfig>);

/// A TLS connection to one host.
pub(super) struct Rustls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// An encrypted stream.
pub(super) struct Stream(client::TlsStream<Socket>);

impl MakeRustls {
    /// Reads the files.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(super) fn read(files: &TlsFiles) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = &files.root_certificates {
            for certificate in certificates(path, "sslrootcert")? {
                roots
                    .add(certificate)
                    .map_err(|e| format!("sslrootcert {}: no authority: {e}", path.display()))?;
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(
                    "this system trusts no authorities: name the file of the database's \
                     authority with sslrootcert in its URL"
                        .to_owned(),
                );
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots);
        let config = match &files.client {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate, "sslcert")?;
                let pem = read(key, "sslkey")?;
                let key_der = PrivateKeyDer::from_pem_slice(&pem)
                    .map_err(|e| format!("sslkey {}: no key in PEM: {e}", key.display()))?;
                config
                    .with_client_auth_cert(chain, key_der)
                    .map_err(|e| format!("sslcert {} and its key: {e}", certificate.display()))?
            }
        };
        Ok(Self(Arc::new(config)))
    }
}

fn read(path: &Path, parameter: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("cannot read {parameter} {}: {e}", path.display()))
}

fn certificates(path: &Path, parameter: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path, parameter)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!(
            "{parameter} {}: no certificate in PEM",
            path.display()
        )),
        Err(e) => Err(format!(
            "{parameter} {}: no certificate in PEM: {e}",
            path.display()
        )),
    }
}

impl MakeTlsConnect<Socket> for MakeRustls {
    type Stream = Stream;
    type TlsConnect = Rustls;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Rustls, Self::Error> {
        Ok(Rustls {
            config: Arc::clone(&self.0),
            name: ServerName::try_from(domain)?.to_owned(),
        })
    }
}

impl TlsConnect<Socket> for Rustls {
    type Stream = Stream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Stream>>;

    fn connect(self, socket: Socket) -> Self::Future {
        let connect = TlsConnector::from(self.config).connect(self.name, socket);
        async { connect.await.map(Stream) }.boxed()
    }
}

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        let certificates = self.0.get_ref().1.peer_certificates();
        let hash = certificates.and_then(|chain| end_point(chain.first()?));
        hash.map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// The hash of a certificate by the algorithm of its signature; by SHA-256 where that is older.
/// `None` for an algorithm that names no hash, with which there is no binding.
fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let signature = &parsed.signature_algorithm.algorithm;
    let sha256 = [
        oid_registry::OID_PKCS1_MD5WITHRSAENC,
        oid_registry::OID_PKCS1_SHA1WITHRSA,
        oid_registry::OID_PKCS1_SHA256WITHRSA,
        oid_registry::OID_SIG_ECDSA_WITH_SHA256,
    ];
    let sha384 = [
        oid_registry::OID_PKCS1_SHA384WITHRSA,
        oid_registry::OID_SIG_ECDSA_WITH_SHA384,
    ];
    let sha512 = [
        oid_registry::OID_PKCS1_SHA512WITHRSA,
        oid_registry::OID_SIG_ECDSA_WITH_SHA512,
    ];
    let algorithm = if sha256.contains(signature) {
        &digest::SHA256
    } else if sha384.contains(signature) {
        &digest::SHA384
    } else if sha512.contains(signature) {
        &digest::SHA512
    } else {
        return None;
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
