//! Domain types as the wire carries them, and back.

use bytes::Bytes;
use proto::code::Failure;
use proto::convert::source_kind;
use proto::v1;

use super::caller::WireId;
use super::status;
use crate::auth::principal::{OperatorRole, Role};
use crate::contract::backup_set::{BackupSet, SetRules};
use crate::contract::terms::State;
use crate::control::accounts::{Account, Standing};
use crate::control::agents::Agent;
use crate::control::audit::AuditRow;
use crate::control::notices::Notice;
use crate::control::subscriptions::Source;

/// An agent.
pub fn agent(agent: &Agent) -> v1::Agent {
    v1::Agent {
        agent: agent.agent.wire(),
        scope: agent.scope.wire(),
        host: agent.host.clone(),
        enrolled_at_ns: agent.enrolled_at_ns,
        seen_at_ns: agent.seen_at_ns.unwrap_or_default(),
        revoked: agent.revoked_at_ns.is_some(),
        replaced_by: agent.replaced_by.map_or_else(Bytes::new, |heir| heir.wire()),
        version: agent.version.clone(),
    }
}

/// The state of a subscription.
pub fn state(state: State) -> v1::SubscriptionState {
    match state {
        State::Active => v1::SubscriptionState::Active,
        State::Suspended => v1::SubscriptionState::Suspended,
        State::Ended => v1::SubscriptionState::Ended,
    }
}

/// The role of a person.
pub fn role(role: Role) -> v1::Role {
    match role {
        Role::ReadOnly => v1::Role::ReadOnly,
        Role::Restore => v1::Role::Restore,
        Role::Admin => v1::Role::Admin,
    }
}

/// The role of a person, as asked for.
///
/// # Errors
/// `InvalidArgument` without one.
pub fn role_from(wire: v1::Role) -> Result<Role, Failure> {
    match wire {
        v1::Role::ReadOnly => Ok(Role::ReadOnly),
        v1::Role::Restore => Ok(Role::Restore),
        v1::Role::Admin => Ok(Role::Admin),
        v1::Role::Unspecified => Err(status::invalid("role", "missing")),
    }
}

/// The role of an operator, as asked for: `read_only`, or `admin` for all that an operator may do.
///
/// # Errors
/// `InvalidArgument` for any other.
pub fn operator_role_from(wire: v1::Role) -> Result<OperatorRole, Failure> {
    match wire {
        v1::Role::ReadOnly => Ok(OperatorRole::ReadOnly),
        v1::Role::Admin => Ok(OperatorRole::Operator),
        v1::Role::Restore | v1::Role::Unspecified => Err(status::invalid("role", "operator")),
    }
}

/// An account; `reference` of its order form.
pub fn person(account: &Account, reference: String) -> v1::Person {
    let (role, operator) = match &account.standing {
        Standing::Person { role: held, .. } => (role(*held), false),
        Standing::Operator { role: OperatorRole::ReadOnly } => (v1::Role::ReadOnly, true),
        Standing::Operator { role: OperatorRole::Operator } => (v1::Role::Admin, true),
    };
    v1::Person {
        identifier: account.identifier.clone(),
        subscription: reference,
        role: role.into(),
        ends_at_ns: account.ends_at_ns.unwrap_or_default(),
        must_change_password: account.must_change_password(),
        created_at_ns: account.created_at_ns,
        last_login_at_ns: account.last_login_at_ns.unwrap_or_default(),
        operator,
        networks: Vec::new(),
    }
}

/// A source on the order form.
pub fn contracted(source: &Source) -> v1::ContractedSource {
    v1::ContractedSource {
        source: source.source.wire(),
        name: source.name.clone(),
        kind: source_kind::to_wire(source.kind).into(),
    }
}

/// What an operator did, as the customer reads it.
pub fn operator_access(row: AuditRow) -> v1::OperatorAccess {
    v1::OperatorAccess {
        at_ns: row.trace.at_ns,
        operator: row.trace.who.strip_prefix("operator:").unwrap_or_default().to_owned(),
        action: row.action,
        object: row.object,
        result: row.result,
    }
}

/// What the provider told.
pub fn notice(notice: Notice) -> v1::Notice {
    v1::Notice { at_ns: notice.at_ns, kind: notice.kind, detail: notice.detail }
}

/// A version of a set, for the source that it is of.
pub fn set(set: BackupSet, source: &Source) -> v1::Set {
    let rules = set.rules;
    v1::Set {
        source: set.source.wire(),
        version: set.version,
        name: source.name.clone(),
        kind: source_kind::to_wire(source.kind).into(),
        agent: set.agent.wire(),
        paths: rules.paths,
        excludes: rules.excludes,
        exclude_if_present: rules.exclude_if_present,
        exclude_caches: rules.exclude_caches,
        one_file_system: rules.one_file_system,
        accept_unreadable: rules.accept_unreadable,
        schedule: rules.schedule,
        changed_at_ns: set.changed_at_ns,
        changed_by: set.changed_by,
    }
}

/// What a set asks to read, checked.
///
/// # Errors
/// `InvalidArgument` naming the first field that is wrong.
pub fn set_rules(set: v1::Set) -> Result<SetRules, Failure> {
    let rules = SetRules {
        paths: set.paths,
        excludes: set.excludes,
        exclude_if_present: set.exclude_if_present,
        exclude_caches: set.exclude_caches,
        one_file_system: set.one_file_system,
        accept_unreadable: set.accept_unreadable,
        schedule: set.schedule,
    };
    rules.check().map_err(|error| status::of_set(&error))?;
    Ok(rules)
}
