//! The service as a process of its own against a real server: a run of its schedule, a missed one, a stop.

use std::time::Duration;

use agent::state::runs::Runs;
use common::id::{AgentId, SourceId};
use common::limits::{CATCH_UP_SPREAD_S, SCHEDULE_SPREAD_S_MAX};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::process::{Ended, Running};
use crate::site::{Machine, SOURCE, Site};
use crate::world::World;

/// Name of the source that is backed up by schedule.
const SCHEDULED: &str = "planifiee";

/// The id of a source that this agent backs up at the scheduled moment itself: machines are spread by their ids.
fn without_spread(agent: &AgentId) -> SourceId {
    let mut ids = (0..u64::MAX).map(|number| {
        let mut id = [1; 16];
        id[..8].copy_from_slice(&number.to_le_bytes());
        SourceId::new(id)
    });
    let spread = |source: &SourceId| {
        let hash = blake3::Hasher::new().update(agent.as_bytes()).update(source.as_bytes()).finalize();
        u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap())
    };
    let within = |source: &SourceId, range_s: i64| spread(source) % (range_s.unsigned_abs() + 1);
    // A moment of every minute by up to a quarter of it, one of a day, and a missed one from the start of the service.
    let at_once = |source: &SourceId| {
        within(source, 15) == 0 && within(source, SCHEDULE_SPREAD_S_MAX) < 60 && within(source, CATCH_UP_SPREAD_S) < 10
    };
    ids.find(at_once).unwrap()
}

/// `HH:MM` of a moment, in UTC.
fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M").to_string()
}

fn start(machine: &Machine) -> Running {
    let running = Running::start(machine.dobaas(&["service", "run"]).env("DOBAAS_LOG", "info"));
    running.line_with("the service runs").expect("it starts");
    running
}

fn snapshots(machine: &Machine) -> u64 {
    let status = Ended::of(&mut machine.dobaas(&["status", "--json"])).expect(&[0]).document();
    let sources = status["sources"].as_array().unwrap();
    sources.iter().find(|source| source["name"] == SCHEDULED).unwrap()["snapshots"].as_u64().unwrap()
}

/// How the last run walked.
fn last_walk(machine: &Machine) -> String {
    let status = Ended::of(&mut machine.dobaas(&["status", "--json"])).expect(&[0]).document();
    let sources = status["sources"].as_array().unwrap();
    let source = sources.iter().find(|source| source["name"] == SCHEDULED).unwrap();
    source["last_run"]["walk"].as_str().unwrap().to_owned()
}

