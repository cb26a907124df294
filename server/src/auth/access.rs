//! Who may make which call: one table of every call of the wire schema.
//!
//! It says who may come in; whose data they see is decided by the principal's own subscription, in each handler.
//!
//! Invariant: a call that is not in the table is refused.

use super::principal::{OperatorRole, Principal, Role};

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without a credential.
    Open,
    /// The owner of any login, even one that must change its password.
    OwnLogin,
    /// These, and nobody else.
    Only {
        /// People from this role on.
        person: Option<Role>,
        /// Agents.
        agent: bool,
        /// Operators from this role on.
        operator: Option<OperatorRole>,
        /// The bearer of an enrolment token.
        enrolment: bool,
    },
}

/// Why a principal is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The password must be changed first.
    MustChangePassword,
    /// Another standing is needed; its name.
    Role(&'static str),
}

const NOBODY: Access = Access::Only { person: None, agent: false, operator: None, enrolment: false };

const fn people(role: Role) -> Access {
    Access::Only { person: Some(role), agent: false, operator: None, enrolment: false }
}

const fn people_and_agents(role: Role) -> Access {
    Access::Only { person: Some(role), agent: true, operator: None, enrolment: false }
}

const fn operators(role: OperatorRole) -> Access {
    Access::Only { person: None, agent: false, operator: Some(role), enrolment: false }
}

const AGENTS: Access = Access::Only { person: None, agent: true, operator: None, enrolment: false };
const INSTALLERS: Access = Access::Only { person: Some(Role::Admin), agent: false, operator: None, enrolment: true };

