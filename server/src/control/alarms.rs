//! Alarms that go on, what waits to be delivered, and how each channel fares.
//!
//! It does not decide what is wrong (`monitor::observe`) nor when to try again (`monitor::outbox`).
//!
//! Invariant: a state and the messages that it causes are one transaction: a crash neither loses a message nor repeats one.
//! Invariant: the queue is bounded by [`ALARM_QUEUE_MAX`]; beyond it the oldest go, and are counted.

use common::limits::{ALARM_ERROR_BYTES_MAX, ALARM_QUEUE_MAX};
use common::text::date::nanoseconds;
use jiff::Timestamp;
use rusqlite::{Row, Transaction, params};

use super::{Control, ControlError, integer, unsigned};
use crate::monitor::alarm::{Active, Key, Kind, Measures};
use crate::monitor::deliver::{Channel, Recipient};
use crate::monitor::notice::Notice;

/// The tables of this module.
pub(super) const TABLES: &str = "
CREATE TABLE alarm (
  kind TEXT NOT NULL,
  subscription TEXT NOT NULL,
  subject TEXT NOT NULL,
  since_ns INTEGER NOT NULL,
  said_at_ns INTEGER NOT NULL,
  gone_since_ns INTEGER,
  used INTEGER NOT NULL,
  allowed INTEGER NOT NULL,
  at_ns INTEGER NOT NULL,
  PRIMARY KEY (kind, subscription, subject)
) STRICT, WITHOUT ROWID;
CREATE TABLE alarm_message (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  channel TEXT NOT NULL,
  address TEXT NOT NULL,
  is_customer INTEGER NOT NULL,
  notice TEXT NOT NULL,
  made_at_ns INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  due_at_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX alarm_message_of_channel ON alarm_message (channel, due_at_ns);
CREATE TABLE alarm_channel (
  channel TEXT NOT NULL PRIMARY KEY,
  delivered_at_ns INTEGER,
  failing_since_ns INTEGER,
  failures INTEGER NOT NULL,
  dropped INTEGER NOT NULL,
  error TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// A message to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// To whom.
    pub to: Recipient,
    /// What.
    pub notice: Notice,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// 1, 2, 3 …
    pub number: i64,
    /// To whom.
    pub to: Recipient,
    /// What.
    pub notice: Notice,
    /// When it was put there, in nanoseconds since 1970.
    pub made_at_ns: i64,
    /// Deliveries that failed.
    pub attempts: u32,
}

/// How a channel fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelState {
    /// Which.
    pub channel: Channel,
    /// The last delivery that was accepted, in nanoseconds since 1970.
    pub delivered_at_ns: Option<i64>,
    /// Since when deliveries fail, in nanoseconds since 1970; none while they do not.
    pub failing_since_ns: Option<i64>,
    /// Failed deliveries in all.
    pub failures: u64,
    /// Messages given up in all.
    pub dropped: u64,
    /// Why the last one failed.
    pub error: String,
    /// Messages that wait.
    pub queued: u64,
}

