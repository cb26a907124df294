//! The `Account` service: logins, enrolment, keyrings, agents of the caller's own subscription.
//!
//! Invariant: the subscription of every answer is the principal's, never a field's.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use common::id::{AgentId, ScopeId, SubscriptionId};
use common::limits::{AUDIT_ROWS_MAX, LOGIN_TOKEN_S};
use jiff::Timestamp;
use proto::code::{ErrorCode, Failure};
use proto::v1;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use super::caller::{self, WireId, with_control};
use super::failure::session_failure;
use super::server::wire_location;
use super::usage::day_use;
use super::{convert, status};
use crate::auth::logins::{Credentials, Logins};
use crate::auth::principal::{Principal, Role};
use crate::auth::revoked;
use crate::auth::token::{self, TokenDigest, TokenKind};
use crate::clock::Random;
use crate::contract::location::Location;
use crate::contract::order_form::is_name;
use crate::control::Control;
use crate::control::agents::{Agent, NewAgent};
use crate::control::audit::{Action, Event};
use crate::control::audit_log::Wanted;
use crate::keyrings;
use crate::listen::Place;
use crate::subscriptions::Subscriptions;

/// Longest version text of an agent, in bytes.
const VERSION_BYTES_MAX: usize = 64;

/// Who is who.
#[derive(Clone)]
pub struct AccountService {
    /// The provider's records.
    pub control: Arc<Control>,
    /// Keyring generations, and today's use.
    pub subscriptions: Arc<Subscriptions>,
    /// Passwords and tokens of people.
    pub logins: Logins,
    /// Ids and tokens of agents.
    pub random: Random,
    /// Where the data is.
    pub location: Location,
}

