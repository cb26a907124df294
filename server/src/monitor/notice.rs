//! One message as it leaves: the document that the webhook and the command get, and the facts that a mail is written from.
//!
//! The document (version 1) has, in this order: `version`, `event` (`raised`, `reminder`, `ended`, `test`), `kind` (the words of
//! [`Kind`]; absent for a test), `subscription` (reference of the order form; empty for the server itself), `subject` (a source's name or
//! the like; often empty), `since` and `at` (RFC 3339), `measures` (`used`, `allowed`, `at_ns`; bytes, days or objects by the kind).
//!
//! Invariant: no file name, path, password or token is ever in it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::alarm::{Event, Kind, Measures, Message};

/// Version of the document.
const VERSION: u32 = 1;

/// A message as it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Of the document.
    pub version: u32,
    /// What happened.
    pub event: Event,
    /// What is wrong; absent for a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Whose; empty for the server itself.
    pub subscription: String,
    /// With what; for what a customer is told, its detail.
    pub subject: String,
    /// What a customer is told about: a stable name of `control::notices`. Never leaves through a webhook or a command.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub topic: String,
    /// When it began.
    pub since: Timestamp,
    /// When this was said.
    pub at: Timestamp,
    /// How bad it is.
    pub measures: Measures,
}

impl Notice {
    /// What the state machine said at `at`.
    pub fn new(message: &Message, at: Timestamp) -> Self {
        let Message { event, key, since, measures } = message;
        Self {
            version: VERSION,
            event: *event,
            kind: Some(key.kind),
            subscription: key.subscription.clone(),
            subject: key.subject.clone(),
            topic: String::new(),
            since: *since,
            at,
            measures: *measures,
        }
    }

    /// What the customer of a subscription was told at `at`: a stable name and the detail.
    pub fn told(subscription: &str, (topic, detail): (&str, &str), at: Timestamp) -> Self {
        Self {
            event: Event::Told,
            subscription: subscription.to_owned(),
            subject: detail.to_owned(),
            topic: topic.to_owned(),
            ..Self::test(at)
        }
    }

    /// What a try of the channels sends.
    pub fn test(at: Timestamp) -> Self {
        let (subscription, subject, topic) = (String::new(), String::new(), String::new());
        let measures = Measures::default();
        Self { version: VERSION, event: Event::Test, kind: None, subscription, subject, topic, since: at, at, measures }
    }
}
