//! The layer in front of every call: a credential becomes a [`Principal`] and a [`Trace`] in the request's extensions, or the
//! call ends here.
//!
//! It does not look at messages; whose data a principal sees is each handler's business.
//!
//! Invariant: identity comes from the `authorization` header only.
//! Invariant: every call passes here, and one that `access` does not list is refused.
//! Invariant: a use is written only for a call that is let in: a token that is refused everywhere ends in its time.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use proto::code::{ErrorCode, Failure};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, header};
use tower::Service;

use super::access::{self, Access, Refusal};
use super::principal::Principal;
use super::rate::Rates;
use super::token::{self, TokenDigest, TokenKind};
use crate::clock::Clock;
use crate::control::accounts::{Account, Standing};
use crate::control::agents::Agent;
use crate::control::audit::{Action, Event, Trace};
use crate::control::networks::admits;
use crate::control::{Control, ControlError};
use crate::grpc::status;
use crate::listen::Place;

/// Turns credentials into principals.
pub struct Authenticator {
    control: Arc<Control>,
    clock: Clock,
    rates: Rates,
}

/// A token's owner.
struct Known {
    principal: Principal,
    /// The use is worth writing.
    is_stale: bool,
}

/// A service behind the layer.
#[derive(Clone)]
pub struct Authenticated<S> {
    inner: S,
    authenticator: Arc<Authenticator>,
}

impl Authenticator {
    /// Reads tokens from `control`.
    pub fn new(control: Arc<Control>, clock: Clock) -> Arc<Self> {
        Arc::new(Self { control, clock, rates: Rates::default() })
    }

    /// Puts `inner` behind the layer.
    pub fn protect<S>(self: &Arc<Self>, inner: S) -> Authenticated<S> {
        Authenticated { inner, authenticator: self.clone() }
    }

    /// Admits a request and puts what is known of its caller into it, or says why not.
    fn admit(&self, request: &mut Request<Body>) -> Result<(), Failure> {
        let now_ns = self.clock.now_ns();
        let place = request.extensions().get::<Arc<Place>>().cloned();
        let address = place.as_ref().map_or_else(|| "unknown".to_owned(), |place| place.address().ip().to_string());
        let access = access::of_path(request.uri().path());
        if access == Access::Open {
            let trace = Trace { who: "anonymous".to_owned(), address, at_ns: now_ns };
            request.extensions_mut().insert(trace);
            return Ok(());
        }
        let unauthenticated = || Failure::new(ErrorCode::Unauthenticated);
        let token = bearer(request).ok_or_else(unauthenticated)?;
        let Known { principal, is_stale } = self.principal(&token, now_ns)?.ok_or_else(unauthenticated)?;
        if let Some(place) = place {
            place.authenticated();
        }
        access::admit(access, &principal).map_err(|refusal| match refusal {
            Refusal::MustChangePassword => Failure::new(ErrorCode::MustChangePassword),
            Refusal::Role(role) => Failure::new(ErrorCode::PermissionDenied).with("role", role),
        })?;
        if let Principal::Person { subscription, .. }
        | Principal::Agent { subscription, .. }
        | Principal::Enrolment { subscription, .. } = &principal
            && !self.rates.take(subscription, now_ns)
        {
            return Err(Failure::new(ErrorCode::Overloaded).with("retry_s", 1));
        }
        let trace = Trace { who: who(&principal), address, at_ns: now_ns };
        self.check_network(&principal, request.uri().path(), &trace)?;
        if is_stale {
            self.note_use(&principal, &token, now_ns);
        }
        let extensions = request.extensions_mut();
        extensions.insert(trace);
        extensions.insert(token);
        extensions.insert(principal);
        Ok(())
    }

    /// Refuses an operator who calls from outside the networks of the account, and leaves a row.
    fn check_network(&self, principal: &Principal, path: &str, trace: &Trace) -> Result<(), Failure> {
        let Principal::Operator { identifier, .. } = principal else { return Ok(()) };
        let networks = self.control.networks(identifier).map_err(|error| status::of_control(&error))?;
        let from_known = trace.address.parse().is_ok_and(|address| admits(&networks, address));
        if networks.is_empty() || from_known {
            return Ok(());
        }
        let (trace, object) = (trace.clone(), path.to_owned());
        self.later(move |control| {
            let event = Event { action: Action::Login, subscription: None, object: &object, result: "network_refused" };
            control.record(&trace, &event)
        });
        Err(Failure::new(ErrorCode::NetworkRefused))
    }

    /// Whose token it is; `None` if it is nobody's, or no more.
    fn principal(&self, token: &TokenDigest, now_ns: i64) -> Result<Option<Known>, Failure> {
        let digest = &token.digest;
        let failed = |error: ControlError| status::of_control(&error);
        match token.kind {
            TokenKind::Login => {
                let login = self.control.login(digest, now_ns).map_err(failed)?;
                Ok(login.map(|login| Known { principal: of_account(login.account), is_stale: login.is_stale }))
            }
            TokenKind::Agent => {
                let agent = self.control.agent_by_token(digest, now_ns).map_err(failed)?;
                Ok(agent.map(|(agent, is_stale)| {
                    let Agent { agent, subscription, scope, can_restore, .. } = agent;
                    Known { principal: Principal::Agent { agent, subscription, scope, can_restore }, is_stale }
                }))
            }
            TokenKind::Enrolment => {
                let enrolment = self.control.enrolment(digest, now_ns).map_err(failed)?;
                Ok(enrolment.map(|enrolment| {
                    let principal =
                        Principal::Enrolment { subscription: enrolment.subscription, source: enrolment.source };
                    Known { principal, is_stale: false }
                }))
            }
        }
    }

    /// Writes that a token was used.
    fn note_use(&self, principal: &Principal, token: &TokenDigest, now_ns: i64) {
        match principal {
            Principal::Person { .. } | Principal::Operator { .. } => {
                let digest = token.digest;
                self.later(move |control| control.touch_login(&digest, now_ns));
            }
            Principal::Agent { agent, .. } => {
                let agent = *agent;
                self.later(move |control| control.touch_agent(&agent, now_ns));
            }
            Principal::Enrolment { .. } => {}
        }
    }

    /// Writes a use off the async workers; the call does not wait for it.
    fn later(&self, write: impl FnOnce(&Control) -> Result<(), ControlError> + Send + 'static) {
        let control = self.control.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = write(&control) {
                tracing::error!(error = &error as &dyn std::error::Error, "the use of a token could not be written");
            }
        });
    }
}

impl<S> Service<Request<Body>> for Authenticated<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.authenticator.admit(&mut request) {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(failure) => {
                let response = status::of_failure(failure).into_http();
                Box::pin(std::future::ready(Ok(response)))
            }
        }
    }
}

/// The token of the `authorization` header, which must be the only one.
fn bearer(request: &Request<Body>) -> Option<TokenDigest> {
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, text) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token::parse(text))?
}

fn of_account(account: Account) -> Principal {
    let must_change_password = account.must_change_password();
    let identifier = account.identifier;
    match account.standing {
        Standing::Person { subscription, role } => {
            Principal::Person { identifier, subscription, role, must_change_password }
        }
        Standing::Operator { role } => Principal::Operator { identifier, role, must_change_password },
    }
}

fn who(principal: &Principal) -> String {
    match principal {
        Principal::Person { identifier, .. } => format!("person:{identifier}"),
        Principal::Operator { identifier, .. } => format!("operator:{identifier}"),
        Principal::Agent { agent, .. } => format!("agent:{agent}"),
        Principal::Enrolment { .. } => "enrolment".to_owned(),
    }
}
