//! What the contract does not allow in one day, through the real programs, while the server's days pass: it waits and ends complete, or is
//! refused in words that say what to do.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use server::contract::amendment::FormChange;
use server::contract::quota::Policy;

use crate::oracle::{assert_same, listing};
use crate::site::{IDENTIFIER, Machine, SOURCE, Site};

/// Files of the source, and bytes of each.
const FILES: u64 = 100;
const FILE_BYTES: usize = 400_000;
/// Thousandths of the first backup that may change in a day: 2 MB.
const PER_MILLE: u32 = 50;
const ALLOWED_BYTES: u64 = FILES * FILE_BYTES as u64 * PER_MILLE as u64 / 1_000;
/// Files that change at once: 8 MB, four days of it.
const CHANGED: u64 = 20;

/// A machine with a first backup, under a policy.
struct Office {
    site: Site,
    machine: Machine,
}

impl Office {
    fn under(policy: Policy) -> Self {
        let site = Site::start();
        site.amend(FormChange { policy: Some(policy), per_mille: Some(PER_MILLE), ..FormChange::default() });
        let machine = site.machine("a");
        let office = Self { site, machine };
        std::fs::create_dir(office.data()).unwrap();
        (0..FILES).for_each(|file| office.write(file, 0));
        let path = office.data().display().to_string();
        office.site.set_up(&office.machine, &["--source", SOURCE, "--path", &path]);
        let (exit, out, err) = office.back_up();
        assert_eq!(exit, 0, "{out}{err}");
        office
    }

    fn data(&self) -> PathBuf {
        self.site.path("data")
    }

    /// Content that no other file and no other edition shares, and that does not compress.
    fn write(&self, file: u64, edition: u64) {
        let mut content = vec![0; FILE_BYTES];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&file.to_le_bytes()).update(&edition.to_le_bytes());
        hasher.finalize_xof().fill(&mut content);
        std::fs::write(self.data().join(format!("{file:03}.odt")), content).unwrap();
    }

    fn run(&self, typed: &[&str]) -> (i32, String, String) {
        ended(&mut self.machine.dobaas(typed))
    }

    fn back_up(&self) -> (i32, String, String) {
        self.run(&["backup"])
    }

    fn status(&self) -> Value {
        let (exit, out, err) = self.run(&["status", "--json"]);
        assert_eq!(exit, 0, "{out}{err}");
        serde_json::from_str(&out).unwrap()
    }

    /// What the server counts today.
    fn changed_today(&self) -> u64 {
        self.status()["today"]["counted_bytes"].as_u64().unwrap()
    }

    /// Takes a date back and compares it with the source as it is.
    fn restores(&self, at: &str) {
        let of = |name: &str| self.site.path(name).display().to_string();
        let to = of("back");
        let typed = ["restore", "--at", at, "--to", &to, "--identifier", IDENTIFIER];
        let secrets = ["--password-file", &of("password"), "--passphrase-file", &of("passphrase")];
        let (exit, out, err) = self.run(&[&typed[..], &secrets].concat());
        assert_eq!(exit, 0, "{out}{err}");
        let found = self.site.path("back").join(self.data().strip_prefix("/").unwrap());
        assert_same("restored", &listing(&self.data()), &listing(&found));
        std::fs::remove_dir_all(self.site.path("back")).unwrap();
    }
}

fn ended(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_change_of_four_days_waits_goes_on_by_itself_and_ends_complete() {
    let office = Office::under(Policy::Defer);
    office.site.pass_a_day();
    (0..CHANGED).for_each(|file| office.write(file, 1));
    let (mut days, mut most) = (0, 0);
    loop {
        days += 1;
        assert!(days <= 8, "the change never ends");
        let (exit, out, err) = office.back_up();
        let today = office.changed_today();
        assert!(today <= ALLOWED_BYTES, "{today} of {ALLOWED_BYTES} bytes on day {days}");
        most = most.max(today);
        if exit == 0 {
            break;
        }
        assert_eq!(exit, 3, "{out}{err}");
        assert!(out.starts_with("Incomplet : bureautique"), "{out}");
        for part in ["100 fichiers dans cette sauvegarde", "Le service continue de lui-même"] {
            assert!(out.contains(part), "no {part:?} in {out}");
        }
        assert!(out.contains("fichiers attendent (") || out.contains("1 fichier attend ("), "{out}");
        assert!(err.contains(".odt"), "what waits is listed: {err}");
        let status = office.status();
        let source = &status["sources"][0];
        assert_eq!((&source["newest_state"], &source["last_run"]["result"]), (&"partial".into(), &"deferred".into()));
        let (_, said, _) = office.run(&["status"]);
        assert!(said.contains("une partie attend un autre jour"), "{said}");
        // Nothing more goes in the same day, and nothing is lost by trying.
        let (again, out, err) = office.back_up();
        assert_eq!(again, 3, "{out}{err}");
        assert!(office.changed_today() <= ALLOWED_BYTES);
        office.site.pass_a_day();
    }
    assert!((4..=6).contains(&days) && most > ALLOWED_BYTES / 2, "{days} days, {most} bytes on the fullest");
    assert_eq!(office.status()["sources"][0]["newest_state"], "complete");
    office.restores("latest");
}

#[test]
fn a_refusal_says_used_and_allowed_since_when_and_whom_to_call() {
    let office = Office::under(Policy::Refuse);
    office.site.pass_a_day();
    (0..CHANGED).for_each(|file| office.write(file, 1));
    let (exit, out, err) = office.back_up();
    assert_eq!(exit, 13, "{out}{err}");
    for part in [
        "Envoi refusé : le volume de changements permis aujourd'hui est atteint (",
        " sur 2 Mo",
        "depuis le ",
        "Ce qui est déjà sauvegardé reste accessible",
        "Appelez votre prestataire : 01 02 03 04 05",
        "100 fichiers dans cette sauvegarde",
        "fichiers n'y sont",
    ] {
        assert!(format!("{out}{err}").contains(part), "no {part:?} in {out}{err}");
    }
    let source = &office.status()["sources"][0];
    assert_eq!((&source["newest_state"], &source["last_run"]["result"]), (&"partial".into(), &"refused".into()));
    assert!(office.changed_today() <= ALLOWED_BYTES);
}

#[test]
fn a_day_over_is_accepted_and_its_snapshot_is_shown_outside_the_guarantee() {
    let office = Office::under(Policy::Flag);
    office.site.pass_a_day();
    (0..CHANGED).for_each(|file| office.write(file, 1));
    let (exit, out, err) = office.back_up();
    assert_eq!(exit, 0, "{out}{err}");
    assert!(out.contains("8 Mo modifiés pour 2 Mo permis (400 %), au-delà du contrat"), "{out}");
    let (_, said, _) = office.run(&["status"]);
    assert!(said.contains("hors garantie") && said.contains("400 %"), "{said}");
    assert_eq!(office.status()["sources"][0]["newest_outside_guarantee"], true);
    office.restores("latest");
}
