//! The queue of each channel: what is due is delivered, what fails is tried again with longer and longer pauses.
//!
//! Channels do not wait for each other, and nothing else waits for them. The queue is in the control store.
//!
//! Invariant: a message leaves the queue when it was accepted, when it is older than `LIFE`, when the mail server knows no such
//! address of a customer, or when the queue is full of newer ones.

use common::text::date::nanoseconds;
use jiff::{SignedDuration, Timestamp};

use crate::control::alarms::{Failure, QueuedMessage};
use crate::control::{Control, ControlError};
use crate::monitor::deliver::{Channel, Channels, Recipient};
use crate::monitor::notice::Notice;
use common::limits::ALARM_NOTICES_MAX;

/// Age at which a message that nobody accepts is given up.
const LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// First pause after a failure; it doubles each time.
const PAUSE_MIN: SignedDuration = SignedDuration::from_secs(30);
/// Longest pause.
const PAUSE_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Delivers what is due of one channel; how many deliveries failed.
///
/// # Errors
/// Those of the control store; failed deliveries are no error.
pub fn deliver_due(
    control: &Control,
    channels: &Channels,
    channel: Channel,
    now: Timestamp,
) -> Result<u64, ControlError> {
    let now_ns = nanoseconds(now);
    let limit = u32::try_from(ALARM_NOTICES_MAX).unwrap_or(u32::MAX);
    let due = control.due_messages(channel, now_ns, limit)?;
    let (old, due): (Vec<_>, Vec<_>) = due.into_iter().partition(|message| is_too_old(message, now_ns));
    if !old.is_empty() {
        tracing::error!(
            channel = channel.word(),
            count = old.len(),
            "alarm messages that nobody accepted are given up"
        );
        control.messages_dropped(channel, &numbers(&old))?;
    }
    let mut failures = 0;
    for (to, messages) in by_recipient(due) {
        let notices: Vec<Notice> = messages.iter().map(|message| message.notice.clone()).collect();
        match channels.deliver(&to, &notices, now) {
            Ok(()) => control.messages_delivered(channel, &numbers(&messages), now_ns)?,
            // One customer's address that does not exist is no failure of the channel, which carries the others' mails.
            Err(error) if to.is_customer && error.is_refused_address() => {
                tracing::error!(channel = channel.word(), address = to.address, %error, "a customer's address is refused");
                let cause = format!("{} : {error}", to.address);
                control.messages_refused(channel, &numbers(&messages), &cause)?;
            }
            Err(error) => {
                tracing::error!(channel = channel.word(), %error, "alarm messages could not be delivered");
                let attempts = messages.iter().map(|message| message.attempts).min().unwrap_or_default();
                let due_at_ns = nanoseconds(now.saturating_add(pause(attempts)).unwrap_or(Timestamp::MAX));
                let failure = Failure { cause: &error.to_string(), at_ns: now_ns, due_at_ns };
                control.messages_failed(channel, &numbers(&messages), &failure)?;
                failures += 1;
            }
        }
    }
    Ok(failures)
}

/// How long a message waits that was refused so many times before.
fn pause(attempts: u32) -> SignedDuration {
    PAUSE_MIN.saturating_mul(1 << attempts.min(16)).min(PAUSE_MAX)
}

fn is_too_old(message: &QueuedMessage, now_ns: i64) -> bool {
    i128::from(now_ns.saturating_sub(message.made_at_ns)) > LIFE.as_nanos()
}

fn by_recipient(due: Vec<QueuedMessage>) -> Vec<(Recipient, Vec<QueuedMessage>)> {
    let mut groups: Vec<(Recipient, Vec<QueuedMessage>)> = Vec::new();
    for message in due {
        match groups.iter_mut().find(|(to, _)| *to == message.to) {
            Some((_, group)) => group.push(message),
            None => groups.push((message.to.clone(), vec![message])),
        }
    }
    groups
}

fn numbers(messages: &[QueuedMessage]) -> Vec<i64> {
    messages.iter().map(|message| message.number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour_and_no_more() {
        let seconds: Vec<i64> = [0, 1, 2, 6, 7, 1_000].into_iter().map(|attempts| pause(attempts).as_secs()).collect();
        assert_eq!(seconds, [30, 60, 120, 1_920, 3_600, 3_600]);
    }
}
