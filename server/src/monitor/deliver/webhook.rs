//! JSON posted to the configured address, signed.
//!
//! `Dobaas-Signature: t=UNIX_SECONDS,v1=HEX` where HEX is HMAC-SHA-256 of `UNIX_SECONDS.BODY` with the shared secret: the receiver checks it
//! and refuses old times. Any answer of 2xx is an acceptance; redirects are not followed.
//!
//! Invariant: the time of a delivery is bounded from the first packet to the last.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use common::limits::ALARM_DELIVERY_MS;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Proxy};

use super::{DeliveryError, read_file, secret};
use crate::monitor::settings::WebhookSettings;

/// Header of the signature.
pub const SIGNATURE: &str = "Dobaas-Signature";

/// The webhook channel.
#[derive(Debug)]
pub struct Webhook {
    settings: WebhookSettings,
}

impl Webhook {
    /// Posts as configured.
    pub fn new(settings: WebhookSettings) -> Self {
        Self { settings }
    }

    /// Posts a document.
    ///
    /// # Errors
    /// [`DeliveryError`].
    pub fn deliver(&self, body: &[u8], now: Timestamp) -> Result<(), DeliveryError> {
        let signature = signature(&secret(&self.settings.secret_file)?, now.as_second(), body);
        let request = self.agent()?.post(&self.settings.url);
        let sent = request.content_type("application/json").header(SIGNATURE, signature).send(body);
        // The address may hold a token: the error is told without it.
        let answer = sent.map_err(|error| DeliveryError::Webhook(error.to_string()))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(DeliveryError::Webhook(format!("the answer is {status}"))) }
    }

    fn agent(&self) -> Result<Agent, DeliveryError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        if let Some(path) = &self.settings.authority {
            let pem = read_file(path)?;
            let ders = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
            let ders = ders.map_err(|error| DeliveryError::Webhook(error.to_string()))?;
            let roots: Vec<_> = ders.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
            tls = tls.root_certs(RootCerts::new_with_certs(&roots));
        }
        let no_proxy: Option<Proxy> = None;
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(Duration::from_millis(ALARM_DELIVERY_MS)))
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(no_proxy)
            .build();
        Ok(config.new_agent())
    }
}

/// The signature's header for a body sent at a time.
pub fn signature(secret: &str, at_s: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    context.update(format!("{at_s}.").as_bytes());
    context.update(body);
    let mut text = format!("t={at_s},v1=");
    for byte in context.sign().as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_openssl_computes() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
        assert_eq!(
            signature("secret", 1_700_000_000, b"{}"),
            "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
        );
    }
}
