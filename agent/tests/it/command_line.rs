//! The program as a shell sees it: languages, exit codes, what it prints and where. No server is needed here.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn dobaas(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dobaas"));
    command
        .env_clear()
        .env("LANG", "C.UTF-8")
        .env("DOBAAS_STATE", folder.path().join("state"))
        .env("DOBAAS_CONFIG", folder.path().join("agent.toml"))
        .stdin(Stdio::null());
    command
}

fn run(folder: &TempDir, typed: &[&str]) -> (i32, String, String) {
    ended(dobaas(folder).args(typed).output().unwrap())
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_is_french_unless_something_says_otherwise() {
    let folder = TempDir::new().unwrap();
    let (exit, out, err) = run(&folder, &["--help"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    assert!(out.contains("Utilisation : dobaas") && out.contains("Commandes:"), "{out}");
    let english = ["Usage: dobaas", "Commands:"];
    let (_, out, _) = run(&folder, &["--lang", "en", "--help"]);
    assert!(english.iter().all(|text| out.contains(text)), "{out}");
    let (_, out, _) = ended(dobaas(&folder).env("DOBAAS_LANG", "en").args(["setup", "--help"]).output().unwrap());
    assert!(out.contains("Usage: dobaas setup"), "{out}");
    let (_, out, _) = ended(dobaas(&folder).env("LANG", "en_GB.UTF-8").arg("--help").output().unwrap());
    assert!(out.contains("Usage: dobaas"), "{out}");
    let (exit, out, _) = run(&folder, &["--version"]);
    assert_eq!((exit, out.as_str()), (0, "dobaas 0.0.0\n"));
}

#[test]
fn what_cannot_be_understood_exits_with_2() {
    let folder = TempDir::new().unwrap();
    let key = ["key", "change", "--password-file", "a", "--password-fd", "3"];
    for typed in [&[][..], &["etet"], &["status", "--jsn"], &["completions", "tcsh"], &key] {
        let (exit, out, err) = run(&folder, typed);
        assert_eq!((exit, out.as_str()), (2, ""), "{typed:?}");
        assert!(err.contains("dobaas COMMANDE --help"), "{err}");
    }
    std::fs::write(folder.path().join("agent.toml"), "serveur = 'https://a.fr'").unwrap();
    let (exit, _, err) = run(&folder, &["status"]);
    assert_eq!(exit, 2);
    assert!(err.contains("« server »"), "{err}");
}

#[test]
fn a_machine_that_was_never_set_up_exits_with_10() {
    let folder = TempDir::new().unwrap();
    for typed in [&["status"][..], &["etat"], &["key", "change"], &["sources", "set", "x", "--path", "/"]] {
        let (exit, out, err) = run(&folder, typed);
        assert_eq!((exit, out.as_str()), (10, ""), "{typed:?}: {err}");
        assert!(err.contains("dobaas setup"), "{err}");
    }
    let (exit, out, _) = run(&folder, &["status", "--json"]);
    let event: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, event["event"].as_str(), event["exit"].as_i64()), (10, Some("error"), Some(10)));
}

#[test]
fn an_identity_that_others_can_read_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state/identity.toml");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "x").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (exit, _, err) = run(&folder, &["status"]);
    assert_eq!(exit, 1);
    assert!(err.contains("chmod 600"), "{err}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (exit, _, err) = run(&folder, &["status"]);
    assert_eq!(exit, 1);
    assert!(err.contains("endommagé"), "{err}");
}

#[test]
fn a_setup_says_what_is_missing_before_it_asks_the_server() {
    let folder = TempDir::new().unwrap();
    let fingerprint = "ab".repeat(32);
    let server = ["--server", "https://127.0.0.1:9", "--fingerprint", &fingerprint];
    let check = |typed: &[&str], expected: i32, text: &str| {
        let (exit, _, err) = run(&folder, &[&["setup"], typed].concat());
        assert_eq!(exit, expected, "{typed:?}: {err}");
        assert!(err.contains(text), "{typed:?}: {err}");
    };
    check(&[], 2, "Personne n'a répondu");
    check(&["--server", "https://127.0.0.1:9", "--fingerprint", "abc"], 2, "empreinte");
    check(&["--source", "bureautique"], 2, "--path");
    check(&["--source", "bureautique", "--path", "/absent"], 2, "/absent");
    check(&[&server[..], &["--token-file", "x", "--identifier", "y"]].concat(), 2, "ne va pas avec");
    check(&server, 1, "Le serveur ne répond pas");
    assert!(!folder.path().join("state").exists(), "nothing was written");
}

#[test]
fn every_kind_is_listed_with_its_honest_level() {
    let folder = TempDir::new().unwrap();
    let (exit, out, _) = run(&folder, &["sources", "list"]);
    assert_eq!((exit, out.lines().count()), (0, 12));
    assert!(!out.contains('\u{a0}') && !out.contains('\u{202f}'), "plain spaces in a pipe");
    let (_, out, _) = run(&folder, &["sources", "list", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let on: Vec<&str> = document["kinds"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|kind| kind["level"] == "on")
        .map(|kind| kind["kind"].as_str().unwrap())
        .collect();
    assert_eq!(on, ["files", "virtual_disk"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = TempDir::new().unwrap();
    let mut child =
        dobaas(&folder).args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let (exit, _, err) = ended(child.wait_with_output().unwrap());
    assert_eq!((exit, err.as_str()), (0, ""));
}

#[test]
fn control_c_at_a_question_exits_with_130() {
    let folder = TempDir::new().unwrap();
    let mut child = dobaas(&folder).arg("setup").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Kept open: an end of input would be an answer too.
    let keyboard = child.stdin.take();
    let mut question = Vec::new();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    err.read_until(b':', &mut question).unwrap();
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(keyboard);
    let rest: Vec<String> = err.lines().map(Result::unwrap).collect();
    assert!(rest.join("\n").contains("Interrompu."), "{rest:?}");
}
