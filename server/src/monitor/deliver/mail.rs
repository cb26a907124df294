//! Mails through the configured SMTP server: plain text, in French.
//!
//! One mail per notice, so that each has its subject and thread; from [`ALARM_MAILS_MAX`] notices on, one digest.
//!
//! Invariant: a connection that cannot be protected as configured sends nothing.
//! Invariant: a mail is made from its notice alone: sent again after a failure it has the same Message-ID, and receivers drop it.

use std::time::{Duration, SystemTime};

use common::limits::{ALARM_DELIVERY_MS, ALARM_MAILS_MAX};
use common::text::Texts;
use jiff::Timestamp;
use lettre::address::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{SmtpTransport, Transport};

use super::{DeliveryError, Recipient, read_file, secret};
use crate::monitor::notice::Notice;
use crate::monitor::settings::{Encryption, MailSettings};
use crate::monitor::text::{digest, letter};

/// The mail channel.
#[derive(Debug)]
pub struct Mail {
    settings: MailSettings,
    site: String,
}

impl Mail {
    /// Mails as configured, signed with the server's site.
    pub fn new(settings: MailSettings, site: &str) -> Self {
        Self { settings, site: site.to_owned() }
    }

    /// As configured.
    pub fn settings(&self) -> &MailSettings {
        &self.settings
    }

    /// Sends notices to one address.
    ///
    /// # Errors
    /// [`DeliveryError`]; what was sent before it is sent again, under the same Message-ID.
    pub fn deliver(&self, to: &Recipient, notices: &[Notice], now: Timestamp) -> Result<(), DeliveryError> {
        let transport = self.transport()?;
        let parts = if notices.len() > ALARM_MAILS_MAX { vec![notices] } else { notices.chunks(1).collect() };
        for part in parts {
            let message = self.message(to, part, now)?;
            transport.send(&message).map_err(DeliveryError::Smtp)?;
        }
        Ok(())
    }

    fn message(&self, to: &Recipient, notices: &[Notice], now: Timestamp) -> Result<Message, DeliveryError> {
        let failed = |error: &dyn std::error::Error| DeliveryError::Letter(error.to_string());
        let texts = Texts::FRENCH;
        let (subject, body) = match notices {
            [one] => letter(one, to.is_customer, texts),
            several => digest(several, to.is_customer, texts),
        };
        let from: Mailbox = self.settings.from.parse().map_err(|error| failed(&error))?;
        let domain = from.email.domain().to_owned();
        let (thread, id) = ids(notices, &to.address, &domain);
        let to: Mailbox = to.address.parse().map_err(|error| failed(&error))?;
        let site = &self.site;
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        Message::builder()
            .from(from)
            .to(to)
            .date(SystemTime::from(now))
            .subject(subject)
            .message_id(Some(id))
            .references(thread)
            .raw_header(automatic)
            .header(ContentType::TEXT_PLAIN)
            .body(format!("{body}\n\n-- \nDo'BaaS, {site}\n"))
            .map_err(|error| failed(&error))
    }

    fn transport(&self) -> Result<SmtpTransport, DeliveryError> {
        let settings = &self.settings;
        let (tls, usual_port) = match settings.encryption {
            Encryption::Starttls => (Tls::Required(self.tls()?), 587),
            Encryption::Tls => (Tls::Wrapper(self.tls()?), 465),
            Encryption::None => (Tls::None, 25),
        };
        let domain = settings.from.parse::<Mailbox>().map(|from| from.email.domain().to_owned()).unwrap_or_default();
        let mut builder = SmtpTransport::builder_dangerous(&settings.server)
            .port(settings.port.unwrap_or(usual_port))
            .tls(tls)
            .hello_name(ClientId::Domain(domain))
            .timeout(Some(Duration::from_millis(ALARM_DELIVERY_MS)));
        if let (Some(login), Some(file)) = (&settings.login, &settings.password_file) {
            builder = builder.credentials(Credentials::new(login.clone(), secret(file)?));
        }
        Ok(builder.build())
    }

    fn tls(&self) -> Result<TlsParameters, DeliveryError> {
        let mut builder = TlsParameters::builder(self.settings.server.clone());
        if let Some(path) = &self.settings.authority {
            let authority = Certificate::from_pem(&read_file(path)?).map_err(DeliveryError::Smtp)?;
            builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
        }
        builder.build_rustls().map_err(DeliveryError::Smtp)
    }
}

/// True for an address that mails can be sent to.
pub fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}

/// Ids of the thread and of the mail: the first of what the alarm is, the second also of what happened and of who is told.
fn ids(notices: &[Notice], address: &str, domain: &str) -> (String, String) {
    let alarm = |notice: &Notice| {
        let word = match notice.kind {
            Some(kind) => kind.word(),
            None if notice.topic.is_empty() => "test",
            None => &notice.topic,
        };
        format!("{word}\0{}\0{}\0{}\0", notice.subscription, notice.subject, notice.since)
    };
    let mut hash = blake3::Hasher::new();
    notices.iter().for_each(|notice| {
        hash.update(alarm(notice).as_bytes());
    });
    let name = |hash: &blake3::Hasher| format!("<{}@{domain}>", &hash.finalize().to_hex()[..32]);
    let thread = name(&hash);
    notices.iter().for_each(|notice| {
        hash.update(format!("{:?}\0{}\0", notice.event, notice.at).as_bytes());
    });
    hash.update(address.as_bytes());
    (thread, name(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_sent_again_has_the_same_id_and_its_end_the_same_thread() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let one = Notice::test(at("2026-11-22T12:00:00Z"));
        let later = Notice { at: at("2026-11-23T12:00:00Z"), ..one.clone() };
        let of = |notice: &Notice, address| ids(std::slice::from_ref(notice), address, "example.fr");
        assert_eq!(of(&one, "a@b.fr"), of(&one, "a@b.fr"));
        assert_eq!(of(&one, "a@b.fr").0, of(&later, "c@b.fr").0);
        assert_ne!(of(&one, "a@b.fr").1, of(&later, "a@b.fr").1);
        assert_ne!(of(&one, "a@b.fr").1, of(&one, "c@b.fr").1);
    }
}
