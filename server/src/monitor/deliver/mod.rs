//! The channels through which messages leave: mails, a webhook, a command.
//!
//! A delivery blocks, within its own time limit; the outbox (`monitor::outbox`) decides when and what, and tries again.
//!
//! Invariant: a delivery that returns well was accepted by the other side; anything else is an error and is tried again.

pub mod command;
pub mod mail;
pub mod webhook;

use jiff::Timestamp;
use serde::Serialize;

use self::command::Command;
use self::mail::Mail;
use self::webhook::Webhook;
use super::notice::Notice;
use super::settings::AlarmSettings;

/// Why a delivery failed.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// A file of the configuration cannot be read.
    #[error("read {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A message cannot be made.
    #[error("write a mail: {0}")]
    Letter(String),
    /// The mail server refused or could not be reached.
    #[error("send a mail: {0}")]
    Smtp(#[source] lettre::transport::smtp::Error),
    /// The webhook refused or could not be reached.
    #[error("post to the webhook: {0}")]
    Webhook(String),
    /// The command failed.
    #[error("run the command: {0}")]
    Command(String),
}

impl DeliveryError {
    /// True if a mail server said that this one mailbox is not to be written to: trying again says the same.
    pub fn is_refused_address(&self) -> bool {
        const MAILBOX: [u16; 4] = [550, 551, 552, 553];
        matches!(self, Self::Smtp(error) if error.status().is_some_and(|code| MAILBOX.contains(&code.into())))
    }
}

/// A way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// E-mail.
    Mail,
    /// JSON to an address.
    Webhook,
    /// JSON to a program.
    Command,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 3] = [Self::Mail, Self::Webhook, Self::Command];

    /// Its stable name, in metrics and rows.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
            Self::Command => "command",
        }
    }

    /// The channel of a name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.word() == word)
    }
}

/// Who gets a message through a channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient {
    /// The channel.
    pub channel: Channel,
    /// A mail address; empty for the other channels.
    pub address: String,
    /// A customer, not an operator.
    pub is_customer: bool,
}

/// The configured channels.
#[derive(Debug, Default)]
pub struct Channels {
    mail: Option<Mail>,
    webhook: Option<Webhook>,
    command: Option<Command>,
}

/// What the webhook and the command get: `{"version":1,"notices":[…]}`, each as `monitor::notice` says.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    notices: &'a [Notice],
}

impl Channels {
    /// The channels of a configuration; `site` is the declared one, which mails are signed with.
    pub fn new(settings: &AlarmSettings, site: &str) -> Self {
        Self {
            mail: settings.mail.clone().map(|mail| Mail::new(mail, site)),
            webhook: settings.webhook.clone().map(Webhook::new),
            command: settings.command.clone().map(Command::new),
        }
    }

    /// Those that are configured.
    pub fn configured(&self) -> Vec<Channel> {
        let there = [self.mail.is_some(), self.webhook.is_some(), self.command.is_some()];
        Channel::ALL.into_iter().zip(there).filter_map(|(channel, there)| there.then_some(channel)).collect()
    }

    /// Who gets what concerns operators.
    pub fn operators(&self) -> Vec<Recipient> {
        let mails =
            self.mail.iter().flat_map(|mail| &mail.settings().operators).map(|address| (Channel::Mail, address));
        let none = String::new();
        let others = [(Channel::Webhook, self.webhook.is_some()), (Channel::Command, self.command.is_some())];
        let others = others.into_iter().filter_map(|(channel, there)| there.then_some((channel, &none)));
        let recipient = |(channel, address): (Channel, &String)| Recipient {
            channel,
            address: address.clone(),
            is_customer: false,
        };
        mails.chain(others).map(recipient).collect()
    }

    /// The customer behind a mail address, if mails go to customers.
    pub fn customer(&self, address: &str) -> Option<Recipient> {
        let mail = self.mail.as_ref().filter(|mail| mail.settings().customers && mail::is_address(address))?;
        let is_operator = mail.settings().operators.iter().any(|operator| operator == address);
        let address = address.to_owned();
        (!is_operator).then_some(Recipient { channel: Channel::Mail, address, is_customer: true })
    }

    /// Delivers notices to a recipient at `now`, all or none as far as the other side tells.
    ///
    /// # Errors
    /// [`DeliveryError`].
    pub fn deliver(&self, to: &Recipient, notices: &[Notice], now: Timestamp) -> Result<(), DeliveryError> {
        match to.channel {
            Channel::Mail => self.mail.as_ref().map_or(Ok(()), |mail| mail.deliver(to, notices, now)),
            Channel::Webhook => self.webhook.as_ref().map_or(Ok(()), |webhook| webhook.deliver(&body(notices), now)),
            Channel::Command => self.command.as_ref().map_or(Ok(()), |command| command.deliver(&body(notices))),
        }
    }
}

fn body(notices: &[Notice]) -> Vec<u8> {
    serde_json::to_vec(&Document { version: 1, notices }).expect("texts, numbers and dates are always JSON")
}

fn read_file(path: &std::path::Path) -> Result<Vec<u8>, DeliveryError> {
    std::fs::read(path).map_err(|source| DeliveryError::File { path: path.display().to_string(), source })
}

fn secret(path: &std::path::Path) -> Result<String, DeliveryError> {
    super::settings::read_secret(path)
        .map_err(|source| DeliveryError::File { path: path.display().to_string(), source })
}
