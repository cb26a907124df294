//! A line that is cut again and again, in the middle of whatever it carries: a backup and a restore come to their end all the same.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::oracle::{assert_same, listing};
use crate::site::{IDENTIFIER, Machine, SOURCE, Site};

const FILES: u64 = 12;
const FILE_BYTES: usize = 1_000_000;

/// A proxy that ends each connection after so many bytes, a few more from one to the next.
struct Line {
    address: SocketAddr,
    cuts: Arc<AtomicU64>,
}

impl Line {
    fn to(server: SocketAddr, bytes_until_cut: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&cuts);
        std::thread::spawn(move || {
            for (number, client) in (0..).zip(listener.incoming().flatten()) {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let left = Arc::new(AtomicU64::new(bytes_until_cut + number % 7 * (bytes_until_cut / 7)));
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (left, cuts) = (Arc::clone(&left), Arc::clone(&counted));
                    std::thread::spawn(move || carry(from, to, &left, &cuts));
                }
            }
        });
        Self { address, cuts }
    }
}

/// Carries one way until an end closes it, or both ways together carried enough.
fn carry(mut from: TcpStream, mut to: TcpStream, left: &AtomicU64, cuts: &AtomicU64) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(bytes) = from.read(&mut piece) {
        let known = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes as u64));
        if bytes == 0 || known.is_err() || to.write_all(&piece[..bytes]).is_err() {
            cuts.fetch_add(u64::from(bytes > 0 && known.is_err()), Ordering::Relaxed);
            break;
        }
    }
    for socket in [from, to] {
        let _ = socket.shutdown(Shutdown::Both);
    }
}

fn done(machine: &Machine, typed: &[&str]) {
    let output = machine.dobaas(typed).output().unwrap();
    assert!(output.status.success(), "{typed:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_backup_and_a_restore_come_to_their_end_on_a_line_that_is_cut_every_few_megabytes() {
    let site = Site::start();
    let (machine, data) = (site.machine("a"), site.path("data"));
    std::fs::create_dir(&data).unwrap();
    for file in 0..FILES {
        let mut content = vec![0; FILE_BYTES];
        blake3::Hasher::new().update(&file.to_le_bytes()).finalize_xof().fill(&mut content);
        std::fs::write(data.join(format!("{file:02}.bin")), content).unwrap();
    }
    site.set_up(&machine, &["--source", SOURCE, "--path", data.to_str().unwrap()]);
    let server = site.url().trim_start_matches("https://").parse().unwrap();
    let line = Line::to(server, 2_100_000);
    let settings = format!("server = 'https://127.0.0.1:{}'", line.address.port());
    std::fs::write(machine.state().with_extension("toml"), settings).unwrap();

    done(&machine, &["backup"]);
    let backup_cuts = line.cuts.load(Ordering::Relaxed);
    assert!(backup_cuts >= 3, "{backup_cuts} cuts in the backup");
    let of = |name: &str| site.path(name).display().to_string();
    let (to, password, passphrase) = (of("back"), of("password"), of("passphrase"));
    let person = ["--identifier", IDENTIFIER, "--password-file", &password, "--passphrase-file", &passphrase];
    done(&machine, &[&["restore", "--to", &to][..], &person].concat());
    let restore_cuts = line.cuts.load(Ordering::Relaxed) - backup_cuts;
    assert!(restore_cuts >= 3, "{restore_cuts} cuts in the restore");
    assert_same("restored", &listing(&data), &listing(&site.path("back").join(data.strip_prefix("/").unwrap())));
}