/// Every call, by service and method.
const TABLE: &[(&str, &str, Access)] = &[
    ("dobaas.v1.Account", "Login", Access::Open),
    ("dobaas.v1.Account", "Logout", Access::OwnLogin),
    ("dobaas.v1.Account", "ChangePassword", Access::OwnLogin),
    ("dobaas.v1.Account", "Enroll", INSTALLERS),
    ("dobaas.v1.Account", "GetKeyring", people_and_agents(Role::ReadOnly)),
    ("dobaas.v1.Account", "AppendKeyring", people_and_agents(Role::Admin)),
    ("dobaas.v1.Account", "ListAgents", people(Role::ReadOnly)),
    ("dobaas.v1.Account", "RevokeAgent", people(Role::Admin)),
    ("dobaas.v1.Account", "Whoami", people_and_agents(Role::ReadOnly)),
    ("dobaas.v1.Account", "OperatorAccesses", people(Role::ReadOnly)),
    ("dobaas.v1.Sets", "List", people_and_agents(Role::ReadOnly)),
    ("dobaas.v1.Sets", "Get", people_and_agents(Role::ReadOnly)),
    ("dobaas.v1.Sets", "Put", people_and_agents(Role::Admin)),
    ("dobaas.v1.Backup", "Open", AGENTS),
    ("dobaas.v1.Backup", "Transfer", AGENTS),
    ("dobaas.v1.Backup", "Commit", AGENTS),
    ("dobaas.v1.Backup", "Abort", AGENTS),
    ("dobaas.v1.Restore", "Sources", people_and_agents(Role::ReadOnly)),
    ("dobaas.v1.Restore", "Dates", people_and_agents(Role::ReadOnly)),
    ("dobaas.v1.Restore", "Snapshots", people_and_agents(Role::ReadOnly)),
    ("dobaas.v1.Restore", "Fetch", people_and_agents(Role::ReadOnly)),
    ("dobaas.v1.Restore", "ReportVerified", people_and_agents(Role::Restore)),
    ("dobaas.v1.Server", "Describe", Access::Open),
    ("dobaas.v1.Admin", "CreateCustomer", operators(OperatorRole::Operator)),
    ("dobaas.v1.Admin", "ListCustomers", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Admin", "CreateSubscription", operators(OperatorRole::Operator)),
    ("dobaas.v1.Admin", "GetSubscription", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Admin", "ListSubscriptions", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Admin", "CreateAccount", operators(OperatorRole::Operator)),
    ("dobaas.v1.Admin", "ListAccounts", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Admin", "ResetPassword", operators(OperatorRole::Operator)),
    ("dobaas.v1.Admin", "SetAccountEnd", operators(OperatorRole::Operator)),
    ("dobaas.v1.Admin", "CreateEnrolmentToken", operators(OperatorRole::Operator)),
    ("dobaas.v1.Admin", "SetOperatorNetworks", operators(OperatorRole::Operator)),
    ("dobaas.v1.Admin", "SetAgentRestore", operators(OperatorRole::Operator)),
    ("dobaas.v1.Admin", "ListSubscriptionAgents", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Admin", "RevokeSubscriptionAgent", operators(OperatorRole::Operator)),
    ("dobaas.v1.Approvals", "Propose", operators(OperatorRole::Operator)),
    ("dobaas.v1.Approvals", "ListApprovals", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Approvals", "Approve", operators(OperatorRole::Operator)),
    ("dobaas.v1.Approvals", "Withdraw", operators(OperatorRole::Operator)),
    ("dobaas.v1.Audit", "List", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Audit", "Verify", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Monitor", "ListAlarms", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Monitor", "TestAlarms", operators(OperatorRole::Operator)),
    ("dobaas.v1.Closures", "Suspend", operators(OperatorRole::Operator)),
    ("dobaas.v1.Closures", "Resume", operators(OperatorRole::Operator)),
    ("dobaas.v1.Closures", "ListSuspensions", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Closures", "AnnounceMaintenance", operators(OperatorRole::Operator)),
    ("dobaas.v1.Closures", "EndMaintenance", operators(OperatorRole::Operator)),
    ("dobaas.v1.Closures", "ListMaintenance", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.History", "RetentionPreview", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.History", "ListHolds", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.History", "LiftHold", operators(OperatorRole::Operator)),
    ("dobaas.v1.History", "Protect", operators(OperatorRole::Operator)),
    ("dobaas.v1.History", "ListProtections", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.History", "Unprotect", operators(OperatorRole::Operator)),
    ("dobaas.v1.Orders", "PreviewAmendment", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Orders", "Amend", operators(OperatorRole::Operator)),
    ("dobaas.v1.Orders", "ListAmendments", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Orders", "WithdrawAmendment", operators(OperatorRole::Operator)),
    ("dobaas.v1.Orders", "End", operators(OperatorRole::Operator)),
    ("dobaas.v1.Places", "RecordConsent", operators(OperatorRole::Operator)),
    ("dobaas.v1.Places", "Relocate", operators(OperatorRole::Operator)),
    ("dobaas.v1.Places", "ListPlaces", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Upkeep", "Status", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Upkeep", "Run", operators(OperatorRole::Operator)),
    ("dobaas.v1.Upkeep", "Pause", operators(OperatorRole::Operator)),
    ("dobaas.v1.Upkeep", "Resume", operators(OperatorRole::Operator)),
    ("dobaas.v1.Upkeep", "Stop", operators(OperatorRole::Operator)),
    ("dobaas.v1.Upkeep", "AllowPruning", operators(OperatorRole::Operator)),
    ("dobaas.v1.Upkeep", "Damage", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Quotas", "ListQuotas", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Quotas", "GetQuota", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Quotas", "ListReevaluations", operators(OperatorRole::ReadOnly)),
    ("dobaas.v1.Quotas", "CloseReevaluation", operators(OperatorRole::Operator)),
    ("grpc.health.v1.Health", "Check", Access::Open),
    ("grpc.health.v1.Health", "Watch", Access::Open),
];

/// Who may make the call of a request path, `/service/method`.
pub fn of_path(path: &str) -> Access {
    let mut parts = path.split('/');
    let (Some(""), Some(service), Some(method), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return NOBODY;
    };
    let found = TABLE.iter().find(|(of, name, _)| *of == service && *name == method);
    found.map_or(NOBODY, |(_, _, access)| *access)
}

/// Service and method of a request path, if it is a known call.
pub fn name_of_path(path: &str) -> Option<(&'static str, &'static str)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    TABLE.iter().find(|(of, name, _)| *of == service && *name == method).map(|(service, name, _)| (*service, *name))
}

/// Lets a principal in, or says why not.
///
/// # Errors
/// The refusal to answer with.
pub fn admit(access: Access, principal: &Principal) -> Result<(), Refusal> {
    let must_change = match principal {
        Principal::Person { must_change_password, .. } | Principal::Operator { must_change_password, .. } => {
            *must_change_password
        }
        Principal::Agent { .. } | Principal::Enrolment { .. } => false,
    };
    match (access, principal) {
        (Access::Open, _) | (Access::OwnLogin, Principal::Person { .. } | Principal::Operator { .. }) => Ok(()),
        (Access::OwnLogin, _) => Err(Refusal::Role("person")),
        _ if must_change => Err(Refusal::MustChangePassword),
        (Access::Only { person, agent, operator, enrolment }, _) => {
            let admitted = match principal {
                Principal::Person { role, .. } => person.is_some_and(|least| *role >= least),
                Principal::Operator { role, .. } => operator.is_some_and(|least| *role >= least),
                Principal::Agent { .. } => agent,
                Principal::Enrolment { .. } => enrolment,
            };
            if admitted { Ok(()) } else { Err(Refusal::Role(wanted(person, agent, operator))) }
        }
    }
}

/// The name of the standing that a refusal asks for.
const fn wanted(person: Option<Role>, agent: bool, operator: Option<OperatorRole>) -> &'static str {
    match (person, operator) {
        (Some(Role::Admin), _) => "admin",
        (Some(Role::Restore), _) => "restore",
        (Some(Role::ReadOnly), _) => "read_only",
        (None, Some(_)) => "operator",
        (None, None) if agent => "agent",
        (None, None) => "nobody",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use common::id::{AgentId, ScopeId, SubscriptionId};

    use super::*;

    /// Every `service` and `rpc` of the wire schema.
    fn schema() -> BTreeSet<(String, String)> {
        let files = [
            include_str!("../../../proto/proto/dobaas/v1/account.proto"),
            include_str!("../../../proto/proto/dobaas/v1/admin.proto"),
            include_str!("../../../proto/proto/dobaas/v1/approvals.proto"),
            include_str!("../../../proto/proto/dobaas/v1/audit.proto"),
            include_str!("../../../proto/proto/dobaas/v1/backup.proto"),
            include_str!("../../../proto/proto/dobaas/v1/monitor.proto"),
            include_str!("../../../proto/proto/dobaas/v1/closures.proto"),
            include_str!("../../../proto/proto/dobaas/v1/history.proto"),
            include_str!("../../../proto/proto/dobaas/v1/orders.proto"),
            include_str!("../../../proto/proto/dobaas/v1/places.proto"),
            include_str!("../../../proto/proto/dobaas/v1/quotas.proto"),
            include_str!("../../../proto/proto/dobaas/v1/restore.proto"),
            include_str!("../../../proto/proto/dobaas/v1/server.proto"),
            include_str!("../../../proto/proto/dobaas/v1/sets.proto"),
            include_str!("../../../proto/proto/dobaas/v1/upkeep.proto"),
        ];
        let mut calls = BTreeSet::new();
        for file in files {
            let mut service = String::new();
            for line in file.lines() {
                let mut words = line.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
                match words.next() {
                    Some("service") => service = format!("dobaas.v1.{}", words.next().unwrap()),
                    Some("rpc") => {
                        calls.insert((service.clone(), words.next().unwrap().to_owned()));
                    }
                    _ => {}
                }
            }
        }
        calls
    }

    #[test]
    fn the_table_holds_exactly_the_calls_of_the_schema_and_health() {
        let ours = TABLE.iter().filter(|(service, _, _)| service.starts_with("dobaas."));
        let table: BTreeSet<_> = ours.map(|(service, name, _)| ((*service).to_owned(), (*name).to_owned())).collect();
        assert_eq!(table, schema());
        assert_eq!(of_path("/dobaas.v1.Admin/Unknown"), NOBODY);
        for path in ["", "/", "//", "/dobaas.v1.Account/Login/x", "dobaas.v1.Account/Login"] {
            assert_eq!(of_path(path), NOBODY, "{path}");
        }
    }

    #[test]
    fn each_standing_gets_only_its_calls() {
        let subscription = SubscriptionId::new([1; 16]);
        let person = |role, must_change_password| Principal::Person {
            identifier: "anna".into(),
            subscription,
            role,
            must_change_password,
        };
        let operator = |role| Principal::Operator { identifier: "op".into(), role, must_change_password: false };
        let agent = Principal::Agent {
            agent: AgentId::new([2; 16]),
            subscription,
            scope: ScopeId::new([3; 16]),
            can_restore: false,
        };
        let enrolment = Principal::Enrolment { subscription, source: None };
        let calls = |principal: &Principal| {
            let admitted = TABLE.iter().filter(|(_, _, access)| admit(*access, principal).is_ok());
            admitted
                .map(|(service, name, _)| format!("{}.{name}", service.rsplit('.').next().unwrap()))
                .collect::<Vec<_>>()
        };
        let anybody = 4;
        assert_eq!(calls(&person(Role::Admin, true)).len(), anybody + 2);
        assert!(!calls(&enrolment).contains(&"Account.ChangePassword".to_owned()));
        assert_eq!(calls(&enrolment).len(), anybody + 1);
        for (principal, may, may_not) in [
            (person(Role::ReadOnly, false), "Restore.Sources", "Restore.ReportVerified"),
            (person(Role::Restore, false), "Restore.ReportVerified", "Sets.Put"),
            (person(Role::Admin, false), "Account.RevokeAgent", "Backup.Open"),
            (agent, "Backup.Commit", "Account.Enroll"),
            (operator(OperatorRole::ReadOnly), "Admin.ListAccounts", "Admin.CreateAccount"),
            (operator(OperatorRole::Operator), "Admin.CreateAccount", "Restore.Fetch"),
            (enrolment, "Account.Enroll", "Account.GetKeyring"),
        ] {
            let calls = calls(&principal);
            assert!(calls.iter().any(|call| call == may), "{principal:?} {may}");
            assert!(!calls.iter().any(|call| call == may_not), "{principal:?} {may_not}");
        }
    }
}
