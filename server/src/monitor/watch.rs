//! The monitor: looks, keeps the alarms, queues what is said, shows the metrics.
//!
//! It has no thread and no timer: `app` calls [`Monitor::look`] every minute and [`Monitor::deliver`] for each channel.
//!
//! Invariant: a state that could not be stored is not taken over: the next look says the same again.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::id::SubscriptionId;
use common::limits::ALARM_NOTICES_MAX;
use common::text::date::{moment, nanoseconds};
use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, RwLock};
use prometheus_client::registry::Registry;

use super::alarm::{Active, Alarms, Key, Message};
use super::deliver::mail::is_address;
use super::deliver::{Channel, Channels, DeliveryError, Recipient};
use super::look::{Gatherer, Look, pause_of, stop_of};
use super::metrics::{self, Shown, View};
use super::notice::Notice;
use super::observe::observe;
use super::outbox::deliver_due;
use super::process::Process;
use super::traffic::Traffic;
use crate::auth::principal::Role;
use crate::catalog::totals::ChunkTotals;
use crate::clock::Clock;
use crate::control::accounts::Standing;
use crate::control::alarms::{ChannelState, NewMessage};
use crate::control::notices::Uncarried;
use crate::control::{Control, ControlError};
use crate::session::error::SessionError;
use crate::subscriptions::Subscriptions;
use crate::tls::Certificates;

/// Time between two counts of a subscription's chunks.
const CHUNKS_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// What the monitor works with.
pub struct Parts {
    /// The provider's records.
    pub control: Arc<Control>,
    /// What is stored.
    pub subscriptions: Arc<Subscriptions>,
    /// Ways out.
    pub channels: Channels,
    /// What is presented to clients.
    pub certificates: Arc<Certificates>,
    /// Calls and connections.
    pub traffic: Traffic,
    /// Tells the time.
    pub clock: Clock,
}

/// Watches over a server.
pub struct Monitor {
    parts: Parts,
    started_at: Timestamp,
    alarms: Mutex<Alarms>,
    /// One look at a time; whoever asks for the alarms does not wait for it.
    looking: Mutex<()>,
    /// One delivery of a channel at a time: a message is not delivered twice.
    delivering: [Mutex<()>; Channel::ALL.len()],
    chunks: Mutex<(Option<Timestamp>, BTreeMap<SubscriptionId, ChunkTotals>)>,
    shown: Shown,
    registry: Registry,
}

impl Monitor {
    /// Takes up the alarms that went on.
    ///
    /// # Errors
    /// If the control store cannot be read.
    pub fn new(parts: Parts) -> Result<Self, ControlError> {
        let alarms = Mutex::new(Alarms::restore(parts.control.alarms()?));
        let shown: Shown = Arc::new(RwLock::default());
        let activity = parts.subscriptions.objects().health().activity();
        let registry = metrics::registry(&parts.traffic, activity, shown.clone());
        let started_at = parts.clock.now();
        let (looking, delivering, chunks) = (Mutex::default(), Default::default(), Mutex::default());
        Ok(Self { parts, started_at, alarms, looking, delivering, chunks, shown, registry })
    }

    /// Looks at everything, and queues what is to be said; how many alarms go on.
    ///
    /// # Errors
    /// If the control store cannot be read or written; the alarms are then as before.
    pub fn look(&self) -> Result<usize, ControlError> {
        let _alone = self.looking.lock();
        let now = self.parts.clock.now();
        let look = self.gather(now)?;
        let mut alarms = self.alarms.lock();
        let mut next = alarms.clone();
        let messages = next.look(&observe(&look), now);
        let active: Vec<(Key, Active)> = next.active().map(|(key, active)| (key.clone(), *active)).collect();
        if !messages.is_empty() || is_other_state(&alarms, &next) {
            let queued = self.address(&messages, now)?;
            self.parts.control.store_alarms(&active, &queued, nanoseconds(now))?;
        }
        self.carry_notices(now)?;
        for message in &messages {
            let Key { kind, subscription, subject } = &message.key;
            tracing::warn!(event = ?message.event, kind = kind.word(), subscription, subject, "alarm");
        }
        *alarms = next;
        let count = active.len();
        *self.shown.write() = Arc::new(View { look, active });
        Ok(count)
    }

    /// Delivers what is due of one channel; how many deliveries failed. Blocks as long as the other side takes, within limits.
    ///
    /// # Errors
    /// If the control store cannot be read or written.
    pub fn deliver(&self, channel: Channel) -> Result<u64, ControlError> {
        let _alone = self.delivering[channel as usize].lock();
        deliver_due(&self.parts.control, &self.parts.channels, channel, self.parts.clock.now())
    }

    /// The configured channels.
    pub fn channels(&self) -> Vec<Channel> {
        self.parts.channels.configured()
    }

