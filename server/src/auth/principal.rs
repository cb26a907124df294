//! The principal: who a call comes from, as its credential says and nothing else.
//!
//! Invariant: identity never comes from a request field or header other than the credential.

use common::id::{AgentId, ScopeId, SourceId, SubscriptionId};

/// An authenticated caller; in the extensions of every request that passed the authentication layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Somebody of the customer.
    Person {
        /// What they log in with.
        identifier: String,
        /// Whose data they may see.
        subscription: SubscriptionId,
        /// What they may do.
        role: Role,
        /// Nothing but changing the password is allowed.
        must_change_password: bool,
    },
    /// An enrolled agent.
    Agent {
        /// Which one.
        agent: AgentId,
        /// Whose.
        subscription: SubscriptionId,
        /// Its dedup domain.
        scope: ScopeId,
        /// An explicit right to fetch content.
        can_restore: bool,
    },
    /// Staff of the provider.
    Operator {
        /// What they log in with.
        identifier: String,
        /// What they may do.
        role: OperatorRole,
        /// Nothing but changing the password is allowed.
        must_change_password: bool,
    },
    /// The bearer of a one-use enrolment token.
    Enrolment {
        /// Where the agent will belong.
        subscription: SubscriptionId,
        /// The source that it may set up; any without a set if none.
        source: Option<SourceId>,
    },
}

/// What a person of the customer may do; each role includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Sees dates and names.
    ReadOnly,
    /// Takes content back.
    Restore,
    /// Changes keys, sets and agents.
    Admin,
}

/// What an operator may do; each role includes those before it.
///
/// The design's third role, `restore`, has no call to let in: no call gives an operator content, whoever holds the keys. Who restores for
/// a customer does it with an account of that customer, which the customer sees and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperatorRole {
    /// Sees subscriptions, quotas and upkeep.
    ReadOnly,
    /// Makes customers, subscriptions, accounts.
    Operator,
}