#[test]
fn a_service_runs_its_schedule_catches_up_what_it_missed_and_stops_when_told() {
    let site = Site::start();
    let machine = site.machine("a");
    let data = site.path("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("un.txt"), "un").unwrap();
    let path = data.to_str().unwrap();
    site.set_up(&machine, &["--source", SOURCE, "--path", path, "--schedule", "none"]);
    let status = Ended::of(&mut machine.dobaas(&["status", "--json"])).expect(&[0]).document();
    let agent: AgentId = status["agent"].as_str().unwrap().parse().unwrap();
    let source = without_spread(&agent);
    site.order(source, SCHEDULED);
    let now = Timestamp::now();
    let minutes: Vec<String> = (1..=5).map(|minute: i64| clock(now + minute.minutes())).collect();
    site.schedule(source, agent, (0, path, &format!("{} UTC", minutes.join(","))));

    let service = start(&machine);
    service.line_with("the backup is made").expect("it runs the next minute's backup");
    let ended = service.stop().expect(&[0]);
    assert!(ended.stderr.contains("the service stops"), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("a backup begins").count(), 1, "{}", ended.stderr);
    assert_eq!(snapshots(&machine), 1);
    assert!(ended.stderr.contains(r#"walk="start""#), "it listens for changes from then on: {}", ended.stderr);
    assert_eq!(last_walk(&machine), "start");

    // The machine was off for two days; its only moment was a few minutes ago.
    site.schedule(source, agent, (1, path, &format!("{} UTC", clock(Timestamp::now() - 3.minutes()))));
    let folder = machine.state().join("sources").join(source.to_string());
    let mut runs = Runs::load(&folder).unwrap().unwrap();
    runs.standing = agent::schedule::Standing::new(Timestamp::now() - SignedDuration::from_hours(48));
    runs.store(&folder).unwrap();
    std::fs::write(machine.state().with_extension("toml"), "journal = false").unwrap();
    let service = start(&machine);
    service.line_with("the backup is made").expect("it catches up");
    let mut service = service;
    assert!(!service.ends_within(Duration::ZERO), "it goes on serving");
    let ended = service.stop().expect(&[0]);
    assert_eq!(ended.stderr.matches("a backup begins").count(), 1, "once for two days: {}", ended.stderr);
    assert_eq!(snapshots(&machine), 2);
    assert_eq!(last_walk(&machine), "full", "it was told not to listen");
}

#[test]
fn announced_maintenance_postpones_a_backup_is_shown_and_is_no_failure() {
    let site = Site::start();
    let machine = site.machine("a");
    let data = site.path("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("un.txt"), "un").unwrap();
    site.set_up(&machine, &["--source", SOURCE, "--path", data.to_str().unwrap()]);
    let number = site.begin_maintenance();
    Ended::of(&mut machine.dobaas(&["backup"])).expect(&[14]);
    let status = || Ended::of(&mut machine.dobaas(&["status", "--json"])).expect(&[0]).document();
    let shown = status();
    assert!(shown["maintenance_from"].is_string() && shown["maintenance_until"].is_string(), "{shown}");
    assert_eq!(shown["sources"][0]["last_run"]["result"], "maintenance", "{shown}");
    assert_eq!((&shown["sources"][0]["failures"], &shown["sources"][0]["snapshots"]), (&0.into(), &0.into()));
    let said = Ended::of(&mut machine.dobaas(&["status"])).expect(&[0]).stdout;
    assert!(said.contains("Maintenance annoncée") && said.contains("reportée"), "{said}");
    site.end_maintenance(number);
    Ended::of(&mut machine.dobaas(&["backup"])).expect(&[0]);
    let shown = status();
    assert_eq!(
        (&shown["sources"][0]["last_run"]["result"], &shown["maintenance_from"]),
        (&"complete".into(), &serde_json::Value::Null)
    );
}

/// What `systemd-analyze` says of the units in `deploy/systemd`.
struct Units {
    folder: std::path::PathBuf,
}

impl Units {
    /// None, and said so, where `systemd-analyze` is not on this machine; `deploy/check` installs it.
    fn here() -> Option<Self> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy/systemd");
        let is_there = std::process::Command::new("systemd-analyze").arg("--version").output().is_ok();
        if !is_there {
            eprintln!("skipped: systemd-analyze is not on this machine");
        }
        is_there.then_some(Self { folder })
    }

    fn ask(&self, options: &[&str], unit: &std::path::Path) -> std::process::Output {
        let mut command = std::process::Command::new("systemd-analyze");
        command.args(options).arg(self.folder.join(unit)).output().unwrap()
    }
}

#[test]
fn the_units_are_what_systemd_understands() {
    let Some(units) = Units::here() else { return };
    for unit in ["dobaas-agent.service", "dobaas-server.service"] {
        // The programs of a unit must be there: it is verified with those of this test.
        let text = std::fs::read_to_string(units.folder.join(unit)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_dobaas");
        let text = text.replace("/usr/bin/dobaas-server", program).replace("/usr/bin/dobaas ", &format!("{program} "));
        let copy = folder.path().join(unit);
        std::fs::write(&copy, text).unwrap();
        let output = units.ask(&["verify", "--man=no"], &copy);
        let said = String::from_utf8_lossy(&output.stderr);
        let ours: Vec<&str> = said.lines().filter(|line| line.contains(unit)).collect();
        assert_eq!(ours, Vec::<&str>::new(), "{said}");
    }
}

#[test]
fn the_units_leave_little_exposed() {
    let Some(units) = Units::here() else { return };
    // Tenths of systemd's own measure. The agent reads every file of a machine, which counts against it.
    for (unit, most) in [("dobaas-server.service", "20"), ("dobaas-agent.service", "30")] {
        let threshold = format!("--threshold={most}");
        let output = units.ask(&["security", "--offline=true", "--no-pager", &threshold], std::path::Path::new(unit));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{unit}: {}", said.lines().last().unwrap_or_default());
    }
}

#[test]
fn another_user_than_the_services_does_nothing_in_its_folder() {
    const NOBODY: u32 = 65_534;
    let mut world = World::new();
    world.stop_server();
    if std::os::unix::fs::chown(world.server_folder(), Some(NOBODY), None).is_err() {
        eprintln!("skipped: only root gives a folder away");
        return;
    }
    for command in ["serve", "scrub", "rebuild", "backup-control", "restore-control", "mark-store"] {
        let refused = world.server_command(command).expect(&[1]);
        assert!(refused.stderr.contains("sudo -u nobody dobaas-server"), "{refused:?}");
    }
    world.server_command("check-config").expect(&[0]);
    std::os::unix::fs::chown(world.server_folder(), Some(0), None).unwrap();
    world.start_server();
}

#[test]
fn what_needs_the_server_stopped_is_refused_while_it_runs() {
    let mut world = World::new();
    for command in ["serve", "scrub", "rebuild", "restore-control", "mark-store"] {
        let refused = world.server_command(command).expect(&[11]);
        assert!(refused.stderr.contains("systemctl stop dobaas-server"), "{refused:?}");
    }
    world.server_command("backup-control").expect(&[0]);
    world.kill_server();
    world.server_command("scrub").expect(&[0]);
    world.start_server();
}
