//! The encrypted connection: TLS 1.3 only, the provider's root as the only trust anchor, HTTP/2 by ALPN.
//!
//! It does not read the system's certificate store, and has no way to switch verification off.
//!
//! Invariant: a root enters only by its SHA-256 fingerprint, compared in constant time, after the handshake was verified with it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use common::id::read_hex;
use common::limits::{CONNECT_MS, HANDSHAKE_MS};
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Uri;

use super::{Endpoint, RemoteError};

/// SHA-256 of a certificate, as a person compares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Reads 64 hexadecimal digits; colons and spaces between them are tolerated.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
        let mut bytes = [0; 32];
        read_hex(&digits, &mut bytes).then_some(Self(bytes))
    }

    fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
        aws_lc_rs::constant_time::verify_slices_are_equal(digest.as_ref(), &self.0).is_ok()
    }
}

/// Why a connection was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// No TCP connection.
    #[error("no connection to {endpoint}: {source}")]
    Tcp {
        /// Where to.
        endpoint: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The handshake failed: another root, an expired certificate, not TLS 1.3.
    #[error("no trusted connection to {endpoint}: {source}")]
    Tls {
        /// Where to.
        endpoint: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Nothing answered in time.
    #[error("{endpoint} did not answer in time")]
    Late {
        /// Where to.
        endpoint: String,
    },
}

impl From<&ConnectError> for RemoteError {
    fn from(error: &ConnectError) -> Self {
        let refused = match error {
            ConnectError::Tls { source, .. } => source.get_ref().and_then(|inner| inner.downcast_ref()),
            _ => None,
        };
        match refused {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            )) => Self::OutOfDate(error.to_string()),
            // A peer that hangs up during the handshake is a cut; what rustls itself refuses is a matter of trust.
            Some(_) => Self::Tls(error.to_string()),
            None => Self::Unreachable(error.to_string()),
        }
    }
}

/// Makes the connections of one channel, first and later ones.
#[derive(Clone)]
pub(super) struct Connector {
    endpoint: Endpoint,
    config: Arc<ClientConfig>,
}

impl Connector {
    /// Trusts only the certificates in `root_pem`.
    pub(super) fn new(endpoint: Endpoint, root_pem: &str) -> Result<Self, RemoteError> {
        let unusable = |_| RemoteError::Tls("the pinned root certificate cannot be read".into());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
            roots.add(certificate.map_err(|_| ()).map_err(unusable)?).map_err(|_| ()).map_err(unusable)?;
        }
        if roots.is_empty() {
            return Err(RemoteError::Tls("there is no pinned root certificate".into()));
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| RemoteError::Tls(error.to_string()))?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { endpoint, config: Arc::new(config) })
    }

    pub(super) async fn connect(self) -> Result<TlsStream<TcpStream>, ConnectError> {
        let name = || self.endpoint.to_string();
        let tcp_failed = |source| ConnectError::Tcp { endpoint: name(), source };
        let tcp = TcpStream::connect((self.endpoint.host.as_str(), self.endpoint.port));
        let tcp = tokio::time::timeout(Duration::from_millis(CONNECT_MS), tcp)
            .await
            .map_err(|_| ConnectError::Late { endpoint: name() })?
            .map_err(tcp_failed)?;
        // A custom connector gets none of tonic's socket options.
        tcp.set_nodelay(true).map_err(tcp_failed)?;
        let tls = TlsConnector::from(self.config.clone()).connect(self.endpoint.server_name.clone(), tcp);
        tokio::time::timeout(Duration::from_millis(HANDSHAKE_MS), tls)
            .await
            .map_err(|_| ConnectError::Late { endpoint: name() })?
            .map_err(|source| ConnectError::Tls { endpoint: name(), source })
    }
}

impl tower::Service<Uri> for Connector {
    // TokioIo forwards vectored writes, and so does TlsStream: HTTP/2 headers and payload leave in one record.
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect().await.map(TokioIo::new) })
    }
}

/// Takes the provider's root from the chain that the server presents, if it has this fingerprint; as PEM, to be pinned.
///
/// # Errors
/// [`RemoteError::Tls`] if no certificate of the chain has the fingerprint or the chain does not lead to it.
pub async fn fetch_root(url: &str, fingerprint: Fingerprint) -> Result<String, RemoteError> {
    let endpoint = Endpoint::parse(url)?;
    let verifier = Arc::new(FingerprintVerifier { fingerprint, found: Mutex::new(None), provider: provider() });
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| RemoteError::Tls(error.to_string()))?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier.clone()).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = Connector { endpoint, config: Arc::new(config) };
    connector.connect().await.map_err(|error| RemoteError::from(&error))?;
    let found = verifier.found.lock().unwrap_or_else(PoisonError::into_inner).take();
    found.map(|der| write_pem(&der)).ok_or_else(|| RemoteError::Tls("the server presented no root".into()))
}

/// Verifies a chain as usual, with the presented certificate of the right fingerprint as its only root.
#[derive(Debug)]
struct FingerprintVerifier {
    fingerprint: Fingerprint,
    found: Mutex<Option<CertificateDer<'static>>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for FingerprintVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let presented = std::iter::once(end_entity).chain(intermediates);
        let root = presented.into_iter().find(|certificate| self.fingerprint.matches(certificate));
        let root =
            root.ok_or_else(|| rustls::Error::General("no presented certificate has this fingerprint".into()))?;
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(root.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is refused".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// RFC 7468, 64 characters a line.
fn write_pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let word = group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
            for at in 0..4 {
                let digit = ALPHABET[(word >> (18 - 6 * at) & 63) as usize];
                pem.push(if at <= group.len() { char::from(digit) } else { '=' });
            }
        }
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_with_or_without_colons() {
        let plain = "ab".repeat(32);
        let colons = ["AB"; 32].join(":");
        assert_eq!(Fingerprint::parse(&plain), Fingerprint::parse(&colons));
        assert!(Fingerprint::parse(&plain).is_some());
        for bad in ["", "ab", &"zz".repeat(32), &"ab".repeat(33)] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn pem_comes_back_for_every_padding() {
        for bytes in 0..200u8 {
            let der: Vec<u8> = (0..bytes).collect();
            let back = CertificateDer::from_pem_slice(write_pem(&der).as_bytes()).unwrap();
            assert_eq!(&back[..], &der[..]);
        }
    }

    #[test]
    fn no_root_and_no_certificate_are_refused() {
        let endpoint = Endpoint::parse("https://localhost:7443").unwrap();
        for pem in ["", "nonsense", &write_pem(b"not a certificate")] {
            assert!(matches!(Connector::new(endpoint.clone(), pem), Err(RemoteError::Tls(_))), "{pem}");
        }
    }
}
