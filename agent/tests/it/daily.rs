//! What people do every day, through the real programs: back up, look, take back, here and on a blank machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use agent::state::journal::RunLock;
use agent::state::runs::Runs;

use crate::site::{IDENTIFIER, Machine, SOURCE, Site};
use crate::support::campaign::Campaign;

/// A site with one machine that is set up for a small tree.
struct Daily {
    site: Site,
    machine: Machine,
    recovery: String,
}

impl Daily {
    fn start() -> Self {
        let site = Site::start();
        let machine = site.machine("a");
        let data = site.path("data");
        std::fs::create_dir_all(data.join("clients")).unwrap();
        std::fs::write(data.join("clients/duval.txt"), "facture n° 12").unwrap();
        std::fs::write(data.join("été.odt"), vec![7; 400_000]).unwrap();
        let recovery = site.set_up(&machine, &["--source", SOURCE, "--path", data.to_str().unwrap()]);
        Self { site, machine, recovery }
    }

    /// Options of a person who reads on this machine.
    fn person(&self) -> Vec<String> {
        let of = |name: &str| self.site.path(name).display().to_string();
        let typed =
            ["--identifier", IDENTIFIER, "--password-file", &of("password"), "--passphrase-file", &of("passphrase")];
        typed.map(str::to_owned).to_vec()
    }

    /// Options of a person on a machine without agent.
    fn stranger(&self) -> Vec<String> {
        let server =
            ["--server".to_owned(), self.site.url(), "--fingerprint".to_owned(), self.site.fingerprint().to_owned()];
        [server.to_vec(), self.person()].concat()
    }
}

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

fn words<'a>(typed: &[&'a str], more: &'a [String]) -> Vec<&'a str> {
    typed.iter().copied().chain(more.iter().map(String::as_str)).collect()
}

/// Relative paths and contents below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(at).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_day_at_the_office_backs_up_shows_and_takes_back() {
    let daily = Daily::start();
    let out = done(&mut daily.machine.dobaas(&["sauvegarder"]));
    assert!(out.contains("bureautique : 2 fichiers protégés (400 ko) en"), "{out}");
    assert!(out.contains("Aujourd'hui"), "{out}");
    let out = done(&mut daily.machine.dobaas(&["etat"]));
    assert!(out.contains("Menuiserie Duval") && out.contains("Lille, FR") && out.contains("complète"), "{out}");
    assert!(out.contains("à l'instant"), "{out}");
    let data = daily.site.path("data");
    std::fs::write(data.join("clients/duval.txt"), "facture n° 13").unwrap();
    let out = done(&mut daily.machine.dobaas(&["backup", SOURCE, "--json"]));
    let summary: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((summary["event"].as_str(), summary["complete"].as_bool()), (Some("summary"), Some(true)));
    assert_eq!(summary["changed_bytes"], 14, "what did not change is not sent again, even if it was read again");
    let out = done(&mut daily.machine.dobaas(&["dates", "--json"]));
    let dates: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(dates["sources"][0]["snapshots"].as_array().unwrap().len(), 2);
    assert_eq!(dates["sources"][0]["snapshots"][0]["snapshot"], summary["snapshot"]);

    let target = daily.site.path("back");
    let (to, file) = (target.display().to_string(), data.join("clients/duval.txt").display().to_string());
    let person = daily.person();
    let out = done(&mut daily.machine.dobaas(&words(&["restaurer", &file, "--at", "@1", "--to", &to], &person)));
    assert!(out.contains("1 fichier restauré et vérifié"), "{out}");
    assert_eq!(std::fs::read_to_string(target.join("duval.txt")).unwrap(), "facture n° 12");
    let verified = || {
        let status: serde_json::Value =
            serde_json::from_str(&done(&mut daily.machine.dobaas(&["status", "--json"]))).unwrap();
        status["sources"][0]["verified_at"].is_string()
    };
    assert!(!verified(), "one file is not the snapshot");
    let whole = daily.site.path("whole").display().to_string();
    done(&mut daily.machine.dobaas(&words(&["restore", "--to", &whole], &person)));
    assert!(verified(), "a whole restore verifies");
}

