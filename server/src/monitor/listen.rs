//! The listener of metrics: one page, `/metrics`, over plain HTTP, without a credential.
//!
//! It is for this machine or a management network, and off unless configured.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::watch::Monitor;
use crate::listen::Stop;

/// Starts the listener; where it listens. It ends when `stop` says so.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn start(
    address: SocketAddr,
    monitor: Arc<Monitor>,
    mut stop: watch::Receiver<Stop>,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let pages = Router::new().route("/metrics", get(page)).with_state(monitor);
    let stopped = async move {
        // A sender that is gone is a stop too.
        let _ = stop.wait_for(|stop| *stop > Stop::No).await;
    };
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, pages).with_graceful_shutdown(stopped).await {
            tracing::error!(%error, "the listener of metrics ended");
        }
    });
    Ok(bound)
}

async fn page(State(monitor): State<Arc<Monitor>>) -> Response {
    match monitor.metrics() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