#[tonic::async_trait]
impl v1::account_server::Account for AccountService {
    async fn login(&self, request: Request<v1::LoginRequest>) -> Result<Response<v1::LoginReply>, Status> {
        let (address, mut trace) = (address(&request), caller::trace(&request));
        let request = request.into_inner();
        let password = Zeroizing::new(request.password);
        let credentials = Credentials { identifier: request.identifier, password, address };
        trace.who = "anonymous".to_owned();
        let login = self.logins.login(&credentials, trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::LoginReply {
            token: login.token,
            must_change_password: login.must_change_password,
            expires_in_s: u32::try_from(LOGIN_TOKEN_S).unwrap_or(u32::MAX),
        }))
    }

    async fn logout(&self, request: Request<v1::LogoutRequest>) -> Result<Response<v1::LogoutReply>, Status> {
        let trace = caller::trace(&request);
        let token = token_of(&request)?;
        let close = move |control: &Control| control.close_login(&token.digest, &trace);
        with_control(&self.control, close).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::LogoutReply {}))
    }

    async fn change_password(
        &self,
        request: Request<v1::ChangePasswordRequest>,
    ) -> Result<Response<v1::ChangePasswordReply>, Status> {
        let (address, trace) = (address(&request), caller::trace(&request));
        let (Principal::Person { identifier, .. } | Principal::Operator { identifier, .. }) =
            caller::principal(&request)?
        else {
            return Err(status::of_failure(Failure::new(ErrorCode::Unauthenticated)));
        };
        let request = request.into_inner();
        let (old, new) = (Zeroizing::new(request.old_password), Zeroizing::new(request.new_password));
        let credentials = Credentials { identifier, password: old, address };
        let changed = self.logins.change_password(&credentials, new, trace).await;
        Ok(Response::new(v1::ChangePasswordReply { token: changed.map_err(status::of_failure)? }))
    }

    async fn enroll(&self, request: Request<v1::EnrollRequest>) -> Result<Response<v1::EnrollReply>, Status> {
        self.enroll_agent(request).await.map(Response::new).map_err(status::of_failure)
    }

    async fn get_keyring(
        &self,
        request: Request<v1::GetKeyringRequest>,
    ) -> Result<Response<v1::GetKeyringReply>, Status> {
        let subscription = caller::subscription(&caller::principal(&request)?).map_err(status::of_failure)?;
        let objects = self.subscriptions.objects().clone();
        let read = caller::blocking(move || keyrings::read(&objects, &subscription)).await;
        let generations = read.map_err(status::of_failure)?.into_iter().map(Bytes::from).collect();
        Ok(Response::new(v1::GetKeyringReply { generations }))
    }

    async fn append_keyring(
        &self,
        request: Request<v1::AppendKeyringRequest>,
    ) -> Result<Response<v1::AppendKeyringReply>, Status> {
        let (principal, trace) = (caller::principal(&request)?, caller::trace(&request));
        let subscription = caller::subscription(&principal).map_err(status::of_failure)?;
        let is_agent = matches!(principal, Principal::Agent { .. });
        let generation = request.into_inner().generation;
        let (objects, control) = (self.subscriptions.objects().clone(), self.control.clone());
        let append = caller::blocking(move || {
            let number = keyrings::append(&objects, &subscription, &generation, is_agent)?;
            let object = number.to_string();
            let event = Event {
                action: Action::AppendKeyring,
                subscription: Some(subscription),
                object: &object,
                result: "done",
            };
            control.record(&trace, &event).map_err(|error| status::of_control(&error))
        });
        append.await.map_err(status::of_failure)?;
        Ok(Response::new(v1::AppendKeyringReply {}))
    }

    async fn list_agents(
        &self,
        request: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<v1::ListAgentsReply>, Status> {
        let subscription = caller::subscription(&caller::principal(&request)?).map_err(status::of_failure)?;
        let agents = with_control(&self.control, move |control| control.agents(&subscription)).await;
        let agents = agents.map_err(status::of_failure)?.iter().map(convert::agent).collect();
        Ok(Response::new(v1::ListAgentsReply { agents }))
    }

    async fn revoke_agent(
        &self,
        request: Request<v1::RevokeAgentRequest>,
    ) -> Result<Response<v1::RevokeAgentReply>, Status> {
        let (principal, trace) = (caller::principal(&request)?, caller::trace(&request));
        let subscription = caller::subscription(&principal).map_err(status::of_failure)?;
        let agent: AgentId = caller::id("agent", &request.get_ref().agent).map_err(status::of_failure)?;
        let objects = self.subscriptions.objects().clone();
        let revoke = move |control: &Control| {
            let at_ns = control.revoke_agent(&subscription, &agent, &trace)?;
            revoked::keep(&objects, &subscription, &agent, at_ns);
            Ok(())
        };
        with_control(&self.control, revoke).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::RevokeAgentReply {}))
    }

    async fn operator_accesses(
        &self,
        request: Request<v1::OperatorAccessesRequest>,
    ) -> Result<Response<v1::OperatorAccessesReply>, Status> {
        let subscription = caller::subscription(&caller::principal(&request)?).map_err(status::of_failure)?;
        let v1::OperatorAccessesRequest { from_ns, limit } = request.into_inner();
        let limit = if limit == 0 { AUDIT_ROWS_MAX } else { limit.min(AUDIT_ROWS_MAX) };
        let wanted = Wanted {
            subscription: Some(subscription),
            operators_only: true,
            from_ns: Some(from_ns).filter(|ns| *ns != 0),
            ..Wanted::default()
        };
        let read =
            move |control: &Control| Ok((control.audit_rows(&wanted, limit)?, control.notices(&subscription, limit)?));
        let (rows, notices) = with_control(&self.control, read).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::OperatorAccessesReply {
            accesses: rows.into_iter().map(convert::operator_access).collect(),
            notices: notices.into_iter().map(convert::notice).collect(),
        }))
    }

    async fn whoami(&self, request: Request<v1::WhoamiRequest>) -> Result<Response<v1::WhoamiReply>, Status> {
        let principal = caller::principal(&request)?;
        self.describe(principal).await.map(Response::new).map_err(status::of_failure)
    }
}

