//! A file system that is not mounted any more is not an empty folder: neither at a folder of the set nor below one.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use tempfile::TempDir;

use crate::bind_mount::{BindMount, disk};
use crate::oracle::{assert_same, listing};
use crate::process::Ended;
use crate::world::{Committed, World};

fn missed(ended: &Ended) -> Vec<String> {
    let events = ended.events();
    let errors = events.iter().filter(|event| event["event"] == "item_error" && event["reason"] == "not_mounted");
    errors.map(|event| event["path"].as_str().unwrap().to_owned()).collect()
}

/// Two folders with content, the second of which can be mounted somewhere.
fn scene() -> (World, TempDir) {
    let (world, disk) = (World::new(), disk());
    std::fs::write(disk.path().join("base"), vec![7; 400_000]).unwrap();
    std::fs::write(world.machine().source().join("a"), "a").unwrap();
    (world, disk)
}

#[test]
fn below_a_folder_it_is_named_until_it_is_back_or_its_folder_is_gone() {
    let (world, disk) = scene();
    let machine = world.machine();
    let at = machine.source().join("data");
    std::fs::create_dir(&at).unwrap();
    let Some(mounted) = BindMount::new(disk.path(), &at) else { return };
    let first = Committed::of(&machine.backup().expect(&[0]));
    let before = listing(&machine.source());
    drop(mounted);
    for _ in 0..2 {
        assert_eq!(missed(&machine.backup().expect(&[3])), [at.display().to_string()], "named each time");
    }
    std::fs::write(at.join("written-below"), "x").unwrap();
    assert_eq!(missed(&machine.backup().expect(&[3])).len(), 1, "also if something was written there meanwhile");
    std::fs::remove_file(at.join("written-below")).unwrap();
    let target = world.scratch().join("restored");
    machine.restore(&first.snapshot, &target).expect(&[0]);
    assert_same("the date before", &before, &listing(&machine.restored(&target)));
    let mounted = BindMount::new(disk.path(), &at).unwrap();
    assert_eq!(missed(&machine.backup().expect(&[0])).len(), 0);
    drop(mounted);
    std::fs::remove_dir(&at).unwrap();
    assert_eq!(missed(&machine.backup().expect(&[0])).len(), 0, "whoever removes the folder means it");
}

#[test]
fn at_a_folder_of_the_set_nothing_is_recorded() {
    let (world, disk) = scene();
    let machine = world.machine();
    let source = machine.source();
    std::fs::remove_file(source.join("a")).unwrap();
    let Some(mounted) = BindMount::new(disk.path(), &source) else { return };
    machine.backup().expect(&[0]);
    drop(mounted);
    let failed = machine.backup().expect(&[1]);
    assert!(failed.stderr.contains("n'y est plus"), "{failed:?}");
    assert!(!failed.stdout.contains("\"summary\""), "{}", failed.stdout);
    std::fs::write(source.join("written-below"), "x").unwrap();
    assert_eq!(
        missed(&machine.backup().expect(&[3])),
        [source.display().to_string()],
        "what stands there is backed up"
    );
    let _mounted = BindMount::new(disk.path(), &source).unwrap();
    machine.backup().expect(&[0]);
}

#[test]
fn what_is_mounted_on_demand_is_there_also_if_nobody_looked_into_it_for_a_while() {
    let (world, disk) = scene();
    let machine = world.machine();
    let at = machine.source().join("on-demand");
    std::fs::create_dir(&at).unwrap();
    let Some(on_demand) = OnDemand::new(disk.path(), &at, world.scratch()) else { return };
    std::fs::read(on_demand.point().join("base")).unwrap();
    machine.backup().expect(&[0]);
    on_demand.rest();
    let ended = machine.backup().expect(&[0]);
    assert_eq!(missed(&ended).len(), 0);
    let target = world.scratch().join("restored");
    machine.restore(&Committed::of(&ended).snapshot, &target).expect(&[0]);
    let restored = machine.restored(&target).join("on-demand/data/base");
    assert_eq!(std::fs::read(restored).unwrap(), vec![7; 400_000]);
}

/// A folder in which `data` shows another one as soon as somebody looks there, by the system's automounter.
struct OnDemand {
    automounter: Child,
    at: PathBuf,
}

impl OnDemand {
    /// None, and says so, where there is no automounter or nothing can be mounted.
    fn new(shown: &Path, at: &Path, scratch: &Path) -> Option<Self> {
        let (map, master) = (scratch.join("automount.map"), scratch.join("automount.master"));
        std::fs::write(&map, format!("data -fstype=bind :{}\n", shown.display())).unwrap();
        std::fs::write(&master, format!("{} file:{} --timeout=600\n", at.display(), map.display())).unwrap();
        // What is of the automounter's process group mounts nothing by looking.
        let started = Command::new("automount").arg("--foreground").arg(&master).process_group(0).spawn();
        let on_demand = started.ok().map(|automounter| Self { automounter, at: at.to_owned() });
        let usable = on_demand.filter(|on_demand| wait_until(|| is_mounted(&on_demand.at)));
        if usable.is_none() {
            eprintln!("skipped: nothing can be mounted on demand here");
        }
        usable
    }

    fn point(&self) -> PathBuf {
        self.at.join("data")
    }

    /// Takes away what nobody uses at the moment, as after a while without use.
    fn rest(&self) {
        assert!(is_mounted(&self.point()));
        self.signal("USR1");
        assert!(wait_until(|| !is_mounted(&self.point())), "the automounter lets go");
    }

    fn signal(&self, name: &str) {
        assert!(
            Command::new("kill").args(["-s", name, &self.automounter.id().to_string()]).status().unwrap().success()
        );
    }
}

impl Drop for OnDemand {
    fn drop(&mut self) {
        self.signal("TERM");
        let _ = self.automounter.wait();
    }
}

fn is_mounted(at: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().any(|line| line.split(' ').nth(4) == at.to_str())
}

/// True once it is, within half a minute.
fn wait_until(is: impl Fn() -> bool) -> bool {
    (0..300).any(|_| {
        let is = is();
        if !is {
            std::thread::sleep(Duration::from_millis(100));
        }
        is
    })
}
