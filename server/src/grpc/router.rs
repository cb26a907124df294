//! Sends each call to its service, with its deadline.
//!
//! Invariant: every call has a deadline, except streams, which watch over themselves (idle time, budget).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use common::limits::{COMMIT_DEADLINE_MS, UNARY_DEADLINE_MS};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tower::Service;
use tower::util::BoxCloneSyncService;

type Handler = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The services by name.
#[derive(Clone, Default)]
pub struct Router {
    services: Arc<BTreeMap<&'static str, Handler>>,
}

/// Collects services.
#[derive(Default)]
pub struct RouterBuilder {
    services: BTreeMap<&'static str, Handler>,
}

impl RouterBuilder {
    /// Adds a service under its own name.
    pub fn with<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + NamedService,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.services.insert(S::NAME, BoxCloneSyncService::new(service));
        self
    }

    /// The router of all of them.
    pub fn finish(self) -> Router {
        Router { services: Arc::new(self.services) }
    }
}

impl Service<Request<Body>> for Router {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Generated services are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
        let handler = service.and_then(|service| self.services.get(service)).cloned();
        let deadline = deadline(path);
        Box::pin(async move {
            let Some(mut handler) = handler else { return Ok(Status::unimplemented("").into_http()) };
            let answer = handler.call(request);
            match deadline {
                None => answer.await,
                Some(limit) => tokio::time::timeout(limit, answer)
                    .await
                    .unwrap_or_else(|_| Ok(Status::deadline_exceeded("délai dépassé").into_http())),
            }
        })
    }
}

/// The time that a call may take until its answer begins.
fn deadline(path: &str) -> Option<Duration> {
    match path {
        "/dobaas.v1.Backup/Transfer" | "/dobaas.v1.Restore/Fetch" | "/grpc.health.v1.Health/Watch" => None,
        "/dobaas.v1.Backup/Commit" => Some(Duration::from_millis(COMMIT_DEADLINE_MS)),
        _ => Some(Duration::from_millis(UNARY_DEADLINE_MS)),
    }
}
