//! A line of so many bytes a second each way, with a delay: bytes wait for their turn, then for their time.
//!
//! A thread for each way of each connection reads, one writes what is due. What waits is bounded, so that a sender feels a full line.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Bytes that are carried as one piece.
const PIECE_BYTES: usize = 8 << 10;
/// Pieces that may be on their way or wait for their turn: half a megabyte, a usual router's buffer.
const PIECES_MAX: usize = 64;
/// A thread that wakes this late has not left the line idle: what it comes too late for is made up.
const LATE: Duration = Duration::from_millis(3);

/// A running line.
pub struct Proxy {
    address: SocketAddr,
    ways: [Arc<Way>; 2],
}

/// One direction, shared by all connections: when it is free again.
struct Way {
    bytes_per_second: u64,
    delay: Duration,
    free_at: Mutex<Instant>,
    carried: AtomicU64,
}

impl Proxy {
    /// A line to `server`.
    pub fn start(server: SocketAddr, bytes_per_second: u64, delay: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let way = || {
            let (free_at, carried) = (Mutex::new(Instant::now()), AtomicU64::new(0));
            Arc::new(Way { bytes_per_second, delay, free_at, carried })
        };
        let (up, down) = (way(), way());
        let ways = [Arc::clone(&up), Arc::clone(&down)];
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let both = client.try_clone().and_then(|client| Ok((client, server.try_clone()?)));
                let Ok((client_reads, server_reads)) = both else { continue };
                for socket in [&client, &server] {
                    // Without it pieces would wait for one another, which this line does by itself.
                    let _ = socket.set_nodelay(true);
                }
                carry(client_reads, server, Arc::clone(&up));
                carry(server_reads, client, Arc::clone(&down));
            }
        });
        Ok(Self { address, ways })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that it carried so far, to the server and from it.
    pub fn carried(&self) -> [u64; 2] {
        self.ways.each_ref().map(|way| way.carried.load(Ordering::Relaxed))
    }
}

/// Carries one way of a connection until it ends.
fn carry(from: TcpStream, to: TcpStream, way: Arc<Way>) {
    let (pieces, due) = sync_channel(PIECES_MAX);
    std::thread::spawn(move || read(from, &pieces, &way));
    std::thread::spawn(move || write(to, &due));
}

fn read(mut from: TcpStream, pieces: &SyncSender<(Instant, Vec<u8>)>, way: &Way) {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let bytes = match from.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(bytes) => bytes,
        };
        piece.truncate(bytes);
        way.carried.fetch_add(bytes as u64, Ordering::Relaxed);
        let sent_at = {
            let mut free_at = way.free_at.lock().expect("no thread panics with it");
            let takes = Duration::from_secs_f64(bytes as f64 / way.bytes_per_second as f64);
            *free_at = (*free_at).max(Instant::now() - LATE) + takes;
            *free_at
        };
        // Whoever sends waits for the line.
        std::thread::sleep(sent_at.saturating_duration_since(Instant::now()));
        if pieces.send((sent_at + way.delay, piece)).is_err() {
            return;
        }
    }
}

fn write(mut to: TcpStream, due: &Receiver<(Instant, Vec<u8>)>) {
    for (at, piece) in due {
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    // The other side may have closed it already.
    let _ = to.shutdown(Shutdown::Write);
}
