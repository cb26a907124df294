//! Passwords that were replaced, as facts beside the packs: an older copy of the control store does not bring one back.
//!
//! A fact says since when an account has its password, never which one. An account whose records are older than its fact gets a random password
//! that nobody is shown: its owner asks for a new one.
//!
//! Invariant: a password is durable in the control store first, and does not wait for the store: what could not be written is written by the next start.

use std::collections::BTreeMap;

use common::id::SubscriptionId;
use common::limits::RECORD_BYTES_MAX;
use common::stored::{PasswordEpochBody, check_version, decode_strict};
use prost::Message;

use super::logins::default_password;
use super::older_records::facts;
use super::password;
use crate::clock::Random;
use crate::control::Control;
use crate::control::accounts::Account;
use crate::control::audit::{Action, Event, Trace};
use crate::store::error::StoreError;
use crate::store::fact::{self, NewFact};
use crate::store::name::FactKind;
use crate::store::objects::Objects;

/// Stores that an account of a subscription has its password since a moment, in nanoseconds since 1970.
pub fn keep(objects: &Objects, subscription: &SubscriptionId, identifier: &str, since_ns: i64) {
    if let Err(error) = publish(objects, subscription, identifier, since_ns) {
        let error = &error as &dyn std::error::Error;
        tracing::error!(account = identifier, error, "a new password could not be noted beside the packs");
    }
}

/// What records or facts say of the passwords of a subscription's accounts, both say afterwards.
pub(super) fn reconcile(
    objects: &Objects,
    control: &Control,
    subscription: &SubscriptionId,
    random: &Random,
    trace: &Trace,
) -> anyhow::Result<()> {
    let stored = stored(objects, subscription);
    for account in control.accounts(Some(subscription))? {
        let (identifier, since_ns) = (&account.identifier, account.password.since_ns);
        match stored.get(identifier) {
            Some(newer_ns) if *newer_ns > since_ns => {
                tracing::warn!(
                    account = identifier,
                    "a replaced password came back with an older control store and is worth nothing"
                );
                let since_ns = withdraw(control, &account, trace.at_ns.max(*newer_ns), random, trace)?;
                keep(objects, subscription, identifier, since_ns);
            }
            Some(same_ns) if *same_ns == since_ns => {}
            // A password that came with its account replaced none.
            None if since_ns <= account.created_at_ns => {}
            _ => keep(objects, subscription, identifier, since_ns),
        }
    }
    Ok(())
}

fn withdraw(control: &Control, account: &Account, at_ns: i64, random: &Random, trace: &Trace) -> anyhow::Result<i64> {
    let unknown = password::make_default(random);
    let stored = default_password(&unknown, password::hash(unknown.as_bytes(), &random.bytes())?, at_ns);
    let (subscription, object) = (account.subscription(), &account.identifier);
    let event = Event { action: Action::WithdrawPassword, subscription, object, result: "done" };
    Ok(control.set_password(object, &stored, trace, &event)?)
}

fn publish(objects: &Objects, subscription: &SubscriptionId, identifier: &str, at_ns: i64) -> Result<(), StoreError> {
    let body = PasswordEpochBody { version: 1, account: identifier.to_owned() }.encode_to_vec();
    let kind = FactKind::PasswordEpoch;
    fact::publish(objects, subscription, NewFact { kind, about: &[], at_ns, by: "", body }).map(|_| ())
}

/// Since when each account has its newest password, as the facts say.
fn stored(objects: &Objects, subscription: &SubscriptionId) -> BTreeMap<String, i64> {
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    for fact in facts(objects, subscription, FactKind::PasswordEpoch) {
        let body: Result<PasswordEpochBody, _> = decode_strict("password epoch", &fact.body, RECORD_BYTES_MAX);
        let known = body.and_then(|body| check_version("password epoch", body.version, 1).map(|()| body));
        match known {
            Ok(body) => {
                let at_ns = newest.entry(body.account).or_insert(fact.at_ns);
                *at_ns = fact.at_ns.max(*at_ns);
            }
            Err(error) => {
                tracing::error!(%subscription, error = &error as &dyn std::error::Error, "a password epoch cannot be read");
            }
        }
    }
    newest
}