impl Control {
    /// The alarms that go on, as they were last stored.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn alarms(&self) -> Result<Vec<(Key, Active)>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT kind, subscription, subject, since_ns, said_at_ns, gone_since_ns, used, allowed, at_ns FROM alarm",
            )?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(alarm_of(row)?);
            }
            Ok(found)
        })
    }

    /// Replaces the alarms that go on and queues what is to be said.
    ///
    /// # Errors
    /// SQLite's.
    pub fn store_alarms(
        &self,
        active: &[(Key, Active)],
        messages: &[NewMessage],
        now_ns: i64,
    ) -> Result<(), ControlError> {
        self.write(|transaction| {
            transaction.execute("DELETE FROM alarm", [])?;
            for (key, active) in active {
                insert_alarm(transaction, key, active)?;
            }
            queue(transaction, messages, now_ns)
        })
    }

    /// The oldest messages of a channel that are due.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn due_messages(&self, channel: Channel, now_ns: i64, limit: u32) -> Result<Vec<QueuedMessage>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT number, address, is_customer, notice, made_at_ns, attempts FROM alarm_message
                 WHERE channel = ?1 AND due_at_ns <= ?2 ORDER BY number LIMIT ?3",
            )?;
            let mut rows = statement.query(params![channel.word(), now_ns, limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let notice: String = row.get(3)?;
                let to = Recipient { channel, address: row.get(1)?, is_customer: row.get(2)? };
                found.push(QueuedMessage {
                    number: row.get(0)?,
                    to,
                    notice: serde_json::from_str(&notice).map_err(|_| ControlError::Damaged { what: "notice" })?,
                    made_at_ns: row.get(4)?,
                    attempts: row.get(5)?,
                });
            }
            Ok(found)
        })
    }

    /// Takes messages that were accepted out of the queue.
    ///
    /// # Errors
    /// SQLite's.
    pub fn messages_delivered(&self, channel: Channel, numbers: &[i64], now_ns: i64) -> Result<(), ControlError> {
        self.write(|transaction| {
            remove(transaction, numbers)?;
            channel_row(transaction, channel)?;
            transaction.execute(
                "UPDATE alarm_channel SET delivered_at_ns = ?2, failing_since_ns = NULL, error = '' WHERE channel = ?1",
                params![channel.word(), now_ns],
            )?;
            Ok(())
        })
    }

    /// Notes that a delivery failed and when its messages are due again.
    ///
    /// # Errors
    /// SQLite's.
    pub fn messages_failed(
        &self,
        channel: Channel,
        numbers: &[i64],
        failure: &Failure<'_>,
    ) -> Result<(), ControlError> {
        let cause: String = failure.cause.chars().take(ALARM_ERROR_BYTES_MAX).collect();
        self.write(|transaction| {
            for number in numbers {
                transaction
                    .prepare_cached(
                        "UPDATE alarm_message SET attempts = attempts + 1, due_at_ns = ?2 WHERE number = ?1",
                    )?
                    .execute(params![number, failure.due_at_ns])?;
            }
            channel_row(transaction, channel)?;
            transaction.execute(
                "UPDATE alarm_channel SET failures = failures + 1, error = ?3,
                 failing_since_ns = coalesce(failing_since_ns, ?2) WHERE channel = ?1",
                params![channel.word(), failure.at_ns, cause],
            )?;
            Ok(())
        })
    }

    /// Gives messages up.
    ///
    /// # Errors
    /// SQLite's.
    pub fn messages_dropped(&self, channel: Channel, numbers: &[i64]) -> Result<(), ControlError> {
        self.write(|transaction| {
            remove(transaction, numbers)?;
            count_dropped(transaction, channel, numbers.len() as u64)
        })
    }

    /// Gives messages up whose address is refused for good; the channel goes on and says so.
    ///
    /// # Errors
    /// SQLite's.
    pub fn messages_refused(&self, channel: Channel, numbers: &[i64], cause: &str) -> Result<(), ControlError> {
        let cause: String = cause.chars().take(ALARM_ERROR_BYTES_MAX).collect();
        self.write(|transaction| {
            remove(transaction, numbers)?;
            count_dropped(transaction, channel, numbers.len() as u64)?;
            let sql = "UPDATE alarm_channel SET error = ?2 WHERE channel = ?1";
            transaction.execute(sql, params![channel.word(), cause])?;
            Ok(())
        })
    }

    /// How each channel fares that ever carried, failed or queued something.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn channel_states(&self) -> Result<Vec<ChannelState>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT delivered_at_ns, failing_since_ns, failures, dropped, error,
                 (SELECT count(*) FROM alarm_message WHERE channel = ?1)
                 FROM (SELECT 1) LEFT JOIN alarm_channel ON channel = ?1",
            )?;
            let state = |channel: Channel| {
                statement.query_row([channel.word()], |row| {
                    Ok(ChannelState {
                        channel,
                        delivered_at_ns: row.get(0)?,
                        failing_since_ns: row.get(1)?,
                        failures: row.get::<_, Option<u32>>(2)?.unwrap_or_default().into(),
                        dropped: row.get::<_, Option<u32>>(3)?.unwrap_or_default().into(),
                        error: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
                        queued: row.get::<_, u32>(5)?.into(),
                    })
                })
            };
            Ok(Channel::ALL.into_iter().map(state).collect::<Result<_, _>>()?)
        })
    }
}

