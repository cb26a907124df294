//! The `Sets` service: backup sets of the caller's own subscription.
//!
//! Invariant: an agent sees and sets up only what is its own; a source that somebody reads already is changed by a person.

use std::sync::Arc;

use common::id::{AgentId, SourceId, SubscriptionId};
use proto::code::{ErrorCode, Failure};
use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{self, with_control};
use super::{convert, status};
use crate::auth::principal::Principal;
use crate::control::Control;
use crate::control::audit::Trace;
use crate::control::sets::NewVersion;
use crate::control::subscriptions::Subscription;

/// What is backed up.
#[derive(Clone)]
pub struct SetsService {
    /// The provider's records.
    pub control: Arc<Control>,
}

#[tonic::async_trait]
impl v1::sets_server::Sets for SetsService {
    async fn list(&self, request: Request<v1::ListSetsRequest>) -> Result<Response<v1::ListSetsReply>, Status> {
        let principal = caller::principal(&request)?;
        self.list_sets(&principal).await.map(Response::new).map_err(status::of_failure)
    }

    async fn get(&self, request: Request<v1::GetSetRequest>) -> Result<Response<v1::GetSetReply>, Status> {
        let principal = caller::principal(&request)?;
        self.get_set(&principal, request.get_ref()).await.map(Response::new).map_err(status::of_failure)
    }

    async fn put(&self, request: Request<v1::PutSetRequest>) -> Result<Response<v1::PutSetReply>, Status> {
        let (principal, trace) = (caller::principal(&request)?, caller::trace(&request));
        let set = request.into_inner().set;
        let put =
            async { self.put_set(&principal, set.ok_or_else(|| status::invalid("set", "missing"))?, trace).await };
        let version = put.await.map_err(status::of_failure)?;
        Ok(Response::new(v1::PutSetReply { version }))
    }
}

impl SetsService {
    async fn list_sets(&self, principal: &Principal) -> Result<v1::ListSetsReply, Failure> {
        let id = caller::subscription(principal)?;
        let subscription = self.subscription(id).await?;
        let sets = with_control(&self.control, move |control| control.newest_sets(&id)).await?;
        let sets = sets
            .into_iter()
            .filter(|set| own_agent(principal).is_none_or(|agent| set.agent == agent))
            .filter_map(|set| {
                let source = subscription.sources.iter().find(|source| source.source == set.source)?;
                Some(convert::set(set, source))
            })
            .collect();
        Ok(v1::ListSetsReply { sets, contracted: subscription.sources.iter().map(convert::contracted).collect() })
    }

    async fn get_set(&self, principal: &Principal, request: &v1::GetSetRequest) -> Result<v1::GetSetReply, Failure> {
        let id = caller::subscription(principal)?;
        let source: SourceId = caller::id("source", &request.source)?;
        let (subscription, version) = (self.subscription(id).await?, request.version);
        let set = with_control(&self.control, move |control| control.set(&id, &source, version)).await?;
        let set = set.filter(|set| own_agent(principal).is_none_or(|agent| set.agent == agent));
        let source = subscription.sources.iter().find(|known| known.source == source);
        let (Some(set), Some(source)) = (set, source) else { return Err(status::not_found("set")) };
        Ok(v1::GetSetReply { set: Some(convert::set(set, source)) })
    }

    async fn put_set(&self, principal: &Principal, set: v1::Set, trace: Trace) -> Result<u64, Failure> {
        let subscription = caller::subscription(principal)?;
        let source: SourceId = caller::id("source", &set.source)?;
        let agent: AgentId = match own_agent(principal) {
            Some(own) => own,
            None => caller::id("agent", &set.agent)?,
        };
        let follows = set.version;
        if own_agent(principal).is_some() {
            self.check_first(subscription, agent, source, follows).await?;
        }
        let rules = convert::set_rules(set)?;
        with_control(&self.control, move |control| {
            let changed_by = &trace.who;
            control.put_set(&NewVersion { subscription, source, agent, follows, rules: &rules, changed_by }, &trace)
        })
        .await
    }

    /// An agent makes a first version only, and only of the source that it was enrolled for, if it was for one.
    async fn check_first(
        &self,
        subscription: SubscriptionId,
        agent: AgentId,
        source: SourceId,
        follows: u64,
    ) -> Result<(), Failure> {
        let known = with_control(&self.control, move |control| control.agent(&subscription, &agent)).await?;
        let allowed = known.is_some_and(|agent| agent.only_source.is_none_or(|only| only == source));
        if allowed && follows == 0 {
            Ok(())
        } else {
            Err(Failure::new(ErrorCode::PermissionDenied).with("role", "admin"))
        }
    }

    async fn subscription(&self, id: SubscriptionId) -> Result<Subscription, Failure> {
        let found = with_control(&self.control, move |control| control.subscription(&id)).await?;
        found.ok_or_else(|| status::not_found("subscription"))
    }
}

/// The agent that calls, if it is one.
fn own_agent(principal: &Principal) -> Option<AgentId> {
    match principal {
        Principal::Agent { agent, .. } => Some(*agent),
        _ => None,
    }
}