#[test]
fn a_blank_machine_lists_and_restores_with_the_passphrase_or_the_recovery_key() {
    let daily = Daily::start();
    done(&mut daily.machine.dobaas(&["backup"]));
    let blank = daily.site.machine("blank");
    let stranger = daily.stranger();
    let out = done(&mut blank.dobaas(&words(&["dates"], &stranger)));
    assert!(out.contains(SOURCE) && out.contains("@0"), "{out}");
    let data = daily.site.path("data");
    let wanted = files(&data);
    let back = |name: &str, options: &[String]| {
        let to = daily.site.path(name);
        let (data, shown) = (data.display().to_string(), to.display().to_string());
        let result = ended(&mut blank.dobaas(&words(&["restore", &data, "--to", &shown], options)));
        (result, to.join("data"))
    };
    let (result, folder) = back("by-passphrase", &stranger);
    assert_eq!(result.0, 0, "{result:?}");
    assert_eq!(files(&folder), wanted);
    let key = daily.site.secret("key", &daily.recovery.to_lowercase());
    let by_key: Vec<String> =
        stranger[..stranger.len() - 2].iter().cloned().chain(["--recovery-key-file".into(), key]).collect();
    let (result, folder) = back("by-key", &by_key);
    assert_eq!(result.0, 0, "{result:?}");
    assert_eq!(files(&folder), wanted);
    let wrong = daily.site.secret("wrong", "pas la bonne phrase");
    let mut options = stranger.clone();
    *options.last_mut().unwrap() = wrong;
    assert_eq!(back("nothing", &options).0.0, 12);
    assert!(!daily.site.path("nothing").exists() && !blank.state().exists(), "nothing was written");
}

#[test]
fn a_second_run_of_the_same_source_is_told_that_it_is_busy() {
    let daily = Daily::start();
    let folder = daily.machine.state().join("sources").join("07".repeat(16));
    std::fs::create_dir_all(&folder).unwrap();
    let _lock = RunLock::take(&folder).unwrap();
    let (exit, _, err) = ended(&mut daily.machine.dobaas(&["backup"]));
    assert_eq!(exit, 11, "{err}");
    assert!(err.contains("déjà en cours de sauvegarde"), "{err}");
}

#[test]
fn a_killed_run_is_not_shown_as_running() {
    let daily = Daily::start();
    done(&mut daily.machine.dobaas(&["backup"]));
    let folder = daily.machine.state().join("sources").join("07".repeat(16));
    let now = jiff::Timestamp::now();
    let mut runs = Runs::load(&folder).unwrap().unwrap();
    (runs.running_since, runs.next_at) = (Some(now), None);
    runs.store(&folder).unwrap();
    let service = || {
        let out = done(&mut daily.machine.dobaas(&["status", "--json"]));
        let status: serde_json::Value = serde_json::from_str(&out).unwrap();
        (status["sources"][0]["service"].clone(), status["sources"][0]["running_since"].is_string())
    };
    let lock = RunLock::take(&folder).unwrap();
    assert_eq!(service(), ("running".into(), true), "somebody holds the source");
    drop(lock);
    assert_eq!(service(), ("stopped".into(), false), "whoever began it is gone");
}

#[test]
fn a_backup_of_an_unknown_source_or_a_missing_folder_makes_no_snapshot() {
    let daily = Daily::start();
    let (exit, _, err) = ended(&mut daily.machine.dobaas(&["backup", "compta"]));
    assert_eq!(exit, 2, "{err}");
    std::fs::rename(daily.site.path("data"), daily.site.path("elsewhere")).unwrap();
    let (exit, _, err) = ended(&mut daily.machine.dobaas(&["backup"]));
    assert_eq!(exit, 1, "{err}");
    assert!(err.contains("ne peut pas être lu"), "{err}");
    let out = done(&mut daily.machine.dobaas(&["dates"]));
    assert!(!out.contains("@0"), "{out}");
}

