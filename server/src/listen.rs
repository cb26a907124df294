//! The listener: accepts connections, encrypts them, and keeps them within their limits.
//!
//! It speaks no HTTP: encrypted streams go to `grpc` through a channel.
//!
//! Invariant: no error of accept, of a handshake or of a peer ends the loop; running out of files pauses it.
//! Invariant: a connection is counted from accept until its stream is dropped, whatever happens between.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::limits::{
    ACCEPT_PAUSE_MS, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, CONNECTIONS_PER_ADDRESS_UNAUTHENTICATED_MAX,
    HANDSHAKE_MS, HANDSHAKES_MAX,
};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

use crate::connection::Connection;
use crate::monitor::traffic::{OpenConnection, Traffic};

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    open: usize,
    unauthenticated: usize,
}

/// The open connections, by address.
#[derive(Debug, Default)]
struct Table {
    by_address: Mutex<HashMap<IpAddr, Count>>,
    traffic: Traffic,
}

/// One connection's place in the table; dropping it frees the place.
#[derive(Debug)]
pub struct Place {
    address: SocketAddr,
    authenticated: AtomicBool,
    table: Arc<Table>,
    _counted: OpenConnection,
}

impl Place {
    /// The peer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// True once a call of this connection was authenticated.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Relaxed)
    }

    /// A place in a table of its own.
    #[cfg(test)]
    pub(crate) fn alone() -> Arc<Self> {
        Arc::<Table>::default().take(([127, 0, 0, 1], 1).into()).unwrap()
    }

    /// A call of this connection was authenticated: it counts against the larger limit from here on.
    pub fn authenticated(&self) {
        if !self.authenticated.swap(true, Ordering::Relaxed)
            && let Some(count) = self.table.by_address.lock().get_mut(&network(self.address))
        {
            count.unauthenticated -= 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.table.by_address.lock();
        let Some(count) = table.get_mut(&network(self.address)) else { return };
        count.open -= 1;
        count.unauthenticated -= usize::from(!*self.authenticated.get_mut());
        if count.open == 0 {
            table.remove(&network(self.address));
        }
    }
}

impl Table {
    /// Takes a place for a peer, unless it has too many.
    fn take(self: &Arc<Self>, address: SocketAddr) -> Option<Arc<Place>> {
        let mut table = self.by_address.lock();
        let count = table.entry(network(address)).or_default();
        if count.open >= CONNECTIONS_PER_ADDRESS_MAX
            || count.unauthenticated >= CONNECTIONS_PER_ADDRESS_UNAUTHENTICATED_MAX
        {
            return None;
        }
        count.open += 1;
        count.unauthenticated += 1;
        drop(table);
        let (table, counted) = (self.clone(), self.traffic.connection());
        Some(Arc::new(Place { address, authenticated: AtomicBool::new(false), table, _counted: counted }))
    }
}

/// What the loop hands over.
pub type Connections = mpsc::Receiver<Result<Connection, std::io::Error>>;

/// Starts the loop; it ends when `stop` says so or when nobody receives any more.
///
/// `stop` also tells open connections to end: its value is their last moment.
pub fn start(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    stop: watch::Receiver<Stop>,
    traffic: Traffic,
) -> Connections {
    let (sender, receiver) = mpsc::channel(HANDSHAKES_MAX);
    let accepting = Accepting {
        acceptor,
        sender,
        stop,
        table: Arc::new(Table { by_address: Mutex::default(), traffic }),
        connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
    };
    tokio::spawn(accepting.run(listener));
    receiver
}

/// How far the server's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// It serves.
    No,
    /// It accepts nothing more; open calls may end.
    Accepting,
    /// Open connections are cut.
    Everything,
}

struct Accepting {
    acceptor: TlsAcceptor,
    sender: mpsc::Sender<Result<Connection, std::io::Error>>,
    stop: watch::Receiver<Stop>,
    table: Arc<Table>,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

impl Accepting {
    async fn run(self, listener: TcpListener) {
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop > Stop::No) => return,
                () = self.sender.closed() => return,
                () = self.accept_one(&listener) => {}
            }
        }
    }

    /// Waits for room, then for a peer, and starts its handshake in the background.
    async fn accept_one(&self, listener: &TcpListener) {
        let Ok(handshake) = self.handshakes.clone().acquire_owned().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                return;
            }
        };
        let Ok(connection) = self.connections.clone().try_acquire_owned() else {
            tracing::warn!("too many connections: one was refused");
            return;
        };
        let Some(place) = self.table.take(address) else {
            tracing::debug!(%address, "too many connections of one address: one was refused");
            return;
        };
        let (acceptor, sender, stop) = (self.acceptor.clone(), self.sender.clone(), self.stop.clone());
        tokio::spawn(async move {
            let tls = tokio::time::timeout(Duration::from_millis(HANDSHAKE_MS), encrypt(acceptor, stream)).await;
            drop(handshake);
            match tls {
                Ok(Ok(stream)) => {
                    let connection = Connection::new(stream, place, connection, stop);
                    // The receiver is gone only when the server stops.
                    let _ = sender.send(Ok(connection)).await;
                }
                Ok(Err(error)) => tracing::debug!(%address, %error, "a TLS handshake failed"),
                Err(_) => tracing::debug!(%address, "a TLS handshake took too long"),
            }
        });
    }
}

/// What connections are counted by: an IPv4 address, or the /64 of an IPv6 one.
fn network(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

async fn encrypt(
    acceptor: TlsAcceptor,
    stream: TcpStream,
) -> std::io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    acceptor.accept(stream).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_few_places_until_it_authenticates_and_gets_them_back() {
        let table = Arc::new(Table::default());
        let peer: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let mut places: Vec<_> = std::iter::from_fn(|| table.take(peer)).collect();
        assert_eq!(places.len(), CONNECTIONS_PER_ADDRESS_UNAUTHENTICATED_MAX);
        assert!(table.take("192.0.2.2:1".parse().unwrap()).is_some());
        while places.len() < CONNECTIONS_PER_ADDRESS_MAX {
            places.iter().for_each(|place| place.authenticated());
            places.extend(table.take(peer));
        }
        places.iter().for_each(|place| place.authenticated());
        assert!(table.take(peer).is_none());
        drop(places);
        assert!(table.by_address.lock().is_empty());
    }
}
