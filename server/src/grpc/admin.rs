//! The `Admin` service: what the provider's operators do.
//!
//! It shows no backup set and no file name; those are the customer's.

use std::sync::Arc;

use common::id::{AgentId, SourceId, SubscriptionId};
use common::limits::ENROLMENT_TOKEN_S;
use common::text::date::moment;
use ipnet::IpNet;
use proto::code::Failure;
use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{self, with_control};
use super::usage::wire;
use super::{convert, form, records, status};
use crate::auth::logins::{Logins, is_identifier, normal_identifier};
use crate::auth::token::{self, TokenKind};
use crate::auth::{replaced, revoked};
use crate::catalog::snapshots::SourceStatistics;
use crate::clock::Random;
use crate::contract::order_form::is_name;
use crate::control::Control;
use crate::control::accounts::{Account, Standing};
use crate::control::agents::Enrolment;
use crate::control::audit::{Action, Event, Trace};
use crate::control::customers::Customer;
use crate::control::networks::admits;
use crate::control::subscriptions::{Source, Subscription};
use crate::session::error::SessionError;
use crate::subscriptions::Subscriptions;
use crate::usage::{nothing, usage_of};

/// Most networks of one operator.
const NETWORKS_MAX: usize = 64;
const SECOND_NS: i64 = 1_000_000_000;

/// The operators' side.
#[derive(Clone)]
pub struct AdminService {
    /// The provider's records.
    pub control: Arc<Control>,
    /// What is stored of each.
    pub subscriptions: Arc<Subscriptions>,
    /// Default passwords.
    pub logins: Logins,
    /// Ids and tokens.
    pub random: Random,
}

