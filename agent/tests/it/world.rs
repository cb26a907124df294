//! A provider and a customer in a scratch folder: `dobaas-server` serving over TLS on loopback, a subscription made with
//! `dobaas-admin`, a machine set up with `dobaas` and backed up with it.
//!
//! Everything goes through the command lines, as people use them.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Ended, Running, program};

/// The first operator.
pub const OPERATOR: &str = "exploitant";
const OPERATOR_PASSWORD: &str = "phrase de l'exploitant";
/// Who restores.
pub const PERSON: &str = "anna";
const PERSON_PASSWORD: &str = "phrase de la cliente";
const PASSPHRASE: &str = "une phrase secrète assez longue";
/// Sources on the order form; each machine reads one.
const SOURCES: [&str; 2] = ["premier", "second"];

/// What a run that got its receipt says of itself.
#[derive(Debug, Clone)]
pub struct Committed {
    pub snapshot: String,
    pub receipt: String,
    pub changed_bytes: u64,
    pub read_bytes: u64,
    pub laid_bytes: u64,
}

/// A machine of the customer, with its state and its one source.
pub struct Machine {
    folder: PathBuf,
    source_name: &'static str,
    secrets: PathBuf,
    url: String,
    fingerprint: String,
}

/// The provider's server and the first machine. Everything ends and goes with it.
pub struct World {
    server: Option<Running>,
    server_folder: PathBuf,
    machine: Machine,
    scratch: TempDir,
    kind: &'static str,
    history_days: u32,
}

/// Longer than any fixture will be old.
const HISTORY_DAYS: u32 = 3_650;

/// A program by another clock; time goes on for it as for others. What `faketime` would set is set here, without a process of its own between.
fn at(shift: &str, program: &Path) -> Command {
    let set = Ended::of(Command::new("faketime").args(["-f", shift, "env"])).expect(&[0]).stdout;
    let library = set.lines().find_map(|line| line.strip_prefix("LD_PRELOAD=")).expect("faketime loads a library");
    let mut command = Command::new(program);
    command.env("LD_PRELOAD", library).env("FAKETIME", shift).env("DONT_FAKE_MONOTONIC", "1");
    command
}

impl World {
    /// A server in the scratch folder, one machine, nothing backed up.
    pub fn new() -> Self {
        Self::in_scratch("files", HISTORY_DAYS)
    }

    /// The same with sources of this kind.
    pub fn of_kind(kind: &'static str) -> Self {
        Self::in_scratch(kind, HISTORY_DAYS)
    }

    /// The same with files, and a history of so many days.
    pub fn with_history(days: u32) -> Self {
        Self::in_scratch("files", days)
    }

    fn in_scratch(kind: &'static str, history_days: u32) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let server = scratch.path().join("server");
        Self::make(scratch, server, kind, history_days)
    }

