//! Backups by the library against the real server: what is read and sent, counted.

use std::path::Path;
use std::sync::Arc;

use agent::backup::progress::Progress;
use agent::backup::run::{Completeness, Fresh, Outcome, Request, run};
use agent::backup::seal::SealOptions;
use agent::remote::Remote;
use agent::source::FileSet;
use agent::source::journal::Journal;
use agent::state::identity::Identity;
use agent::state::source_folder;
use common::id::{SessionId, SourceId};
use common::keys::SessionKey;
use server::app::Environment;
use tokio::runtime::Runtime;

use crate::site::{IDENTIFIER, Machine, PASSPHRASE, PASSWORD, SOURCE, Site};

/// A machine that was set up, with what its runs need.
struct Enrolled {
    site: Site,
    machine: Machine,
    identity: Identity,
    runtime: Runtime,
    remote: Remote,
    environment: Environment,
}

impl Enrolled {
    fn new(tree: &Path) -> Self {
        let site = Site::start();
        let machine = site.machine("a");
        let files = [
            site.secret("default", &site.default_password),
            site.secret("password", PASSWORD),
            site.secret("passphrase", PASSPHRASE),
        ];
        let (url, recovery) = (site.url(), site.path("recovery").display().to_string());
        let typed = [
            &["setup", "--server", &url, "--fingerprint", site.fingerprint(), "--identifier", IDENTIFIER][..],
            &["--password-file", &files[0], "--new-password-file", &files[1], "--passphrase-file", &files[2]],
            &["--recovery-key-out", &recovery, "--source", SOURCE, "--path", tree.to_str().unwrap()],
        ]
        .concat();
        let output = machine.dobaas(&typed).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let identity = Identity::load(machine.state()).unwrap();
        let runtime = Runtime::new().unwrap();
        let remote = runtime.block_on(Remote::connect(&identity.address, Some(identity.token.clone()))).unwrap();
        Self { site, machine, identity, runtime, remote, environment: Environment::system() }
    }

    /// One run whose clock is an hour ahead, so that no file looks freshly changed.
    fn backup(&self, tree: &Path) -> (Outcome, Arc<Progress>) {
        self.backup_by(None, tree)
    }

    /// One run of a machine that listens for changes.
    fn backup_by(&self, journal: Option<&Journal>, tree: &Path) -> (Outcome, Arc<Progress>) {
        let random = &self.environment.random;
        let source = SourceId::new([7; 16]);
        let request = Request {
            identity: &self.identity,
            folder: source_folder(self.machine.state(), &source),
            source,
            set_version: 1,
            set: FileSet { paths: vec![tree.to_owned()], ..FileSet::default() },
            disks: None,
            settings: String::new(),
            host: "test".into(),
            started_at_ns: self.environment.clock.now_ns() + 3_600_000_000_000,
            options: SealOptions { level: 3, check_all: true },
            journal,
        };
        let fresh = Fresh {
            session: SessionId::new(random.bytes()),
            session_key: SessionKey::new(random.bytes()),
            salt_seed: random.bytes(),
            retry_seed: 1,
        };
        let progress = Arc::new(Progress::default());
        (run(self.runtime.handle(), &self.remote, &request, fresh, &progress).unwrap(), progress)
    }
}

fn sent(progress: &Progress) -> (u64, u64) {
    (Progress::get(&progress.files_opened), Progress::get(&progress.data_frames_sent))
}

#[test]
fn a_backup_sends_content_once_and_an_unchanged_one_opens_and_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    for at in 0..300 {
        let directory = tree.join(format!("d{}", at % 9));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{at}")), format!("line {at}\n").repeat(at * 20)).unwrap();
    }
    std::fs::write(tree.join("large"), b"0123456789abcdef".repeat(200_000)).unwrap();
    let enrolled = Enrolled::new(&tree);
    let (first, progress) = enrolled.backup(&tree);
    assert_eq!((first.completeness, first.sequence, first.counts.files), (Completeness::Complete, 1, 301));
    assert_eq!(sent(&progress).0, 301);
    assert_eq!((first.server.initial_bytes, first.server.changed_bytes), (first.counts.laid_bytes, 0));
    let (second, progress) = enrolled.backup(&tree);
    assert_eq!((sent(&progress), second.counts.files_unchanged, second.sequence), ((0, 0), 301, 2));
    std::fs::rename(tree.join("d3"), tree.join("moved")).unwrap();
    std::fs::copy(tree.join("large"), tree.join("copy of large")).unwrap();
    let (third, progress) = enrolled.backup(&tree);
    assert_eq!((sent(&progress).1, third.server.changed_bytes), (0, 0));
    // Memory lost: the tree is fetched again, everything is read, nothing is sent.
    std::fs::remove_dir_all(enrolled.machine.state().join("sources")).unwrap();
    let (fourth, progress) = enrolled.backup(&tree);
    assert_eq!((sent(&progress), fourth.sequence), ((302, 0), 4));
    let (_, progress) = enrolled.backup(&tree);
    assert_eq!(sent(&progress), (0, 0));
    enrolled.site.stop();
}

#[test]
fn a_run_by_the_journal_of_changes_is_a_whole_snapshot_of_which_a_full_walk_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    for at in 0..300 {
        let directory = tree.join(format!("d{}", at % 30));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{at}")), format!("line {at}\n").repeat(at)).unwrap();
    }
    let enrolled = Enrolled::new(&tree);
    let journal = Journal::new(&source_folder(enrolled.machine.state(), &SourceId::new([7; 16])));
    let word = |outcome: &Outcome| outcome.walk.word();
    let run = || enrolled.backup_by(Some(&journal), &tree).0;
    assert_eq!([word(&run()), word(&run()), word(&run())], ["start", "unproved", "journal"]);
    std::fs::write(tree.join("d7/7"), "changed").unwrap();
    std::fs::write(tree.join("d8/new"), "new").unwrap();
    std::fs::remove_dir_all(tree.join("d9")).unwrap();
    let outcome = run();
    let counts = &outcome.counts;
    assert_eq!((word(&outcome), counts.files, counts.files_unchanged), ("journal", 291, 289));
    assert_eq!((counts.files_new, counts.files_changed, counts.files_deleted), (1, 1, 10));
    let (full, progress) = enrolled.backup(&tree);
    assert_eq!((sent(&progress), full.counts.files_unchanged, full.counts.files_deleted), ((0, 0), 291, 0));
    enrolled.site.stop();
}