#[tonic::async_trait]
impl v1::admin_server::Admin for AdminService {
    async fn create_customer(
        &self,
        request: Request<v1::CreateCustomerRequest>,
    ) -> Result<Response<v1::CreateCustomerReply>, Status> {
        let trace = caller::trace(&request);
        let v1::CreateCustomerRequest { reference, name } = request.into_inner();
        check_name("reference", &reference).map_err(status::of_failure)?;
        check_name("name", &name).map_err(status::of_failure)?;
        let customer = Customer { reference, name, created_at_ns: trace.at_ns };
        let create = move |control: &Control| control.create_customer(&customer, &trace);
        with_control(&self.control, create).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::CreateCustomerReply {}))
    }

    async fn list_customers(
        &self,
        request: Request<v1::ListCustomersRequest>,
    ) -> Result<Response<v1::ListCustomersReply>, Status> {
        let trace = caller::trace(&request);
        records::overview(&self.control, "customers", &trace).await.map_err(status::of_failure)?;
        let customers = with_control(&self.control, Control::customers).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ListCustomersReply { customers: customers.into_iter().map(wire_customer).collect() }))
    }

    async fn create_subscription(
        &self,
        request: Request<v1::CreateSubscriptionRequest>,
    ) -> Result<Response<v1::CreateSubscriptionReply>, Status> {
        let trace = caller::trace(&request);
        let now = moment(trace.at_ns);
        let form = request.into_inner().order_form;
        let made = async { self.subscribe(form.ok_or_else(|| status::invalid("order_form", "missing"))?, trace).await };
        let subscription = Some(form::subscription(&made.await.map_err(status::of_failure)?, now));
        Ok(Response::new(v1::CreateSubscriptionReply { subscription }))
    }

    async fn get_subscription(
        &self,
        request: Request<v1::GetSubscriptionRequest>,
    ) -> Result<Response<v1::GetSubscriptionReply>, Status> {
        let trace = caller::trace(&request);
        self.describe(request.into_inner().reference, trace).await.map(Response::new).map_err(status::of_failure)
    }

    async fn list_subscriptions(
        &self,
        request: Request<v1::ListSubscriptionsRequest>,
    ) -> Result<Response<v1::ListSubscriptionsReply>, Status> {
        let trace = caller::trace(&request);
        records::overview(&self.control, "subscriptions", &trace).await.map_err(status::of_failure)?;
        let customer = Some(request.into_inner().customer).filter(|customer| !customer.is_empty());
        let list = move |control: &Control| control.subscriptions(customer.as_deref());
        let found = with_control(&self.control, list).await.map_err(status::of_failure)?;
        let subscriptions = self.subscriptions.clone();
        let described =
            caller::blocking(move || Ok(found.iter().map(|found| with_use(&subscriptions, found)).collect()));
        let subscriptions = described.await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ListSubscriptionsReply { subscriptions }))
    }

    async fn create_account(
        &self,
        request: Request<v1::CreateAccountRequest>,
    ) -> Result<Response<v1::CreateAccountReply>, Status> {
        let trace = caller::trace(&request);
        let default_password = self.make_account(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::CreateAccountReply { default_password }))
    }

    async fn list_accounts(
        &self,
        request: Request<v1::ListAccountsRequest>,
    ) -> Result<Response<v1::ListAccountsReply>, Status> {
        let trace = caller::trace(&request);
        let reference = request.into_inner().subscription;
        self.accounts(reference, trace).await.map(Response::new).map_err(status::of_failure)
    }

    async fn reset_password(
        &self,
        request: Request<v1::ResetPasswordRequest>,
    ) -> Result<Response<v1::ResetPasswordReply>, Status> {
        let trace = caller::trace(&request);
        let default_password = self.reset(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ResetPasswordReply { default_password }))
    }

    async fn create_enrolment_token(
        &self,
        request: Request<v1::CreateEnrolmentTokenRequest>,
    ) -> Result<Response<v1::CreateEnrolmentTokenReply>, Status> {
        let trace = caller::trace(&request);
        let token = self.make_enrolment(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::CreateEnrolmentTokenReply { token }))
    }

    async fn list_subscription_agents(
        &self,
        request: Request<v1::ListSubscriptionAgentsRequest>,
    ) -> Result<Response<v1::ListSubscriptionAgentsReply>, Status> {
        let trace = caller::trace(&request);
        let reference = request.into_inner().subscription;
        let subscription = records::look(&self.control, reference, "agents", &trace).await;
        let subscription = subscription.map_err(status::of_failure)?;
        let list = move |control: &Control| control.agents(&subscription.subscription);
        let agents = with_control(&self.control, list).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ListSubscriptionAgentsReply { agents: agents.iter().map(convert::agent).collect() }))
    }

    async fn revoke_subscription_agent(
        &self,
        request: Request<v1::RevokeSubscriptionAgentRequest>,
    ) -> Result<Response<v1::RevokeSubscriptionAgentReply>, Status> {
        let trace = caller::trace(&request);
        let request = request.into_inner();
        let agent: AgentId = caller::id("agent", &request.agent).map_err(status::of_failure)?;
        let subscription =
            records::find(&self.control, request.subscription).await.map_err(status::of_failure)?.subscription;
        let objects = self.subscriptions.objects().clone();
        let revoke = move |control: &Control| {
            let at_ns = control.revoke_agent(&subscription, &agent, &trace)?;
            revoked::keep(&objects, &subscription, &agent, at_ns);
            Ok(())
        };
        with_control(&self.control, revoke).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::RevokeSubscriptionAgentReply {}))
    }

    async fn set_account_end(
        &self,
        request: Request<v1::SetAccountEndRequest>,
    ) -> Result<Response<v1::SetAccountEndReply>, Status> {
        let trace = caller::trace(&request);
        self.end_account(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::SetAccountEndReply {}))
    }

    async fn set_operator_networks(
        &self,
        request: Request<v1::SetOperatorNetworksRequest>,
    ) -> Result<Response<v1::SetOperatorNetworksReply>, Status> {
        let trace = caller::trace(&request);
        let v1::SetOperatorNetworksRequest { identifier, networks } = request.into_inner();
        let networks = networks_from(&networks, &identifier, &trace).map_err(status::of_failure)?;
        let identifier = normal_identifier(&identifier);
        let set = move |control: &Control| control.set_networks(&identifier, &networks, &trace);
        with_control(&self.control, set).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::SetOperatorNetworksReply {}))
    }

    async fn set_agent_restore(
        &self,
        request: Request<v1::SetAgentRestoreRequest>,
    ) -> Result<Response<v1::SetAgentRestoreReply>, Status> {
        let trace = caller::trace(&request);
        let request = request.into_inner();
        let agent: AgentId = caller::id("agent", &request.agent).map_err(status::of_failure)?;
        let subscription =
            records::find(&self.control, request.subscription).await.map_err(status::of_failure)?.subscription;
        let allowed = request.allowed;
        let set = move |control: &Control| control.set_agent_restore(&subscription, &agent, allowed, &trace);
        with_control(&self.control, set).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::SetAgentRestoreReply {}))
    }
}