    /// Sends a test message to every operator through every channel at once, past the queue; what each answered.
    pub fn test(&self) -> Vec<(Recipient, Result<(), DeliveryError>)> {
        let now = self.parts.clock.now();
        let notices = [Notice::test(now)];
        let recipients = self.parts.channels.operators();
        // All at once: one that does not answer must not hide what the others said.
        std::thread::scope(|scope| {
            let threads: Vec<_> = recipients
                .into_iter()
                .map(|to| {
                    let (notices, channels) = (&notices, &self.parts.channels);
                    (to.clone(), scope.spawn(move || channels.deliver(&to, notices, now)))
                })
                .collect();
            let result = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err(DeliveryError::Command("the delivery panicked".to_owned())))
            };
            threads.into_iter().map(|(to, thread)| (to, result(thread))).collect()
        })
    }

    /// The alarms that go on.
    pub fn active(&self) -> Vec<(Key, Active)> {
        self.alarms.lock().active().map(|(key, active)| (key.clone(), *active)).collect()
    }

    /// How each configured channel fares.
    ///
    /// # Errors
    /// If the control store cannot be read.
    pub fn channel_states(&self) -> Result<Vec<ChannelState>, ControlError> {
        let configured = self.channels();
        let states = self.parts.control.channel_states()?;
        Ok(states.into_iter().filter(|state| configured.contains(&state.channel)).collect())
    }

    /// The metrics as text.
    ///
    /// # Errors
    /// None that can happen.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        metrics::text(&self.registry)
    }

    fn gather(&self, now: Timestamp) -> Result<Look, ControlError> {
        let Parts { control, subscriptions, certificates, .. } = &self.parts;
        let health = subscriptions.objects().health();
        let mut chunks = self.chunks.lock();
        if chunks.0.is_none_or(|counted| now.duration_since(counted) >= CHUNKS_EVERY) {
            *chunks = (Some(now), self.count_chunks());
        }
        let gatherer = Gatherer { control, subscriptions, chunks: &chunks.1 };
        Ok(Look {
            at: now,
            started_at: self.started_at,
            process: Process::look(),
            room: health.room().ok(),
            is_suspect: health.reason().is_some(),
            certificates: certificates.ends(),
            copied_at: newest_copy(subscriptions),
            channels: self.channel_states()?,
            jobs: control.jobs()?.into_iter().filter(|job| job.subscription.is_none()).collect(),
            pruning_stop: stop_of(&control.pruning_stops()?, None),
            paused_since: pause_of(&control.paused_upkeep()?, None),
            subscriptions: gatherer.subscriptions(now)?,
        })
    }

    fn count_chunks(&self) -> BTreeMap<SubscriptionId, ChunkTotals> {
        let subscriptions = &self.parts.subscriptions;
        let count = |id: SubscriptionId| {
            let counted = subscriptions.peek(&id, |catalog, _| Ok::<_, SessionError>(catalog.chunk_totals()?));
            Some((id, counted.ok()??))
        };
        subscriptions.stored().unwrap_or_default().into_iter().filter_map(count).collect()
    }

    /// Queues a mail of each notice that customers were given since the last look; without mails it only marks them.
    fn carry_notices(&self, now: Timestamp) -> Result<(), ControlError> {
        let control = &self.parts.control;
        let notices = control.uncarried(u32::try_from(ALARM_NOTICES_MAX).unwrap_or(u32::MAX))?;
        let Some(newest) = notices.last() else { return Ok(()) };
        let references = control.references()?;
        let mut queued = Vec::new();
        for Uncarried { subscription, notice, .. } in &notices {
            let told: Vec<&String> = match subscription {
                Some(one) => references.get(one).into_iter().collect(),
                None => references.values().collect(),
            };
            for reference in told {
                let letter = Notice::told(reference, (&notice.kind, &notice.detail), moment(notice.at_ns));
                let recipients = self.customers(reference, now)?.into_iter();
                queued.extend(recipients.map(|to| NewMessage { to, notice: letter.clone() }));
            }
        }
        control.carry(newest.number, &queued, nanoseconds(now))
    }

    /// Who is told each message.
    fn address(&self, messages: &[Message], now: Timestamp) -> Result<Vec<NewMessage>, ControlError> {
        let operators = self.parts.channels.operators();
        let mut queued = Vec::new();
        for message in messages {
            let mut recipients = operators.clone();
            if message.key.kind.is_for_customer() {
                recipients.extend(self.customers(&message.key.subscription, now)?);
            }
            let notice = Notice::new(message, now);
            queued.extend(recipients.into_iter().map(|to| NewMessage { to, notice: notice.clone() }));
        }
        Ok(queued)
    }

    /// The mail addresses of a customer: those in the order form's contact, and the administrators whose identifier is one.
    fn customers(&self, reference: &str, now: Timestamp) -> Result<Vec<Recipient>, ControlError> {
        let Parts { control, channels, .. } = &self.parts;
        let Some(subscription) = control.subscription_by_reference(reference)? else { return Ok(Vec::new()) };
        let separators = |letter: char| letter.is_whitespace() || matches!(letter, ',' | ';' | '<' | '>' | '(' | ')');
        let contact = &subscription.form.contact;
        let mut addresses: Vec<String> =
            contact.split(separators).filter(|word| is_address(word)).map(str::to_lowercase).collect();
        for account in control.accounts(Some(&subscription.subscription))? {
            let is_admin = matches!(account.standing, Standing::Person { role: Role::Admin, .. });
            if is_admin && !account.is_over(nanoseconds(now)) && is_address(&account.identifier) {
                addresses.push(account.identifier);
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses.iter().filter_map(|address| channels.customer(address)).collect())
    }
}

/// Until when the control store is copied; a listing that fails is no copy.
fn newest_copy(subscriptions: &Subscriptions) -> Option<Timestamp> {
    let newest = subscriptions.objects().control_copies().list().ok()?.pop()?;
    Some(moment(newest.taken_at_ns))
}

/// True if more than the measures of alarms differs.
fn is_other_state(before: &Alarms, after: &Alarms) -> bool {
    let state = |alarms: &Alarms| -> Vec<(Key, Option<Timestamp>)> {
        alarms.active().map(|(key, active)| (key.clone(), active.gone_since)).collect()
    };
    state(before) != state(after)
}
