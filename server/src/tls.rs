//! TLS as the server speaks it: version 1.3 only, aws-lc-rs, ALPN h2, a leaf that can be replaced while serving.
//!
//! It does not accept connections (`listen`) nor make certificates (`identity`).
//!
//! Invariant: TLS 1.3 is the only version offered; there is no setting that brings back another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::PublicCertificate;
use crate::identity::Leaf;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate and its key do not go together.
    #[error("use a certificate")]
    Rustls(#[from] rustls::Error),
    /// A public certificate's file cannot be read.
    #[error("read a certificate or key in {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
}

/// The certificates that are presented: the provider's own, and a public one to those who ask for its names.
#[derive(Debug)]
pub struct Certificates {
    own: RwLock<Arc<CertifiedKey>>,
    public: Option<(Vec<String>, Arc<CertifiedKey>)>,
    provider: Arc<CryptoProvider>,
}

impl Certificates {
    /// Presents `leaf`, and beside it the public certificate if there is one.
    ///
    /// # Errors
    /// As [`TlsError`].
    pub fn new(leaf: Leaf, public: Option<&PublicCertificate>) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let public = public.map(|public| read_public(public, &provider)).transpose()?;
        let own = RwLock::new(Arc::new(CertifiedKey::from_der(leaf.chain, leaf.key, &provider)?));
        Ok(Self { own, public, provider })
    }

    /// Presents another leaf from the next handshake on.
    ///
    /// # Errors
    /// If its key does not go with it; the old one then stays.
    pub fn renew(&self, leaf: Leaf) -> Result<(), TlsError> {
        *self.own.write() = Arc::new(CertifiedKey::from_der(leaf.chain, leaf.key, &self.provider)?);
        Ok(())
    }

    /// When each presented certificate ends: `provider`, and `public` if there is one.
    pub fn ends(&self) -> Vec<(&'static str, Timestamp)> {
        let end = |key: &CertifiedKey| {
            let (_, certificate) = X509Certificate::from_der(key.cert.first()?).ok()?;
            Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
        };
        let own = end(&self.own.read()).map(|end| ("provider", end));
        let public = self.public.as_ref().and_then(|(_, key)| end(key)).map(|end| ("public", end));
        own.into_iter().chain(public).collect()
    }

    /// The configuration of every connection.
    ///
    /// # Errors
    /// As [`TlsError`].
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name();
        match &self.public {
            Some((names, key)) if wanted.is_some_and(|name| names.iter().any(|own| own.eq_ignore_ascii_case(name))) => {
                Some(key.clone())
            }
            _ => Some(self.own.read().clone()),
        }
    }
}

type Public = (Vec<String>, Arc<CertifiedKey>);

fn read_public(public: &PublicCertificate, provider: &CryptoProvider) -> Result<Public, TlsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Read { path, source }
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&public.certificate)
        .and_then(Iterator::collect)
        .map_err(failed(&public.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&public.key).map_err(failed(&public.key))?;
    Ok((public.names.clone(), Arc::new(CertifiedKey::from_der(chain, key, provider)?)))
}