impl AdminService {
    async fn subscribe(&self, form: v1::OrderForm, trace: Trace) -> Result<Subscription, Failure> {
        let form = form::order_form_from(form)?;
        let source = |ordered: &crate::contract::order_form::OrderedSource| Source {
            source: SourceId::new(self.random.bytes()),
            name: ordered.name.clone(),
            kind: ordered.kind,
        };
        let sources = form.sources.iter().map(source).collect();
        let id = SubscriptionId::new(self.random.bytes());
        let subscription = Subscription::new(id, form, sources, trace.at_ns);
        with_control(&self.control, move |control| {
            control.create_subscription(&subscription, &trace)?;
            Ok(subscription)
        })
        .await
    }

    async fn describe(&self, reference: String, trace: Trace) -> Result<v1::GetSubscriptionReply, Failure> {
        let found = records::look(&self.control, reference, "subscription", &trace).await?;
        let reference = found.form.customer.clone();
        let customer = with_control(&self.control, move |control| control.customer(&reference)).await?;
        let subscriptions = self.subscriptions.clone();
        let described = caller::blocking(move || Ok(with_use(&subscriptions, &found))).await?;
        Ok(v1::GetSubscriptionReply { subscription: Some(described), customer: customer.map(wire_customer) })
    }

    async fn make_account(&self, request: v1::CreateAccountRequest, trace: Trace) -> Result<String, Failure> {
        let role = request.role();
        let identifier = request.identifier.to_lowercase();
        if !is_identifier(&identifier) {
            return Err(status::invalid("identifier", "name"));
        }
        let standing = if request.operator {
            if !request.subscription.is_empty() {
                return Err(status::invalid("subscription", "operator"));
            }
            Standing::Operator { role: convert::operator_role_from(role)? }
        } else {
            let role = convert::role_from(role)?;
            Standing::Person {
                subscription: records::find(&self.control, request.subscription).await?.subscription,
                role,
            }
        };
        let ends_at_ns = Some(request.ends_at_ns).filter(|ends| *ends != 0);
        if ends_at_ns.is_some_and(|ends| ends <= trace.at_ns) {
            return Err(status::invalid("ends_at_ns", "past"));
        }
        let (default, password) = self.logins.make_default(trace.at_ns).await?;
        let account =
            Account { identifier, standing, ends_at_ns, password, created_at_ns: trace.at_ns, last_login_at_ns: None };
        with_control(&self.control, move |control| control.create_account(&account, &trace)).await?;
        Ok(default.to_string())
    }

    async fn accounts(&self, reference: String, trace: Trace) -> Result<v1::ListAccountsReply, Failure> {
        let only = records::look_or_overview(&self.control, reference, "accounts", &trace).await?;
        let only = only.map(|known| known.subscription);
        let (accounts, references) = with_control(&self.control, move |control| {
            let accounts = control.accounts(only.as_ref())?;
            let networks = accounts.iter().map(|account| control.networks(&account.identifier));
            let networks = networks.collect::<Result<Vec<_>, _>>()?;
            Ok((accounts.into_iter().zip(networks).collect::<Vec<_>>(), control.references()?))
        })
        .await?;
        let people = accounts.iter().map(|(account, networks)| {
            let reference = account.subscription().and_then(|id| references.get(&id).cloned());
            let networks = networks.iter().map(ToString::to_string).collect();
            v1::Person { networks, ..convert::person(account, reference.unwrap_or_default()) }
        });
        Ok(v1::ListAccountsReply { people: people.collect() })
    }

    async fn reset(&self, request: v1::ResetPasswordRequest, trace: Trace) -> Result<String, Failure> {
        check_name("check_method", &request.check_method)?;
        check_name("check_reference", &request.check_reference)?;
        let identifier = normal_identifier(&request.identifier);
        let (default, password) = self.logins.make_default(trace.at_ns).await?;
        let objects = self.subscriptions.objects().clone();
        with_control(&self.control, move |control| {
            let checked = format!("{identifier} ({}: {})", request.check_method, request.check_reference);
            let subscription = control.account(&identifier)?.and_then(|account| account.subscription());
            let event = Event { action: Action::ResetPassword, subscription, object: &checked, result: "done" };
            let since_ns = control.set_password(&identifier, &password, &trace, &event)?;
            subscription.inspect(|subscription| replaced::keep(&objects, subscription, &identifier, since_ns));
            Ok(())
        })
        .await?;
        Ok(default.to_string())
    }