/// A delivery that failed.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// Why, as the other side or the system said it.
    pub cause: &'a str,
    /// When, in nanoseconds since 1970.
    pub at_ns: i64,
    /// When to try again, in nanoseconds since 1970.
    pub due_at_ns: i64,
}

/// Puts messages into the queue, within its bound.
pub(super) fn queue(transaction: &Transaction<'_>, messages: &[NewMessage], now_ns: i64) -> Result<(), ControlError> {
    for message in messages {
        insert_message(transaction, message, now_ns)?;
    }
    bound_queue(transaction)
}

fn insert_alarm(transaction: &Transaction<'_>, key: &Key, active: &Active) -> Result<(), ControlError> {
    let mut statement = transaction.prepare_cached("INSERT INTO alarm VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    statement.execute(params![
        key.kind.word(),
        key.subscription,
        key.subject,
        nanoseconds(active.since),
        nanoseconds(active.said_at),
        active.gone_since.map(nanoseconds),
        integer(active.measures.used),
        integer(active.measures.allowed),
        active.measures.at_ns,
    ])?;
    Ok(())
}

fn insert_message(transaction: &Transaction<'_>, message: &NewMessage, now_ns: i64) -> Result<(), ControlError> {
    let notice = serde_json::to_string(&message.notice).map_err(|_| ControlError::Damaged { what: "notice" })?;
    transaction
        .prepare_cached(
            "INSERT INTO alarm_message (channel, address, is_customer, notice, made_at_ns, attempts, due_at_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?5)",
        )?
        .execute(params![message.to.channel.word(), message.to.address, message.to.is_customer, notice, now_ns])?;
    Ok(())
}

