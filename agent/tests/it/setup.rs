//! A machine becomes an agent, attended and unattended; keys change and are found again.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{ChildStderr, ChildStdin, Command, Stdio};

use crate::site::{IDENTIFIER, PASSPHRASE, PASSWORD, SOURCE, Site};

/// Exit code, standard output and standard error.
fn ended(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn done(command: &mut Command) -> String {
    let (exit, out, err) = ended(command);
    assert_eq!(exit, 0, "{out}{err}");
    out
}

#[test]
fn an_unattended_setup_enrolls_keeps_its_secrets_private_and_saves_the_set() {
    let site = Site::start();
    let machine = site.machine("a");
    let folder = site.path("data");
    std::fs::create_dir(&folder).unwrap();
    let recovery = site.set_up(&machine, &["--source", SOURCE, "--path", folder.to_str().unwrap()]);
    assert_eq!(recovery.split('-').count(), 14);
    assert_eq!(site.path("recovery").metadata().unwrap().mode() & 0o777, 0o600);
    let identity = machine.state().join("identity.toml");
    assert_eq!(identity.metadata().unwrap().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(identity).unwrap();
    for secret in [PASSWORD, PASSPHRASE, &recovery, &site.default_password, "AGE-SECRET-KEY"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let (exit, _, err) = ended(&mut machine.dobaas(&["setup", "--server", &site.url()]));
    assert_eq!(exit, 1);
    assert!(err.contains("déjà installée"), "{err}");
    site.stop();
}

#[test]
fn a_wrong_fingerprint_or_password_changes_nothing() {
    let site = Site::start();
    let machine = site.machine("a");
    let (url, wrong) = (site.url(), "ab".repeat(32));
    let password = site.secret("password", "pas le bon mot");
    let check = |fingerprint: &str, expected: i32, text: &str| {
        let typed = ["setup", "--server", &url, "--fingerprint", fingerprint, "--identifier", IDENTIFIER];
        let (exit, _, err) = ended(&mut machine.dobaas(&[&typed[..], &["--password-file", &password]].concat()));
        assert_eq!(exit, expected, "{err}");
        assert!(err.contains(text), "{err}");
    };
    check(&wrong, 1, "rien n'a été envoyé");
    check(site.fingerprint(), 12, "Identifiant ou mot de passe incorrect");
    assert!(!machine.state().exists());
}

#[test]
fn a_one_use_token_enrolls_a_second_machine_and_only_one() {
    let site = Site::start();
    site.set_up(&site.machine("a"), &[]);
    let machine = site.machine("b");
    let token = site.secret("token", &site.enrolment_token());
    let passphrase = site.path("passphrase").display().to_string();
    let url = site.url();
    let typed = ["setup", "--server", &url, "--fingerprint", site.fingerprint(), "--token-file", &token];
    let typed = [&typed[..], &["--passphrase-file", &passphrase, "--json"]].concat();
    let out = done(&mut machine.dobaas(&typed));
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["location"], "FR");
    let (exit, _, err) = ended(&mut site.machine("c").dobaas(&typed));
    assert_eq!(exit, 12, "{err}");
    assert!(!site.machine("c").state().exists());
}

#[test]
fn a_passphrase_changes_and_the_recovery_key_finds_the_way_back() {
    let site = Site::start();
    let machine = site.machine("a");
    let first = site.set_up(&machine, &[]);
    let password = site.path("password").display().to_string();
    let chosen = site.secret("chosen", "une autre phrase secrete");
    let again = site.secret("again", "encore une autre phrase");
    let (old, recovery) = (site.path("passphrase").display().to_string(), site.secret("first", &first));
    let out = |name: &str| site.path(name).display().to_string();
    let person = ["--identifier", IDENTIFIER, "--password-file", &password];
    let change =
        [&["key", "change"][..], &person, &["--passphrase-file", &old, "--new-passphrase-file", &chosen]].concat();
    let second = out("second");
    let changed = [&change[..], &["--rotate", "--recovery-key-out", &second]].concat();
    let text = done(&mut machine.dobaas(&changed));
    assert!(text.contains("génération 1"), "{text}");
    let (exit, _, err) = ended(&mut machine.dobaas(&[&change[..], &["--recovery-key-out", &out("unused")]].concat()));
    assert_eq!(exit, 12, "{err}");
    assert!(err.contains("n'ouvre pas vos sauvegardes"), "{err}");
    let recover = |key: &str, to: &str| {
        let typed = [&["key", "recover"][..], &person, &["--recovery-key-file", key, "--new-passphrase-file", &again]];
        ended(&mut machine.dobaas(&[&typed.concat()[..], &["--recovery-key-out", to]].concat()))
    };
    assert_eq!(recover(&recovery, &out("third")).0, 12, "the first recovery key was replaced");
    let (exit, text, err) = recover(&second, &out("third"));
    assert_eq!(exit, 0, "{err}");
    assert!(text.contains("génération 2"), "{text}");
}

/// A person at a keyboard: reads questions, types answers.
struct Typist {
    questions: BufReader<ChildStderr>,
    answers: ChildStdin,
    seen: String,
}

impl Typist {
    /// Waits for a question that holds `part`, and answers it.
    fn answer(&mut self, part: &str, answer: &str) {
        while !self.seen.contains(part) {
            let mut byte = [0];
            let read = self.questions.read(&mut byte).unwrap();
            assert_ne!(read, 0, "no question {part:?} after:\n{}", self.seen);
            self.seen.push(char::from(byte[0]));
        }
        self.seen.clear();
        writeln!(self.answers, "{answer}").unwrap();
    }
}

#[test]
fn a_person_is_led_through_the_setup_and_types_the_recovery_key_back() {
    let site = Site::start();
    let machine = site.machine("a");
    let folder = site.path("data");
    std::fs::create_dir(&folder).unwrap();
    let mut command = machine.dobaas(&["setup", "--lang", "en"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (questions, answers) = (BufReader::new(child.stderr.take().unwrap()), child.stdin.take().unwrap());
    let mut typist = Typist { questions, answers, seen: String::new() };
    typist.answer("https://host:port", &site.url());
    typist.answer("Fingerprint", site.fingerprint());
    typist.answer("Identifier", IDENTIFIER);
    typist.answer("Password", "not the right one");
    typist.answer("Password", &site.default_password);
    typist.answer("New password", &site.default_password);
    typist.answer("Once more", &site.default_password);
    typist.answer("New password", PASSWORD);
    typist.answer("Once more", PASSWORD);
    typist.answer("Chosen passphrase", "short");
    typist.answer("Once more", "short");
    typist.answer("Chosen passphrase", PASSPHRASE);
    typist.answer("Once more", PASSPHRASE);
    let mut shown = String::new();
    while shown.trim().split('-').count() != 14 {
        shown.clear();
        typist.questions.read_line(&mut shown).unwrap();
    }
    let key = shown.trim();
    typist.answer(
        "Type the recovery key back",
        &key.replacen(&key[..1], if key.starts_with('7') { "8" } else { "7" }, 1),
    );
    typist.answer("Type the recovery key back", &key.to_lowercase().replace('-', " "));
    typist.answer("Folder to back up", "/absent");
    typist.answer("Folder to back up", folder.to_str().unwrap());
    typist.answer("Folder to back up", "");
    typist.answer("Pattern to exclude", "*.tmp");
    typist.answer("Pattern to exclude", "");
    drop(typist.answers);
    let output = child.wait_with_output().unwrap();
    let mut rest = String::new();
    typist.questions.read_to_string(&mut rest).unwrap();
    assert_eq!(output.status.code(), Some(0), "{rest}");
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("This machine is enrolled") && out.contains("dobaas backup bureautique"), "{out}");
    assert!(machine.state().join("identity.toml").exists());
}
