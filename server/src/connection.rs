//! One encrypted connection, as the HTTP/2 code reads and writes it.
//!
//! Invariant: it ends by itself [`CONNECTION_GRACE_MS`] after the age at which its peer was asked to leave, after [`STRANGER_MS`] if no call of it
//! was authenticated, and at once when the server cuts everything.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use common::limits::{CONNECTION_AGE_MS, CONNECTION_GRACE_MS, STRANGER_MS};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_rustls::server::TlsStream;

use crate::listen::{Place, Stop};

/// An encrypted stream with its place among the open ones.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    place: Arc<Place>,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_over: bool,
    _counted: OwnedSemaphorePermit,
}

impl Connection {
    /// Wraps a stream after its handshake.
    pub fn new(
        stream: TlsStream<TcpStream>,
        place: Arc<Place>,
        counted: OwnedSemaphorePermit,
        stop: watch::Receiver<Stop>,
    ) -> Self {
        let end = Box::pin(end(place.clone(), stop, (STRANGER_MS, CONNECTION_AGE_MS + CONNECTION_GRACE_MS)));
        Self { stream, place, end, is_over: false, _counted: counted }
    }

    /// Its place among the open ones.
    pub fn place(&self) -> &Arc<Place> {
        &self.place
    }
}

/// Waits until a connection has to end, which comes earlier for a stranger.
async fn end(place: Arc<Place>, mut stop: watch::Receiver<Stop>, (stranger_ms, age_ms): (u64, u64)) {
    let old = async {
        // Slow strangers would otherwise hold every place for the price of a byte now and then.
        tokio::time::sleep(Duration::from_millis(stranger_ms)).await;
        if place.is_authenticated() {
            tokio::time::sleep(Duration::from_millis(age_ms - stranger_ms)).await;
        }
    };
    tokio::select! {
        () = old => {}
        _ = stop.wait_for(|stop| *stop == Stop::Everything) => {}
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_over || self.end.as_mut().poll(cx).is_ready() {
            self.is_over = true;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    // HTTP/2 headers and payload leave in one record only if both of these are forwarded.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER_MS: u64 = 3_600_000;

    /// True if it ends although nobody says so.
    async fn ends(place: Arc<Place>, ages_ms: (u64, u64)) -> bool {
        let (_running, stop) = watch::channel(Stop::No);
        tokio::time::timeout(Duration::from_millis(300), end(place, stop, ages_ms)).await.is_ok()
    }

    #[tokio::test]
    async fn strangers_leave_early_and_known_peers_at_their_age() {
        let known = Place::alone();
        known.authenticated();
        assert!(ends(Place::alone(), (1, NEVER_MS)).await);
        assert!(!ends(known.clone(), (1, NEVER_MS)).await);
        assert!(ends(known, (1, 2)).await);
        let (running, stop) = watch::channel(Stop::No);
        running.send_replace(Stop::Everything);
        let at_once = end(Place::alone(), stop, (NEVER_MS, NEVER_MS));
        tokio::time::timeout(Duration::from_secs(5), at_once).await.unwrap();
    }
}