    async fn end_account(&self, request: v1::SetAccountEndRequest, trace: Trace) -> Result<(), Failure> {
        let v1::SetAccountEndRequest { identifier, ends_at_ns, reason } = request;
        check_name("reason", &reason)?;
        let identifier = normal_identifier(&identifier);
        if is_own(&identifier, &trace) {
            return Err(status::invalid("identifier", "own_account"));
        }
        let ends_at_ns = match ends_at_ns {
            0 => None,
            proto::AT_ONCE => Some(trace.at_ns),
            ends if ends > trace.at_ns => Some(ends),
            _ => return Err(status::invalid("ends_at", "past")),
        };
        let objects = self.subscriptions.objects().clone();
        with_control(&self.control, move |control| {
            if let Some((whose, since_ns)) = control.set_account_end(&identifier, ends_at_ns, &reason, &trace)? {
                replaced::keep(&objects, &whose, &identifier, since_ns);
            }
            Ok(())
        })
        .await
    }

    async fn make_enrolment(&self, request: v1::CreateEnrolmentTokenRequest, trace: Trace) -> Result<String, Failure> {
        let valid_s = match i64::from(request.valid_s) {
            0 => ENROLMENT_TOKEN_S,
            wanted if wanted <= ENROLMENT_TOKEN_S => wanted,
            _ => return Err(status::invalid("valid_s", "range")),
        };
        let subscription = records::find(&self.control, request.subscription).await?;
        let source = match request.source.as_str() {
            "" => None,
            name => {
                let found = subscription.sources.iter().find(|source| source.name == name);
                Some(found.ok_or_else(|| status::not_found("source"))?.source)
            }
        };
        let (token, digest) = token::make(TokenKind::Enrolment, &self.random);
        let enrolment = Enrolment { subscription: subscription.subscription, source };
        let expires_at_ns = trace.at_ns.saturating_add(valid_s * SECOND_NS);
        let create = move |control: &Control| control.create_enrolment(&digest, &enrolment, expires_at_ns, &trace);
        with_control(&self.control, create).await?;
        Ok(token)
    }
}

/// Networks as asked for. Nobody locks themselves out.
fn networks_from(networks: &[String], identifier: &str, trace: &Trace) -> Result<Vec<IpNet>, Failure> {
    if networks.len() > NETWORKS_MAX {
        return Err(status::invalid("networks", "count"));
    }
    let read = |text: &String| text.parse::<IpNet>().map_err(|_| status::invalid("networks", "network"));
    let networks = networks.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let admitted = trace.address.parse().is_ok_and(|address| admits(&networks, address));
    if is_own(&normal_identifier(identifier), trace) && !networks.is_empty() && !admitted {
        return Err(status::invalid("networks", "own_address"));
    }
    Ok(networks)
}

/// True if an operator's call is about their own account.
fn is_own(identifier: &str, trace: &Trace) -> bool {
    trace.who.strip_prefix("operator:") == Some(identifier)
}

fn wire_customer(customer: Customer) -> v1::Customer {
    v1::Customer { reference: customer.reference, name: customer.name, created_at_ns: customer.created_at_ns }
}

/// A subscription with what its catalog knows; without it, and so without `today`, if the catalog cannot be read.
fn with_use(subscriptions: &Subscriptions, known: &Subscription) -> v1::Subscription {
    let now = subscriptions.settings().clock.now();
    let mut shown = form::subscription(known, now);
    let id = &known.subscription;
    let read = || {
        let terms = subscriptions.terms(id)?;
        let peeked = subscriptions.peek(id, |catalog, account| {
            catalog.at_once(|catalog| {
                let used = usage_of(catalog, account, (&terms, now), None)?;
                Ok::<_, SessionError>((used, catalog.source_statistics()?))
            })
        })?;
        let (used, sources) = peeked.unwrap_or_else(|| (nothing(&terms, now), Vec::new()));
        Ok::<_, SessionError>((wire(&used, &terms), sources))
    };
    match read() {
        Ok((today, sources)) => {
            shown.today = Some(today);
            shown.snapshots = sources.iter().map(|source| source.snapshots).sum();
            let name = |source: &SourceId| {
                known.sources.iter().find(|one| one.source == *source).map(|one| one.name.clone()).unwrap_or_default()
            };
            let receipt = |source: &SourceStatistics| v1::NewestReceipt {
                source: name(&source.source),
                receipt: source.receipt.to_vec().into(),
                received_at_ns: source.newest_at_ns,
            };
            shown.receipts = sources.iter().map(receipt).collect();
            shown.newest_at_ns = sources.iter().map(|source| source.newest_at_ns).max().unwrap_or_default();
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, subscription = %id, "the use of a subscription could not be read");
        }
    }
    shown
}

fn check_name(field: &str, text: &str) -> Result<(), Failure> {
    if is_name(text) { Ok(()) } else { Err(status::invalid(field, "name")) }
}