fn bound_queue(transaction: &Transaction<'_>) -> Result<(), ControlError> {
    let mut statement = transaction
        .prepare_cached("SELECT number, channel FROM alarm_message ORDER BY number DESC LIMIT -1 OFFSET ?1")?;
    let rows =
        statement.query_map([integer(ALARM_QUEUE_MAX as u64)], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    for (number, channel) in rows.collect::<Result<Vec<_>, _>>()? {
        remove(transaction, &[number])?;
        let channel = Channel::named(&channel).ok_or(ControlError::Damaged { what: "channel" })?;
        count_dropped(transaction, channel, 1)?;
    }
    Ok(())
}

fn remove(transaction: &Transaction<'_>, numbers: &[i64]) -> Result<(), ControlError> {
    let mut statement = transaction.prepare_cached("DELETE FROM alarm_message WHERE number = ?1")?;
    for number in numbers {
        statement.execute([number])?;
    }
    Ok(())
}

fn channel_row(transaction: &Transaction<'_>, channel: Channel) -> Result<(), ControlError> {
    transaction.execute(
        "INSERT OR IGNORE INTO alarm_channel (channel, failures, dropped, error) VALUES (?1, 0, 0, '')",
        [channel.word()],
    )?;
    Ok(())
}

fn count_dropped(transaction: &Transaction<'_>, channel: Channel, count: u64) -> Result<(), ControlError> {
    channel_row(transaction, channel)?;
    transaction.execute(
        "UPDATE alarm_channel SET dropped = dropped + ?2 WHERE channel = ?1",
        params![channel.word(), integer(count)],
    )?;
    Ok(())
}

fn alarm_of(row: &Row<'_>) -> Result<(Key, Active), ControlError> {
    let kind: String = row.get(0)?;
    let kind = Kind::named(&kind).ok_or(ControlError::Damaged { what: "alarm kind" })?;
    let key = Key { kind, subscription: row.get(1)?, subject: row.get(2)? };
    let measures = Measures {
        used: unsigned("measure", row.get(6)?)?,
        allowed: unsigned("measure", row.get(7)?)?,
        at_ns: row.get(8)?,
    };
    let gone_since: Option<i64> = row.get(5)?;
    let active = Active {
        since: moment(row.get(3)?)?,
        said_at: moment(row.get(4)?)?,
        gone_since: gone_since.map(moment).transpose()?,
        measures,
    };
    Ok((key, active))
}

fn moment(ns: i64) -> Result<Timestamp, ControlError> {
    Timestamp::from_nanosecond(i128::from(ns)).map_err(|_| ControlError::Damaged { what: "time" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_NS: i64 = 1_700_000_000_000_000_000;

    fn notice(subject: &str) -> NewMessage {
        let to = Recipient { channel: Channel::Mail, address: "a@b.fr".into(), is_customer: false };
        let at = moment(AT_NS).unwrap();
        NewMessage { to, notice: Notice { subject: subject.into(), ..Notice::test(at) } }
    }

    #[test]
    fn states_and_messages_survive_and_leave_the_queue_when_delivered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.db");
        let key = Key { kind: Kind::Late, subscription: "BC-1".into(), subject: "bureautique".into() };
        let at = moment(AT_NS).unwrap();
        let measures = Measures { used: 1, allowed: 2, at_ns: 3 };
        let active = Active { since: at, said_at: at, gone_since: Some(at), measures };
        Control::create(&path)
            .unwrap()
            .store_alarms(&[(key.clone(), active)], &[notice("one"), notice("two")], AT_NS)
            .unwrap();
        let control = Control::open(&path).unwrap();
        assert_eq!(control.alarms().unwrap(), [(key, active)]);
        let due = control.due_messages(Channel::Mail, AT_NS, 10).unwrap();
        assert_eq!(due.iter().map(|message| message.notice.subject.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(control.due_messages(Channel::Mail, AT_NS - 1, 10).unwrap(), []);
        let failure = Failure { cause: "refused", at_ns: AT_NS, due_at_ns: AT_NS + 5 };
        control.messages_failed(Channel::Mail, &[due[0].number], &failure).unwrap();
        assert_eq!(control.due_messages(Channel::Mail, AT_NS, 10).unwrap(), due[1..]);
        let state = &control.channel_states().unwrap()[0];
        assert_eq!((state.failing_since_ns, state.failures, state.queued), (Some(AT_NS), 1, 2));
        control.messages_delivered(Channel::Mail, &[due[1].number], AT_NS + 1).unwrap();
        control.messages_dropped(Channel::Mail, &[due[0].number]).unwrap();
        let state = &control.channel_states().unwrap()[0];
        assert_eq!((state.failing_since_ns, state.delivered_at_ns), (None, Some(AT_NS + 1)));
        assert_eq!((state.dropped, state.queued), (1, 0));
    }

    #[test]
    fn a_full_queue_loses_its_oldest_and_counts_them() {
        let folder = tempfile::tempdir().unwrap();
        let control = Control::create(&folder.path().join("control.db")).unwrap();
        let many: Vec<NewMessage> = (0..ALARM_QUEUE_MAX + 3).map(|number| notice(&number.to_string())).collect();
        control.store_alarms(&[], &many, AT_NS).unwrap();
        let state = &control.channel_states().unwrap()[0];
        assert_eq!((state.queued, state.dropped), (ALARM_QUEUE_MAX as u64, 3));
        assert_eq!(control.due_messages(Channel::Mail, AT_NS, 1).unwrap()[0].notice.subject, "3");
    }
}