impl AccountService {
    async fn enroll_agent(&self, request: Request<v1::EnrollRequest>) -> Result<v1::EnrollReply, Failure> {
        let unauthenticated = |_| Failure::new(ErrorCode::Unauthenticated);
        let principal = caller::principal(&request).map_err(unauthenticated)?;
        let trace = caller::trace(&request);
        let token = token_of(&request).map_err(unauthenticated)?;
        let subscription = caller::subscription(&principal)?;
        let request = request.into_inner();
        let join: Option<ScopeId> = caller::optional_id("scope", &request.scope)?;
        let replace: Option<AgentId> = caller::optional_id("replace", &request.replace)?;
        if !is_name(&request.host) {
            return Err(status::invalid("host", "name"));
        }
        if request.version.len() > VERSION_BYTES_MAX || request.version.chars().any(char::is_control) {
            return Err(status::invalid("version", "length"));
        }
        let (only_source, pays) = match principal {
            Principal::Enrolment { source, .. } => (source, Some(token.digest)),
            _ => (None, None),
        };
        // A token that installs one machine must not end another one's credential or enter its scope.
        if pays.is_some() && (join.is_some() || replace.is_some()) {
            return Err(Failure::new(ErrorCode::PermissionDenied).with("role", "admin"));
        }
        let (text, token_digest) = token::make(TokenKind::Agent, &self.random);
        let agent = Agent {
            agent: AgentId::new(self.random.bytes()),
            subscription,
            scope: ScopeId::new(self.random.bytes()),
            host: request.host,
            version: request.version,
            enrolled_at_ns: trace.at_ns,
            seen_at_ns: None,
            revoked_at_ns: None,
            replaced_by: None,
            can_restore: false,
            only_source,
        };
        let made = agent.agent;
        let objects = self.subscriptions.objects().clone();
        let scope = with_control(&self.control, move |control| {
            let new = NewAgent { agent, token_digest, enrolment: pays.as_ref(), join, replace };
            let scope = control.enroll(&new, &trace)?;
            if let Some(dead) = replace {
                revoked::keep(&objects, &subscription, &dead, trace.at_ns);
            }
            Ok(scope)
        })
        .await?;
        Ok(v1::EnrollReply {
            agent: made.wire(),
            scope: scope.wire(),
            subscription: subscription.wire(),
            token: text,
            location: Some(wire_location(&self.location)),
        })
    }

    async fn describe(&self, principal: Principal) -> Result<v1::WhoamiReply, Failure> {
        let id = caller::subscription(&principal)?;
        let (subscription, customer) = with_control(&self.control, move |control| {
            let subscription = control.subscription(&id)?;
            let customer = match &subscription {
                Some(subscription) => control.customer(&subscription.form.customer)?,
                None => None,
            };
            Ok((subscription, customer))
        })
        .await?;
        let subscription = subscription.ok_or_else(|| status::not_found("subscription"))?;
        let state = subscription.state(self.subscriptions.settings().clock.now());
        let mut reply = v1::WhoamiReply {
            subscription: id.wire(),
            customer: customer.map(|customer| customer.name).unwrap_or_default(),
            subscription_reference: subscription.form.reference,
            state: convert::state(state).into(),
            location: Some(wire_location(&self.location)),
            today: Some(self.today(id).await?),
            ..v1::WhoamiReply::default()
        };
        self.add_windows(id, &mut reply).await?;
        match principal {
            Principal::Person { identifier, role, .. } => {
                reply.identifier = identifier;
                reply.role = convert::role(role).into();
                reply.can_restore = role >= Role::Restore;
            }
            Principal::Agent { agent, scope, can_restore, .. } => {
                reply.agent = agent.wire();
                reply.scope = scope.wire();
                reply.can_restore = can_restore;
            }
            Principal::Operator { .. } | Principal::Enrolment { .. } => {}
        }
        Ok(reply)
    }
}

impl AccountService {
    /// What closes backups now, and the maintenance that is under way or announced.
    async fn add_windows(&self, id: SubscriptionId, reply: &mut v1::WhoamiReply) -> Result<(), Failure> {
        let subscriptions = self.subscriptions.clone();
        let terms = caller::blocking(move || subscriptions.terms(&id).map_err(|error| session_failure(&error))).await?;
        let now = self.subscriptions.settings().clock.now();
        let nanoseconds = |at: Timestamp| i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX);
        if let Some(window) = terms.openness(now).suspended {
            reply.suspension = window.reason.name().to_owned();
            reply.suspended_until_ns = window.until.map_or(0, nanoseconds);
        }
        let ahead = terms.maintenance.iter().filter(|window| window.until.is_none_or(|until| now < until));
        if let Some(window) = ahead.min_by_key(|window| window.from) {
            reply.maintenance_from_ns = nanoseconds(window.from);
            reply.maintenance_until_ns = window.until.map_or(0, nanoseconds);
        }
        Ok(())
    }

    async fn today(&self, id: SubscriptionId) -> Result<v1::DayUse, Failure> {
        let subscriptions = self.subscriptions.clone();
        caller::blocking(move || {
            let read = || day_use(&subscriptions, &id, &subscriptions.terms(&id)?, None);
            read().map_err(|error| session_failure(&error))
        })
        .await
    }
}

fn token_of<T>(request: &Request<T>) -> Result<TokenDigest, Status> {
    let token = request.extensions().get::<TokenDigest>().cloned();
    token.ok_or_else(|| status::of_failure(Failure::new(ErrorCode::Unauthenticated)))
}

fn address<T>(request: &Request<T>) -> IpAddr {
    let place = request.extensions().get::<Arc<Place>>();
    place.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |place| place.address().ip())
}
