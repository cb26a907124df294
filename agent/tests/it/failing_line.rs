//! A line that fails again and again, in the middle of whatever it carries: a backup and a restore come to their end all the same.
//!
//! It is cut, it changes a bit (which TLS must see), it loses what comes after some byte and keeps the connection open, or it hands on crumbs of seven bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::oracle::{assert_same, listing};
use crate::site::{IDENTIFIER, Machine, SOURCE, Site};
use crate::support::campaign::Campaign;

const FILES: u64 = 12;
const FILE_BYTES: usize = 1_000_000;

/// What happens to each connection after so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Both ways end.
    Cut,
    /// A bit is changed.
    Flip,
    /// The connection stays and carries nothing more, until somebody gives up.
    Silence,
    /// Pieces of a few bytes from there on.
    Crumbs,
}

/// A proxy whose connections each meet a fault after so many bytes, a few more from one to the next.
struct Line {
    address: SocketAddr,
    faults: Arc<AtomicU64>,
}

impl Line {
    fn to(server: SocketAddr, fault: Fault, bytes_until_fault: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let faults = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&faults);
        std::thread::spawn(move || {
            for (number, client) in (0..).zip(listener.incoming().flatten()) {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let left = Arc::new(AtomicU64::new(bytes_until_fault + number % 7 * (bytes_until_fault / 7)));
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (left, faults) = (Arc::clone(&left), Arc::clone(&counted));
                    std::thread::spawn(move || carry(from, to, fault, &left, &faults));
                }
            }
        });
        Self { address, faults }
    }
}

/// Carries one way until an end closes it; once both ways together carried enough, with the fault.
fn carry(mut from: TcpStream, mut to: TcpStream, fault: Fault, left: &AtomicU64, faults: &AtomicU64) {
    let mut piece = vec![0; 16 << 10];
    let mut failing = false;
    while let Ok(bytes) = from.read(&mut piece) {
        let known = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes as u64));
        let begins = bytes > 0 && known.is_err() && !failing;
        failing |= begins;
        faults.fetch_add(u64::from(begins), Ordering::Relaxed);
        let carried = match fault {
            _ if bytes == 0 => break,
            Fault::Cut if failing => break,
            Fault::Silence if failing => continue,
            Fault::Flip if begins => {
                piece[bytes / 2] ^= 1;
                to.write_all(&piece[..bytes])
            }
            Fault::Crumbs if begins => piece[..bytes].chunks(7).try_for_each(|crumb| to.write_all(crumb)),
            _ => to.write_all(&piece[..bytes]),
        };
        if carried.is_err() {
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
    comes_to_its_end(Fault::Cut, 2_100_000, 3);
}

#[test]
fn a_backup_and_a_restore_come_to_their_end_on_a_line_that_changes_bits() {
    comes_to_its_end(Fault::Flip, 2_100_000, 3);
}

#[test]
fn a_backup_and_a_restore_come_to_their_end_on_a_line_that_falls_silent() {
    // Each silence lasts until keep-alives give up.
    comes_to_its_end(Fault::Silence, 8_000_000, 1);
}

#[test]
fn a_backup_and_a_restore_come_to_their_end_on_a_line_of_crumbs() {
    comes_to_its_end(Fault::Crumbs, 2_100_000, 1);
}

/// A backup and a restore through a line with a fault after so many bytes, which strikes each of them so many times at least.
fn comes_to_its_end(fault: Fault, bytes_until_fault: u64, faults_min: u64) {
    let mut campaign = Campaign::begin("C13", "failing line", 1);
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
    let line = Line::to(server, fault, bytes_until_fault);
    let settings = format!("server = 'https://127.0.0.1:{}'", line.address.port());
    std::fs::write(machine.state().with_extension("toml"), settings).unwrap();

    done(&machine, &["backup"]);
    let in_backup = line.faults.load(Ordering::Relaxed);
    assert!(in_backup >= faults_min, "{fault:?}: {in_backup} in the backup");
    let of = |name: &str| site.path(name).display().to_string();
    let (to, password, passphrase) = (of("back"), of("password"), of("passphrase"));
    let person = ["--identifier", IDENTIFIER, "--password-file", &password, "--passphrase-file", &passphrase];
    done(&machine, &[&["restore", "--to", &to][..], &person].concat());
    let in_restore = line.faults.load(Ordering::Relaxed) - in_backup;
    assert!(in_restore >= faults_min, "{fault:?}: {in_restore} in the restore");
    assert_same("restored", &listing(&data), &listing(&site.path("back").join(data.strip_prefix("/").unwrap())));
    campaign.count("faults of the line", in_backup + in_restore);
    campaign.pass();
}
