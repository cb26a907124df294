//! A hunt for secrets: what the customer keeps to themselves is looked for in everything that the server has and says.
//!
//! Planted are names of files, their content, the passphrase, the recovery key and both passwords. Looked through are the server's whole folder, its log, its
//! command line and environment, its metrics, and all writable memory of its process while it runs, which is what a core file would hold.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::process::{Ended, Running, program};
use crate::support::campaign::Campaign;
use crate::world::{Committed, World};

const FILE_NAME: &str = "dossier-confidentiel-canari-4711";
const CONTENT: &str = "contenu-secret-du-canari-0815 ";

#[test]
fn nothing_that_the_customer_keeps_is_found_at_the_server() {
    let mut world = World::new();
    let mut campaign = Campaign::begin("C36", "secrets at the server", 3);
    let source = world.machine().source();
    fs::write(source.join(FILE_NAME), CONTENT.repeat(3_000)).unwrap();
    let mut secrets = world.machine().secrets();
    secrets.push(("the name of a file", FILE_NAME.into()));
    secrets.push(("the content of a file", CONTENT.into()));
    for round in 0..campaign.rounds() {
        fs::write(source.join(format!("autre-{round}")), CONTENT.repeat(10)).unwrap();
        let committed = Committed::of(&world.machine().backup().expect(&[0]));
        let target = world.scratch().join(format!("restored-{round}"));
        world.machine().restore(&committed.snapshot, &target).expect(&[0]);
        assert!(fs::read_to_string(world.machine().restored(&target).join(FILE_NAME)).unwrap().contains(CONTENT));
    }
    let process = Path::new("/proc").join(world.server_id().to_string());
    for place in ["cmdline", "environ"] {
        let text = fs::read(process.join(place)).unwrap();
        secrets.iter().for_each(|(what, secret)| assert!(!contains(&text, secret), "{what} is in {place}"));
        campaign.count("places", 1);
    }
    let mut read_bytes = 0;
    for memory in writable_memory(&process) {
        read_bytes += memory.len() as u64;
        secrets
            .iter()
            .for_each(|(what, secret)| assert!(!contains(&memory, secret), "{what} is in the server's memory"));
    }
    assert!(read_bytes > 1 << 20, "only {read_bytes} bytes of memory could be read");
    campaign.count("MiB of memory read", read_bytes >> 20);
    let log = world.stop_server();
    secrets.iter().for_each(|(what, secret)| assert!(!contains(log.as_bytes(), secret), "{what} is in the log"));
    campaign.count("places", 2);
    let mut files = 0;
    let mut folders = vec![world.server_folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert!(!path.to_string_lossy().contains(FILE_NAME));
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            files += 1;
            for (what, secret) in &secrets {
                assert!(!contains(&bytes, secret), "{what} is in {}", path.display());
            }
        }
    }
    campaign.count("files read", files);
    campaign.count("secrets looked for", secrets.len() as u64);
    campaign.pass();
}

#[test]
fn no_core_file_is_made_and_nobody_of_the_same_user_looks_into_a_program() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let mut campaign = Campaign::begin("C36", "memory of programs", 1);
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("server");
    // The program may lie where only root comes.
    let copied = folder.path().join("dobaas-server");
    fs::copy(program("dobaas-server"), &copied).unwrap();
    let init = ["init", "--site", "Essai", "--operator", "exploitant", "--listen", "127.0.0.1:0"];
    Ended::of(Command::new(&copied).args(init).arg(&site)).expect(&[0]);
    Ended::of(Command::new("chown").args(["-R", "65534:65534"]).arg(folder.path())).expect(&[0]);
    let as_nobody = |program: &Path| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).current_dir(folder.path());
        command
    };
    let server = Running::start(as_nobody(&copied).arg("serve").arg(&site));
    server.line_with("listening").expect("it runs as nobody");
    let process = Path::new("/proc").join(server.id().to_string());
    // What is not to be dumped belongs to root, whoever runs it.
    assert_eq!(fs::metadata(process.join("environ")).unwrap().uid(), 0);
    for place in ["environ", "mem", "maps"] {
        let read = Ended::of(as_nobody(Path::new("head")).arg("-c1").arg(process.join(place)));
        assert_ne!(read.code(), 0, "{place} can be read");
        campaign.count("places", 1);
    }
    // The same looks at a program that does not hide show that they would have shown something.
    let other = Running::start(as_nobody(Path::new("sleep")).arg("60"));
    let process = Path::new("/proc").join(other.id().to_string());
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(fs::metadata(process.join("environ")).unwrap().uid(), NOBODY);
    Ended::of(as_nobody(Path::new("head")).arg("-c1").arg(process.join("environ"))).expect(&[0]);
    campaign.pass();
}

fn contains(bytes: &[u8], secret: &str) -> bool {
    let secret = secret.as_bytes();
    // The first byte is found quickly; only there is the rest compared.
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == secret[0]) {
        from += at;
        if bytes[from..].starts_with(secret) {
            return true;
        }
        from += 1;
    }
    false
}

/// What a process can write to, region by region.
fn writable_memory(process: &Path) -> Vec<Vec<u8>> {
    let maps = fs::read_to_string(process.join("maps")).unwrap();
    let mut memory = File::open(process.join("mem")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        let Some((from, to)) = range.split_once('-').filter(|_| rights.starts_with("rw")) else { continue };
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // Some regions belong to the kernel and cannot be read.
        if memory.seek(SeekFrom::Start(from)).is_ok() && memory.read_exact(&mut bytes).is_ok() {
            found.push(bytes);
        }
    }
    found
}
