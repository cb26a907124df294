//! HTTP/2 over accepted connections, with every limit of protocol.md set.
//!
//! Invariant: no default of tonic, hyper or h2 is relied upon where it is absent or too large.

use std::sync::Arc;
use std::time::Duration;

use common::limits::{
    CONNECTION_AGE_MS, HEADER_BYTES_MAX, HTTP2_FRAME_BYTES, KEEP_ALIVE_INTERVAL_MS, KEEP_ALIVE_TIMEOUT_MS,
    LOCAL_RESETS_MAX, PENDING_RESETS_MAX, REQUESTS_PER_CONNECTION_MAX, SERVER_WINDOW_BYTES, STOP_GRACE_MS,
    STREAMS_PER_CONNECTION_MAX,
};
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::router::Router;
use crate::auth::layer::Authenticator;
use crate::connection::Connection;
use crate::grpc::measure::Measured;
use crate::listen::{Connections, Place, Stop};
use crate::monitor::traffic::Traffic;

impl Connected for Connection {
    type ConnectInfo = Arc<Place>;

    fn connect_info(&self) -> Arc<Place> {
        self.place().clone()
    }
}

/// Serves until `stop` leaves [`Stop::No`]; open calls then have [`STOP_GRACE_MS`] before their connections are cut.
///
/// # Errors
/// What tonic says; errors of single connections are not among them.
pub async fn serve(
    router: Router,
    authenticator: &Arc<Authenticator>,
    connections: Connections,
    stop: watch::Sender<Stop>,
    traffic: &Traffic,
) -> Result<(), tonic::transport::Error> {
    let mut stopped = stop.subscribe();
    let mut grace = stop.subscribe();
    let asked = async move {
        // The sender lives in this function: waiting ends only with a stop.
        let _ = stopped.wait_for(|stop| *stop > Stop::No).await;
    };
    let cut = async move {
        let _ = grace.wait_for(|stop| *stop > Stop::No).await;
        tokio::time::sleep(Duration::from_millis(STOP_GRACE_MS)).await;
        stop.send_replace(Stop::Everything);
        std::future::pending::<()>().await;
    };
    let serving = limits(Server::builder()).serve_with_incoming_shutdown(
        Measured::new(authenticator.protect(router), traffic.clone()),
        ReceiverStream::new(connections),
        asked,
    );
    tokio::select! {
        result = serving => result,
        () = cut => Ok(()),
    }
}

fn limits(server: Server) -> Server {
    server
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .concurrency_limit_per_connection(REQUESTS_PER_CONNECTION_MAX)
        .load_shed(true)
        // Without tonic's own grace: with one it never asks a peer to leave, it only cuts. `Connection` cuts.
        .max_connection_age(Duration::from_millis(CONNECTION_AGE_MS))
        .http2_keepalive_interval(Some(Duration::from_millis(KEEP_ALIVE_INTERVAL_MS)))
        .http2_keepalive_timeout(Some(Duration::from_millis(KEEP_ALIVE_TIMEOUT_MS)))
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS_MAX))
        .initial_stream_window_size(SERVER_WINDOW_BYTES)
        .initial_connection_window_size(SERVER_WINDOW_BYTES)
        .max_frame_size(HTTP2_FRAME_BYTES)
}