    /// What [`Self::archive`] made, as it was, in another folder and on another port; the server does not run yet.
    pub fn of_archive(archive: &Path) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        Ended::of(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(scratch.path())).expect(&[0]);
        let of_archive = |name: &str| std::fs::read_to_string(scratch.path().join(name)).unwrap();
        let (old_port, fingerprint) = (of_archive("port"), of_archive("fingerprint"));
        let port = free_port();
        for file in ["server/server.toml", "machine-1/state/identity.toml"] {
            let text = of_archive(file);
            let moved = text.replace(&format!("127.0.0.1:{old_port}"), &format!("127.0.0.1:{port}"));
            assert_ne!(text, moved, "{file} names no port");
            std::fs::write(scratch.path().join(file), moved).unwrap();
        }
        let machine = Machine {
            folder: scratch.path().join("machine-1"),
            source_name: SOURCES[0],
            secrets: scratch.path().join("secrets"),
            url: format!("https://127.0.0.1:{port}"),
            fingerprint,
        };
        Self {
            server: None,
            server_folder: scratch.path().join("server"),
            machine,
            scratch,
            kind: "files",
            history_days: HISTORY_DAYS,
        }
    }

    /// Packs the stopped server, the machine's state without its source, and the secrets.
    pub fn archive(&self, archive: &Path) {
        assert!(self.server.is_none(), "the server runs");
        let port = self.machine.url.rsplit(':').next().unwrap();
        std::fs::write(self.scratch.path().join("port"), port).unwrap();
        std::fs::write(self.scratch.path().join("fingerprint"), &self.machine.fingerprint).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["--exclude=machine-1/source", "--exclude=*.lock", "--numeric-owner", "-czf"]).arg(archive);
        tar.arg("-C").arg(self.scratch.path()).args(["server", "machine-1", "secrets", "port", "fingerprint"]);
        Ended::of(&mut tar).expect(&[0]);
    }

    /// The same with the server's folder elsewhere.
    pub fn with_server_in(folder: &Path) -> Self {
        Self::make(tempfile::tempdir().unwrap(), folder.to_owned(), "files", HISTORY_DAYS)
    }

    fn make(scratch: TempDir, server_folder: PathBuf, kind: &'static str, history_days: u32) -> Self {
        let secrets = scratch.path().join("secrets");
        std::fs::create_dir(&secrets).unwrap();
        for (name, secret) in [("operator", OPERATOR_PASSWORD), ("person", PERSON_PASSWORD), ("passphrase", PASSPHRASE)]
        {
            std::fs::write(secrets.join(name), secret).unwrap();
        }
        // The port stays the same when the server is started again: agents know it.
        let port = free_port();
        let made = Ended::of(
            Command::new(program("dobaas-server"))
                .args(["--json", "init", "--site", "Essai", "--operator", OPERATOR, "--listen"])
                .arg(format!("127.0.0.1:{port}"))
                .arg(&server_folder),
        );
        let made = made.expect(&[0]).document();
        let machine = Machine {
            folder: scratch.path().join("machine-1"),
            source_name: SOURCES[0],
            secrets,
            url: format!("https://127.0.0.1:{port}"),
            fingerprint: text(&made, "fingerprint"),
        };
        let mut world = Self { scratch, server: None, server_folder, machine, kind, history_days };
        world.start_server();
        world.first_login(&text(&made, "default_password"));
        world.order();
        world.enroll(&world.machine);
        world
    }

    /// Starts the server and waits until it listens.
    pub fn start_server(&mut self) {
        let mut command = Command::new(program("dobaas-server"));
        let ended = self.start_server_by(command.arg("serve").arg(self.server_folder.clone()));
        assert!(ended.is_none(), "the server does not start: {}", ended.unwrap().stderr);
    }

    /// The same under limits as `prlimit` takes them; how it ended if it does not start.
    pub fn start_server_under(&mut self, limits: &[&str]) -> Option<Ended> {
        let mut command = Command::new("prlimit");
        self.start_server_by(
            command.args(limits).arg(program("dobaas-server")).arg("serve").arg(self.server_folder.clone()),
        )
    }

    /// The same by a clock that is so far from the true one, as `faketime` takes it.
    pub fn start_server_at(&mut self, shift: &str) -> Option<Ended> {
        let mut command = at(shift, &program("dobaas-server"));
        self.start_server_by(command.arg("serve").arg(self.server_folder.clone()))
    }

    fn start_server_by(&mut self, command: &mut Command) -> Option<Ended> {
        let server = Running::start(command);
        if server.line_with("listening").is_none() {
            return Some(server.wait());
        }
        self.server = Some(server);
        None
    }

    /// The server's process.
    pub fn server_id(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// `kill -9`.
    pub fn kill_server(&mut self) {
        let ended = self.server.take().unwrap().kill();
        assert!(!ended.stderr.contains("panicked at"), "{}", ended.stderr);
    }

    /// Stops the server as a service manager does; its log.
    pub fn stop_server(&mut self) -> String {
        self.server.take().unwrap().stop().expect(&[0]).stderr
    }

    /// The server's own command of this name, on its folder.
    pub fn server_command(&self, name: &str) -> Ended {
        self.server_command_with(name, &[])
    }

    /// The same with options.
    pub fn server_command_with(&self, name: &str, options: &[&str]) -> Ended {
        Ended::of(Command::new(program("dobaas-server")).arg(name).arg(&self.server_folder).args(options))
    }

    /// The server's whole folder.
    pub fn server_folder(&self) -> &Path {
        &self.server_folder
    }

    /// The object store.
    pub fn store(&self) -> PathBuf {
        self.server_folder.join("store")
    }

    /// The folder of the catalogs.
    pub fn catalogs(&self) -> PathBuf {
        self.server_folder.join("catalogs")
    }

    /// Keeps a copy of the stopped server's folder.
    pub fn keep(&self) {
        self.copy(&self.server_folder, &self.scratch.path().join("kept"));
    }

    /// Puts the stopped server's folder back as it was kept.
    pub fn put_back(&self) {
        std::fs::remove_dir_all(&self.server_folder).unwrap();
        self.copy(&self.scratch.path().join("kept"), &self.server_folder);
    }

    fn copy(&self, from: &Path, to: &Path) {
        assert!(self.server.is_none(), "the server runs");
        Ended::of(Command::new("cp").arg("-a").args([from, to])).expect(&[0]);
    }

    /// A place for files of the proof.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The first machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// One more machine, with the second source of the order form.
    pub fn second_machine(&self) -> Machine {
        let first = &self.machine;
        let machine = Machine {
            folder: self.scratch.path().join("machine-2"),
            source_name: SOURCES[1],
            secrets: first.secrets.clone(),
            url: first.url.clone(),
            fingerprint: first.fingerprint.clone(),
        };
        self.enroll(&machine);
        machine
    }

    /// The operator logs in with a default password and chooses the own one.
    pub fn first_login(&self, default_password: &str) {
        let secret = |name: &str| self.machine.secrets.join(name);
        let (password, new_password) = (secret("operator-default"), secret("operator"));
        std::fs::write(&password, default_password).unwrap();
        Ended::of(self.login(&password).arg("--new-password-file").arg(new_password)).expect(&[0]);
    }

    /// The order form and the person's account.
    fn order(&self) {
        let sources = SOURCES.map(|name| format!("--source={}:{name}", self.kind));
        for command in [
            &["customer", "create", "C1", "Société d'essai"][..],
            &[
                "subscription",
                "create",
                "BC1",
                "--customer=C1",
                "--volume=100Go",
                &format!("--history={}", self.history_days),
                &sources[0],
                &sources[1],
            ],
        ] {
            Ended::of(&mut self.admin(command)).expect(&[0]);
        }
        let account = ["account", "create", PERSON, "--subscription=BC1", "--role=admin"];
        let account = Ended::of(&mut self.admin(&account)).expect(&[0]).document();
        std::fs::write(self.machine.secrets.join("person-default"), text(&account, "default_password")).unwrap();
    }

    /// The operator's login, for a moment by the server's clock.
    fn login(&self, password: &Path) -> Command {
        let mut login = self.admin(&["login", "--identifier", OPERATOR]);
        login.args(["--server", &self.machine.url, "--fingerprint", &self.machine.fingerprint]);
        login.arg("--password-file").arg(password);
        login
    }

    fn log_in(&self) {
        Ended::of(&mut self.login(&self.machine.secrets.join("operator"))).expect(&[0]);
    }

    /// A command of the operator.
    pub fn operator(&self, arguments: &[&str]) -> Ended {
        self.log_in();
        Ended::of(&mut self.admin(arguments))
    }

    /// The person forgot the password: an operator gives a default one, and `own` is the one that the person chooses at the next restore.
    pub fn reset_password(&self, own: &str) {
        let check = ["--check-method=call", "--check-reference=T-1"];
        let reset =
            self.operator(&[&["account", "reset-password", PERSON][..], &check].concat()).expect(&[0]).document();
        std::fs::write(self.machine.secrets.join("person-default"), text(&reset, "default_password")).unwrap();
        self.machine.remember_password(own);
    }

    /// The jobs of a night, each to its end or its refusal; how they ended.
    pub fn night(&self) -> Vec<(&'static str, String)> {
        self.log_in();
        let ended = |job: &str| {
            let status = Ended::of(&mut self.admin(&["upkeep", "status", "BC1"])).expect(&[0]).document();
            let found = status["jobs"].as_array().unwrap().iter().find(|known| known["job"] == job).unwrap().clone();
            let word = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
            (found["ended_at"].clone(), format!("{} {}", word("error"), word("outcome")).trim_start().to_owned())
        };
        let one = |job| {
            let before = ended(job);
            Ended::of(&mut self.admin(&["upkeep", "run", job, "BC1"])).expect(&[0]);
            for _ in 0..100 {
                let now = ended(job);
                if now.0 != before.0 {
                    return (job, now.1);
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            (job, "nothing".to_owned())
        };
        ["expire", "mark", "purge", "compact", "scrub"].map(one).into()
    }

    fn admin(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("dobaas-admin"));
        command.arg("--json").arg("--state").arg(self.scratch.path().join("admin")).args(arguments);
        command
    }

    /// Sets up a machine without anybody at it: a one-use token, the passphrase from a file.
    fn enroll(&self, machine: &Machine) {
        let token = Ended::of(&mut self.admin(&["agent", "token", "BC1"])).expect(&[0]).document();
        let path = machine.secrets.join("token");
        std::fs::write(&path, text(&token, "token")).unwrap();
        std::fs::create_dir_all(machine.source()).unwrap();
        let mut setup = machine.agent(&["setup", "--source", machine.source_name]);
        setup.args(["--server", &machine.url, "--fingerprint", &machine.fingerprint]);
        setup.arg("--path").arg(machine.source()).arg("--token-file").arg(path);
        setup.arg("--passphrase-file").arg(machine.secrets.join("passphrase"));
        setup.arg("--recovery-key-out").arg(machine.folder.join("recovery-key"));
        Ended::of(&mut setup).expect(&[0]);
    }
}

impl Machine {
    /// What is backed up; the proof makes it.
    pub fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    /// What the agent keeps of itself.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("dobaas"));
        command.env_remove("DOBAAS_CONFIG").arg("--json").arg("--state").arg(self.state()).args(arguments);
        command
    }

    /// One run.
    pub fn backup(&self) -> Ended {
        self.start_backup().wait()
    }

    /// One run under limits as `prlimit` takes them.
    pub fn backup_under(&self, limits: &[&str]) -> Ended {
        let agent = self.agent(&["backup"]);
        let mut command = Command::new("prlimit");
        Ended::of(command.env_remove("DOBAAS_CONFIG").args(limits).arg(agent.get_program()).args(agent.get_args()))
    }

    /// One run by a clock that is so far from the true one, as `faketime` takes it.
    pub fn backup_at(&self, shift: &str) -> Ended {
        let agent = self.agent(&["backup"]);
        Ended::of(at(shift, Path::new(agent.get_program())).env_remove("DOBAAS_CONFIG").args(agent.get_args()))
    }

    /// What the customer keeps to themselves: a name for each, and the secret.
    pub fn secrets(&self) -> Vec<(&'static str, String)> {
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap().trim().to_owned();
        vec![
            ("the passphrase", read(self.secrets.join("passphrase"))),
            ("the password of a person", read(self.secrets.join("person"))),
            ("the recovery key", read(self.folder.join("recovery-key"))),
        ]
    }

    /// The password that the person gives from now on, or chooses where the old one is a default one.
    pub fn remember_password(&self, own: &str) {
        std::fs::write(self.secrets.join("person"), own).unwrap();
    }

    /// The person changes their own password into `new`, and gives that one from now on if it was taken.
    pub fn change_password(&self, new: &str) -> Ended {
        let (old, new_file) = (self.secrets.join("person"), self.secrets.join("person-new"));
        std::fs::write(&new_file, new).unwrap();
        let mut command = self.agent(&["password", "--identifier", PERSON, "--password-file"]);
        let ended = Ended::of(command.arg(&old).arg("--new-password-file").arg(new_file));
        if ended.code() == 0 {
            self.remember_password(new);
        }
        ended
    }

    /// One run on a machine where no program is found by its name.
    pub fn backup_without_tools(&self) -> Ended {
        Ended::of(self.agent(&["backup"]).env("PATH", "/absent"))
    }

    /// Starts a run.
    pub fn start_backup(&self) -> Running {
        Running::start(&mut self.agent(&["backup"]))
    }

    /// Restores the source as a snapshot has it, with everything that needs a flag, to a new folder; read it at
    /// [`Self::restored`].
    pub fn restore(&self, snapshot: &str, target: &Path) -> Ended {
        self.restore_with(&["--devices", "--privileges"], snapshot, target)
    }

    /// The same with options of the proof's choice.
    pub fn restore_with(&self, options: &[&str], snapshot: &str, target: &Path) -> Ended {
        self.restore_path(options, snapshot, target, &self.source())
    }

    /// The same for what was backed up at `path`.
    pub fn restore_path(&self, options: &[&str], snapshot: &str, target: &Path, path: &Path) -> Ended {
        let mut command = self.agent(&["restore", "--source", self.source_name]);
        command.args(options).args(["--at", snapshot, "--identifier", PERSON]);
        let (default, own) = (self.secrets.join("person-default"), self.secrets.join("person"));
        if default.exists() {
            command.arg("--password-file").arg(&default).arg("--new-password-file").arg(own);
        } else {
            command.arg("--password-file").arg(own);
        }
        command.arg("--passphrase-file").arg(self.secrets.join("passphrase")).arg("--to").arg(target).arg(path);
        let ended = Ended::of(&mut command);
        if ended.code() != 12 && default.exists() {
            std::fs::remove_file(default).unwrap();
        }
        ended
    }

    /// Where [`Self::restore`] puts the source below its target.
    pub fn restored(&self, target: &Path) -> PathBuf {
        target.join("source")
    }
}

impl Committed {
    /// What a run says in its summary.
    pub fn of(ended: &Ended) -> Self {
        let summary =
            ended.events().into_iter().find(|event| event["event"] == "summary").expect("a run ends with a summary");
        let number = |name: &str| summary[name].as_u64().unwrap();
        Self {
            snapshot: text(&summary, "snapshot"),
            receipt: text(&summary, "receipt"),
            changed_bytes: number("changed_bytes"),
            read_bytes: number("read_bytes"),
            laid_bytes: number("laid_bytes"),
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn text(document: &Value, name: &str) -> String {
    document[name].as_str().unwrap_or_else(|| panic!("no {name} in {document}")).to_owned()
}