#[test]
fn nothing_is_overwritten_unless_told_and_what_stays_is_listed() {
    let daily = Daily::start();
    done(&mut daily.machine.dobaas(&["backup"]));
    let file = daily.site.path("data/clients/duval.txt");
    std::fs::write(&file, "perdu").unwrap();
    let (path, person) = (file.display().to_string(), daily.person());
    let (exit, _, err) = ended(&mut daily.machine.dobaas(&words(&["restore", &path], &person)));
    assert_eq!(exit, 3, "{err}");
    assert!(err.contains("existe déjà"), "{err}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "perdu");
    let out =
        done(&mut daily.machine.dobaas(&words(&["restore", &path, "--overwrite", "always", "--dry-run"], &person)));
    assert!(out.contains("À blanc : 1 fichier"), "{out}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "perdu");
    done(&mut daily.machine.dobaas(&words(&["restore", &path, "--overwrite", "always"], &person)));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "facture n° 12");
}

#[test]
fn a_point_that_does_not_exist_says_so() {
    let daily = Daily::start();
    done(&mut daily.machine.dobaas(&["backup"]));
    let (to, person) = (daily.site.path("back").display().to_string(), daily.person());
    let restore =
        |point: &str| ended(&mut daily.machine.dobaas(&words(&["restore", "--to", &to, "--at", point], &person)));
    for (point, exit, text) in [
        ("hier matin", 2, "ne désigne pas"),
        ("01/01/2020", 1, "n'a pas de sauvegarde"),
        ("@5", 1, "n'a pas de sauvegarde"),
    ] {
        let (found, _, err) = restore(point);
        assert_eq!(found, exit, "{point}: {err}");
        assert!(err.contains(text), "{point}: {err}");
    }
    let (exit, _, err) = restore("31/12/2999");
    assert_eq!(exit, 0, "{err}");
    assert!(err.contains("Pas de sauvegarde le 31/12/2999"), "{err}");
}

#[test]
fn an_enrolled_machine_browses_names_without_a_secret_and_content_with_one() {
    let daily = Daily::start();
    done(&mut daily.machine.dobaas(&["backup"]));
    let data = daily.site.path("data");
    let (clients, invoice) = (data.join("clients"), data.join("clients/duval.txt"));
    std::fs::write(&invoice, "facture n° 13 bis").unwrap();
    std::fs::write(clients.join("martin.txt"), "devis").unwrap();
    done(&mut daily.machine.dobaas(&["backup"]));
    let (folder, file) = (clients.display().to_string(), invoice.display().to_string());
    let names = |typed: &[&str]| done(&mut daily.machine.dobaas(typed));

    let out = names(&["ls", &folder]);
    assert_eq!(out.lines().count(), 2);
    assert!(out.starts_with("-rw-r--r--") && out.contains("duval.txt"), "{out}");
    assert_eq!(names(&["ls", &folder, "--at", "@1"]).lines().count(), 1);
    assert!(names(&["find", "MARTIN"]).contains("martin.txt"));
    let out = names(&["versions", &file, "--json"]);
    let versions: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(versions.len(), 3, "two versions and the summary: {out}");
    assert_eq!(versions[1]["entry"]["size"], 18);
    let out = names(&["diff", "@1"]);
    assert!(out.contains(&format!("+ {folder}/martin.txt")) && out.contains(&format!("M {file}")), "{out}");

    let person = daily.person();
    let out = done(&mut daily.machine.dobaas(&words(&["dump", &file, "--at", "@1"], &person)));
    assert_eq!(out, "facture n° 12");
    let out = done(&mut daily.machine.dobaas(&words(&["verifier"], &person)));
    assert!(out.contains("Tout est bon : 3 fichiers relus et vérifiés"), "{out}");
    for (typed, exit, text) in [
        (&["ls", "/nulle/part"][..], 1, "n'existe pas dans cette sauvegarde"),
        (&["versions", "/nulle/part"], 1, "n'existe pas"),
        (&["ls", "/a/../b"], 2, "sans « .. »"),
        (&["ls", "--source", "compta"], 2, "compta"),
    ] {
        let (found, _, err) = ended(&mut daily.machine.dobaas(typed));
        assert_eq!(found, exit, "{typed:?}: {err}");
        assert!(err.contains(text), "{typed:?}: {err}");
    }
}

#[test]
fn a_file_that_cannot_be_read_makes_the_backup_incomplete_and_is_listed() {
    let daily = Daily::start();
    let hidden = daily.site.path("data/secret.txt");
    std::fs::write(&hidden, "x").unwrap();
    // Root reads everything, so the proof needs a process that may not.
    let mut command = daily.machine.dobaas(&["backup"]);
    let path = hidden.display().to_string();
    std::fs::set_permissions(&hidden, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    if std::fs::read(&hidden).is_ok() {
        use std::os::unix::process::CommandExt;
        let own = |folder: &Path| std::process::Command::new("chown").args(["-R", "65534:65534"]).arg(folder).status();
        assert!(own(daily.site.folder()).unwrap().success());
        std::os::unix::fs::chown(&hidden, Some(0), Some(0)).unwrap();
        command.uid(65_534).gid(65_534);
    }
    let (exit, out, err) = ended(&mut command);
    assert_eq!(exit, 3, "{out}{err}");
    assert!(err.contains(&format!("{path} : accès refusé")), "{err}");
    assert!(out.starts_with("Incomplet : bureautique"), "{out}");
}

#[test]
fn a_server_that_went_back_in_time_is_reported() {
    let mut campaign = Campaign::begin("C22", "older server", 3);
    let daily = Daily::start();
    done(&mut daily.machine.dobaas(&["backup"]));
    let before = daily.site.copy_server();
    for later in 0..campaign.rounds() {
        std::fs::write(daily.site.path("data/clients/duval.txt"), format!("facture n° {}", 13 + later)).unwrap();
        done(&mut daily.machine.dobaas(&["backup"]));
        campaign.count("snapshots that are hidden", 1);
    }
    done(&mut daily.machine.dobaas(&["status"]));
    let settings = format!("server = '{}'", daily.site.serve(&before));
    std::fs::write(daily.machine.state().with_extension("toml"), settings).unwrap();
    let (exit, out, err) = ended(&mut daily.machine.dobaas(&["status"]));
    assert_eq!(exit, 1, "{out}{err}");
    assert!(err.contains("ATTENTION") && err.contains("plus ancien que les reçus"), "{err}");
    campaign.pass();
}
