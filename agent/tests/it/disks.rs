//! Disk images by the real programs: two dates restored in their format, compared by the QEMU tools; runs that are killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::Ended;
use crate::support::campaign::Campaign;
use crate::world::{Committed, World};

const MIB: u64 = 1 << 20;
/// Longest time that a kill waits: a run takes less.
const MOMENT_MAX: Duration = Duration::from_secs(2);
/// Format, and how the tools make the image.
const IMAGES: [(&str, &[&str]); 5] = [
    ("qcow2", &["-o", "cluster_size=131072,lazy_refcounts=on"]),
    ("vmdk", &[]),
    ("vmdk", &["-o", "subformat=streamOptimized"]),
    ("vhdx", &["-o", "block_size=2097152"]),
    ("raw", &[]),
];

fn tool(name: &str, arguments: &[&str]) -> String {
    let ended = Ended::of(Command::new(name).args(arguments));
    ended.expect(&[0]).stdout.clone()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// One image of each row, of the same disk.
fn make_images(folder: &Path, noise: &Path) -> Vec<(&'static str, PathBuf)> {
    let image = |(number, (format, options)): (usize, &(&'static str, &[&str]))| {
        let path = folder.join(format!("vm{number}.{format}"));
        tool("qemu-img", &[&["convert", "-f", "raw", "-O", format], *options, &[text(noise), text(&path)]].concat());
        (*format, path)
    };
    IMAGES.iter().enumerate().map(image).collect()
}

/// A disk of 48 MiB, some of which is noise.
fn make_disk(path: &Path) {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(48 * MIB).unwrap();
    let mut noise = vec![0; 9 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    std::os::unix::fs::FileExt::write_all_at(&file, &noise, 5 * MIB).unwrap();
}

fn write(format: &str, image: &Path, at: u64) {
    tool("qemu-io", &["-f", format, "-c", &format!("write -P 90 {at} 4k"), text(image)]);
}

/// The lines of a description that must come back.
fn description(format: &str, image: &Path) -> Vec<String> {
    let said = tool("qemu-img", &["info", "-f", format, text(image)]);
    let kept = ["file format", "virtual size", "cluster_size", "compat", "lazy refcounts", "create type"];
    said.lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| kept.iter().any(|key| line.starts_with(key)))
        .collect()
}

#[test]
fn images_come_back_in_their_format_and_identical_at_each_date() {
    let world = World::of_kind("virtual_disk");
    let machine = world.machine();
    let disk = world.scratch().join("disk");
    make_disk(&disk);
    let images = make_images(&machine.source(), &disk);
    let first = Committed::of(&machine.backup().expect(&[0]));
    let kept = world.scratch().join("kept");
    std::fs::create_dir(&kept).unwrap();
    for (format, image) in &images {
        std::fs::copy(image, kept.join(image.file_name().unwrap())).unwrap();
        // This variant is written once.
        if !text(image).contains("vm2") {
            (0..8).for_each(|page| write(format, image, 6 * MIB + page * 123 * 4_096));
        }
    }
    let second = Committed::of(&machine.backup().expect(&[0]));
    // Four images with eight pages each, the same in all of them.
    assert!((8 * 4_096..=9 * 4_096 * 4).contains(&second.laid_bytes), "{} laid", second.laid_bytes);
    for (name, run) in [("first", &first), ("second", &second)] {
        let target = world.scratch().join(name);
        machine.restore(&run.snapshot, &target).expect(&[0]);
        for (format, image) in &images {
            let file = image.file_name().unwrap();
            let original = if name == "first" { kept.join(file) } else { image.clone() };
            let restored = machine.restored(&target).join(file);
            tool("qemu-img", &["compare", "-f", format, "-F", format, text(&original), text(&restored)]);
            assert_eq!(description(format, &restored), description(format, &original));
        }
        assert_eq!(std::fs::read_dir(machine.restored(&target)).unwrap().count(), IMAGES.len());
    }
    let target = world.scratch().join("raw");
    machine.restore_with(&["--disk-format", "raw"], &second.snapshot, &target).expect(&[0]);
    for (format, image) in images.iter().filter(|(format, _)| *format != "raw") {
        let name = format!("{}.raw", image.file_name().unwrap().to_str().unwrap());
        let restored = machine.restored(&target).join(name);
        tool("qemu-img", &["compare", "-f", format, "-F", "raw", text(image), text(&restored)]);
    }
}

#[test]
fn a_machine_without_the_tools_keeps_images_as_files_and_finds_the_disks_once_they_are_there() {
    let world = World::of_kind("virtual_disk");
    let machine = world.machine();
    let disk = world.scratch().join("disk");
    make_disk(&disk);
    let images = make_images(&machine.source(), &disk);
    let as_files = Committed::of(&machine.backup_without_tools().expect(&[0]));
    let target = world.scratch().join("files");
    machine.restore(&as_files.snapshot, &target).expect(&[0]);
    for (_, image) in &images {
        let restored = machine.restored(&target).join(image.file_name().unwrap());
        assert!(std::fs::read(image).unwrap() == std::fs::read(restored).unwrap());
    }
    images.iter().filter(|(format, _)| *format == "qcow2").for_each(|(format, image)| write(format, image, 7 * MIB));
    let as_disks = Committed::of(&machine.backup().expect(&[0]));
    let target = world.scratch().join("disks");
    machine.restore(&as_disks.snapshot, &target).expect(&[0]);
    for (format, image) in &images {
        let restored = machine.restored(&target).join(image.file_name().unwrap());
        tool("qemu-img", &["compare", "-f", format, "-F", format, text(image), text(&restored)]);
    }
}

/// Processes that serve an image of this source.
fn servers(state: &str) -> usize {
    let line = |path: PathBuf| std::fs::read(path.join("cmdline")).unwrap_or_default();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(line(entry.ok()?.path())));
    processes.filter(|line| String::from_utf8_lossy(line).contains(&format!("{state}/"))).count()
}

#[test]
fn a_killed_run_leaves_no_server_of_an_image_behind_for_longer_than_the_next_one() {
    let world = World::of_kind("virtual_disk");
    let machine = world.machine();
    let disk = world.scratch().join("disk");
    make_disk(&disk);
    let images = make_images(&machine.source(), &disk);
    let mut campaign = Campaign::begin("C01", "disk backups killed", 6);
    let mut dice = campaign.dice();
    for round in 0..campaign.rounds() {
        let mut running = machine.start_backup();
        running.ends_within(dice.moment(MOMENT_MAX));
        running.kill();
        campaign.count("kills", 1);
        let images = images.iter().filter(|(format, _)| *format == "vhdx");
        images.for_each(|(format, image)| write(format, image, round % 40 * MIB));
    }
    let done = Committed::of(&machine.backup().expect(&[0]));
    assert_eq!(servers(text(world.scratch())), 1, "the provider's server alone runs");
    let target = world.scratch().join("restored");
    machine.restore(&done.snapshot, &target).expect(&[0]);
    for (format, image) in &images {
        let restored = machine.restored(&target).join(image.file_name().unwrap());
        tool("qemu-img", &["compare", "-f", format, "-F", format, text(image), text(&restored)]);
    }
    campaign.pass();
}
