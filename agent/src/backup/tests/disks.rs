//! Disk images, made by the QEMU tools: what is stored is the disk, and what is laid is what changed on it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::limits::PAGE_BYTES;

use super::{Scene, noise};
use crate::backup::run::{Completeness, Outcome};
use crate::source::SkipReason;
use crate::source::disk::DiskRules;
use crate::source::disk::label::{ATTRIBUTE, Label};
use crate::source::disk::tools::Tools;

const PAGE: u64 = PAGE_BYTES as u64;
const MIB: u64 = 1 << 20;

fn tool(name: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(name).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
    output.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.disks = Some(DiskRules::default());
    scene
}

/// An image whose disk of 64 MiB has noise from 8 to 32 MiB; beside the tree, so that it can be put into it.
fn image(scene: &Scene, format: &str, options: &[&str]) -> PathBuf {
    let (raw, path) = (scene.folder.path().join("disk.raw"), scene.tree().join(format!("vm.{format}")));
    let disk = std::fs::File::create(&raw).unwrap();
    disk.set_len(64 * MIB).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&disk, &noise(3, 24 << 20), 8 * MIB).unwrap();
    tool("qemu-img", &[&["convert", "-f", "raw", "-O", format], options, &[text(&raw), text(&path)]].concat());
    path
}

fn write(format: &str, path: &Path, commands: &[String]) {
    let commands = commands.iter().flat_map(|command| ["-c", command.as_str()]);
    tool("qemu-io", &["-f", format].into_iter().chain(commands).chain([text(path)]).collect::<Vec<_>>());
}

/// The disk of an image, by the tools alone.
fn disk(scene: &Scene, format: &str, path: &Path) -> Vec<u8> {
    let raw = scene.folder.path().join("read.raw");
    tool("qemu-img", &["convert", "-f", format, "-O", "raw", text(path), text(&raw)]);
    std::fs::read(raw).unwrap()
}

fn run(scene: &mut Scene) -> (u64, Outcome) {
    scene.now_ns += 86_400_000_000_000;
    let before = scene.state.lock().put_plain;
    let (outcome, _) = scene.run();
    let after = scene.state.lock().put_plain;
    ((0..3).map(|class| after[class] - before[class]).sum(), outcome)
}

/// What the newest snapshot holds of an image.
fn stored(scene: &Scene, path: &Path) -> (Vec<u8>, Option<Label>) {
    let (entry, content) = scene.stored().remove(text(path).trim_start_matches('/').as_bytes()).unwrap();
    let common::tree::xattrs::Xattrs::Inline(xattrs) = entry.xattrs else { panic!("they are small") };
    let label = xattrs.iter().find(|xattr| xattr.name == ATTRIBUTE);
    (content, label.map(|xattr| Label::parse(&xattr.value).unwrap()))
}

#[test]
fn of_the_disk_of_an_image_just_the_pages_that_changed_are_laid() {
    for (format, options) in [
        ("qcow2", &[][..]),
        ("qcow2", &["-c"]),
        ("qcow2", &["-o", "cluster_size=4096"]),
        ("vmdk", &[]),
        ("vhdx", &[]),
        ("raw", &[]),
    ] {
        let mut scene = scene();
        let path = image(&scene, format, options);
        let (laid, _) = run(&mut scene);
        // The tool writes the first page of a raw image.
        assert!((24 * MIB..=24 * MIB + PAGE).contains(&laid), "{format}: {laid} laid");
        // Ten pages in the middle of data, one in a hole, and one that becomes zeros.
        let mut commands: Vec<String> =
            (0..10).map(|page| format!("write -P {} {} 4k", page + 1, 9 * MIB + page * 73 * PAGE)).collect();
        commands.extend([format!("write -P 77 {} 4k", 48 * MIB), format!("write -P 0 {} 4k", 20 * MIB)]);
        write(format, &path, &commands);
        let (laid, outcome) = run(&mut scene);
        let most = if format == "raw" { 13 } else { 11 };
        assert!((11 * PAGE..=most * PAGE).contains(&laid), "{format} {options:?}: {laid} laid");
        assert_eq!(outcome.completeness, Completeness::Complete);
        let (content, label) = stored(&scene, &path);
        assert!(content == disk(&scene, format, &path), "{format}");
        assert_eq!(label.map(|label| label.format.name()), (format != "raw").then_some(format));
        let (laid, outcome) = run(&mut scene);
        assert_eq!((laid, outcome.counts.files_unchanged), (0, 1), "{format}");
    }
}

#[test]
fn an_image_that_was_written_anew_with_the_same_disk_lays_nothing() {
    let mut scene = scene();
    let path = image(&scene, "qcow2", &[]);
    run(&mut scene);
    let other = scene.folder.path().join("other.qcow2");
    tool("qemu-img", &["convert", "-f", "qcow2", "-c", "-O", "qcow2", text(&path), text(&other)]);
    std::fs::rename(other, &path).unwrap();
    let (laid, outcome) = run(&mut scene);
    assert_eq!((laid, outcome.counts.files_changed), (0, 1));
}

#[test]
fn a_disk_that_grew_or_shrank_comes_back_as_it_is() {
    let mut scene = scene();
    let path = image(&scene, "qcow2", &[]);
    run(&mut scene);
    for (size, most) in [("70M", 0), ("20M", 0), ("64M", 0)] {
        tool("qemu-img", &["resize", "-q", "--shrink", "-f", "qcow2", text(&path), size]);
        let (laid, _) = run(&mut scene);
        assert!(laid <= most, "{size}: {laid}");
        assert!(stored(&scene, &path).0 == disk(&scene, "qcow2", &path), "{size}");
    }
}

#[test]
fn without_the_tools_an_image_is_a_file_and_the_snapshot_says_so() {
    let mut scene = scene();
    let tools = Tools { image: "/absent/image".into(), server: "/absent/server".into() };
    scene.disks = Some(DiskRules { tools, bitmaps: false });
    let path = image(&scene, "qcow2", &[]);
    let (_, outcome) = run(&mut scene);
    scene.compare();
    write("qcow2", &path, &[format!("write -P 9 {} 4k", 9 * MIB)]);
    let (laid, _) = run(&mut scene);
    scene.compare();
    assert!((PAGE..=4 * PAGE).contains(&laid), "{laid}");
    assert_eq!(outcome.completeness, Completeness::Complete);
    let told = evidence(&scene);
    assert!(told.iter().any(|(name, value)| name.ends_with("vm.qcow2") && value == "file no_tools"), "{told:?}");
}

fn evidence(scene: &Scene) -> Vec<(String, String)> {
    let state = scene.state.lock();
    let stored = state.newest().unwrap();
    let key = &scene.sessions[&stored.head.session];
    let (agent_part, sealed_part) = (&stored.object.agent_part, &stored.object.sealed_part);
    let part = common::snapshot::open_part(key, &super::SUBSCRIPTION, agent_part, sealed_part).unwrap();
    part.evidence.into_iter().map(|item| (item.name, item.value)).collect()
}

#[test]
fn what_would_not_come_back_whole_from_its_disk_stays_a_file() {
    let mut scene = scene();
    let base = image(&scene, "qcow2", &[]);
    let at = |name: &str| scene.tree().join(name);
    let create = |options: &[&str]| tool("qemu-img", &[&["create", "-q"], options].concat());
    create(&["-f", "qcow2", "-b", text(&base), "-F", "qcow2", text(&at("over.qcow2"))]);
    create(&["-f", "qcow2", "-o", &format!("data_file={}", text(&at("data.raw"))), text(&at("apart.qcow2")), "8M"]);
    create(&["-f", "qcow2", text(&at("kept.qcow2")), "8M"]);
    tool("qemu-img", &["snapshot", "-c", "before", text(&at("kept.qcow2"))]);
    create(&["-f", "vmdk", "-o", "subformat=monolithicFlat", text(&at("flat.vmdk")), "8M"]);
    // A guest that writes the start of another format to its raw disk.
    std::fs::copy(at("over.qcow2"), at("guest.img")).unwrap();
    std::fs::write(at("noise.vhdx"), noise(1, 3 << 20)).unwrap();
    std::fs::write(at("note.qcow2"), "QFI\u{fb} is not a header").unwrap();
    std::fs::remove_file(&base).unwrap();
    let (_, outcome) = run(&mut scene);
    scene.compare();
    assert_eq!(outcome.completeness, Completeness::Complete);
    let told = evidence(&scene);
    for (name, how) in [
        ("over.qcow2", "file backing_file"),
        ("apart.qcow2", "file data_file"),
        ("kept.qcow2", "file internal_snapshots"),
    ] {
        assert!(told.iter().any(|(path, value)| path.ends_with(name) && value == how), "{name}: {told:?}");
    }
}

#[test]
fn an_image_that_a_machine_holds_is_skipped_and_comes_with_the_next_run() {
    for format in ["qcow2", "raw"] {
        let mut scene = scene();
        let path = image(&scene, format, &[]);
        let mut machine = Command::new("qemu-io");
        machine.args(["-f", format, text(&path)]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut machine = machine.spawn().unwrap();
        // Its prompt says that it has the image.
        BufReader::new(machine.stdout.take().unwrap()).read_until(b'>', &mut Vec::new()).unwrap();
        let (_, outcome) = run(&mut scene);
        assert_eq!(outcome.completeness, Completeness::Partial, "{format}");
        assert_eq!(outcome.skipped.iter().map(|item| item.reason).collect::<Vec<_>>(), [SkipReason::InUse]);
        drop(machine.stdin.take());
        machine.wait().unwrap();
        let (laid, outcome) = run(&mut scene);
        assert!(laid >= 24 * MIB && outcome.completeness == Completeness::Complete, "{format}");
    }
}

#[test]
fn a_server_that_a_killed_run_left_is_ended_by_the_next_one() {
    let mut scene = scene();
    let path = image(&scene, "qcow2", &[]);
    let folder = scene.folder.path().join("state/disks");
    std::fs::create_dir_all(&folder).unwrap();
    let (socket, pid) = (folder.join("0.sock"), folder.join("0.pid"));
    let arguments = ["--fork", "--read-only", "--socket", text(&socket), "--pid-file", text(&pid), text(&path)];
    tool("qemu-nbd", &[&arguments[..], &["-f", "qcow2"]].concat());
    let process = format!("/proc/{}/cmdline", std::fs::read_to_string(&pid).unwrap().trim());
    assert!(Path::new(&process).exists());
    let (laid, _) = run(&mut scene);
    assert_eq!(laid, 24 * MIB);
    let mut line = Vec::new();
    // Ended, or at most waiting for its parent to look.
    let _ = std::fs::File::open(process).and_then(|mut file| file.read_to_end(&mut line));
    assert!(line.is_empty());
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

/// A scene with bitmaps whose image was backed up, and then written to at four places.
fn marked() -> (Scene, PathBuf) {
    let mut scene = scene();
    scene.disks = Some(DiskRules { bitmaps: true, ..DiskRules::default() });
    let path = image(&scene, "qcow2", &[]);
    run(&mut scene);
    write_pages(&path, 1);
    (scene, path)
}

fn write_pages(path: &Path, pattern: u64) {
    let page = |number| format!("write -P {} {} 4k", pattern + number, 10 * MIB + number * 5 * MIB);
    write("qcow2", path, &(0..4).map(page).collect::<Vec<_>>());
}

fn read_how(scene: &Scene) -> String {
    let told = evidence(scene).into_iter().find(|(name, _)| name.ends_with("vm.qcow2"));
    told.unwrap().1
}

fn bitmaps(path: &Path) -> Vec<String> {
    let info = serde_json::from_slice::<serde_json::Value>(&tool("qemu-img", &["info", "--output=json", text(path)]));
    let bitmaps = info.unwrap()["format-specific"]["data"]["bitmaps"].as_array().cloned().unwrap_or_default();
    bitmaps.iter().map(|bitmap| bitmap["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_a_bitmap_calls_unchanged_is_not_read_but_for_samples() {
    let (mut scene, path) = marked();
    for day in 0..4 {
        let (laid, outcome) = run(&mut scene);
        assert_eq!(laid, 4 * PAGE, "day {day}");
        // Four windows that changed, and half of the others as samples: a small disk has many. Holes are not read anyway.
        let read = outcome.counts.read_bytes;
        assert!(read <= 15 * MIB, "day {day}: {read} read");
        assert!(read_how(&scene).ends_with("bitmap 262144"), "{}", read_how(&scene));
        assert!(stored(&scene, &path).0 == disk(&scene, "qcow2", &path), "day {day}");
        assert!(bitmaps(&path).len() <= 3, "{:?}", bitmaps(&path));
        write_pages(&path, 20 + day * 10);
    }
    run(&mut scene);
    // Nothing changed: the image is left alone.
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    let (laid, _) = run(&mut scene);
    assert_eq!((laid, std::fs::metadata(&path).unwrap().modified().unwrap()), (0, before));
}

#[test]
fn without_the_setting_nothing_is_written_to_an_image() {
    let mut scene = scene();
    let path = image(&scene, "qcow2", &[]);
    let before = std::fs::read(&path).unwrap();
    run(&mut scene);
    assert!(before == std::fs::read(&path).unwrap() && bitmaps(&path).is_empty());
}

#[test]
fn a_bitmap_that_does_not_match_the_last_content_is_not_believed() {
    // Removed, or made anew under the same name after the change.
    for action in ["--remove", "--clear"] {
        let (mut scene, path) = marked();
        for name in bitmaps(&path) {
            tool("qemu-img", &["bitmap", action, "-f", "qcow2", text(&path), &name]);
        }
        let (laid, outcome) = run(&mut scene);
        // A cleared one is found out by the samples: some of the four windows are among them.
        assert!(stored(&scene, &path).0 == disk(&scene, "qcow2", &path), "{action}");
        if action == "--remove" {
            assert_eq!(laid, 4 * PAGE);
            assert!(read_how(&scene).ends_with("whole") && outcome.counts.read_bytes >= 24 * MIB);
        }
    }
    // The state of the agent was lost: its records are about no content that it knows.
    let (mut scene, path) = marked();
    std::fs::remove_dir_all(scene.folder.path().join("state")).unwrap();
    run(&mut scene);
    assert!(read_how(&scene).ends_with("whole") && stored(&scene, &path).0 == disk(&scene, "qcow2", &path));
}

#[test]
fn a_bitmap_that_lies_is_found_out_by_the_samples_and_the_whole_disk_is_read() {
    let (mut scene, path) = marked();
    run(&mut scene);
    // Everything changes behind QEMU's back, in the container, and the bitmap says that nothing did.
    let map = tool("qemu-img", &["map", "--output=json", "-f", "qcow2", text(&path)]);
    let map: Vec<serde_json::Value> = serde_json::from_slice(&map).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    for extent in map.iter().filter(|extent| extent["data"] == true) {
        let (at, bytes) = (extent["offset"].as_u64().unwrap(), extent["length"].as_u64().unwrap());
        let noise = noise(at, usize::try_from(bytes).unwrap());
        std::os::unix::fs::FileExt::write_all_at(&file, &noise, at).unwrap();
    }
    let (laid, _) = run(&mut scene);
    assert!(laid >= 24 * MIB, "{laid}");
    assert!(stored(&scene, &path).0 == disk(&scene, "qcow2", &path));
}

#[test]
fn a_bitmap_that_was_not_closed_is_not_believed() {
    let (mut scene, path) = marked();
    let mut machine = Command::new("qemu-io");
    machine.args(["-f", "qcow2", text(&path)]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut machine = machine.spawn().unwrap();
    let mut said = BufReader::new(machine.stdout.take().unwrap());
    said.read_until(b'>', &mut Vec::new()).unwrap();
    std::io::Write::write_all(machine.stdin.as_mut().unwrap(), b"write -P 99 15M 4k\n").unwrap();
    said.read_until(b'>', &mut Vec::new()).unwrap();
    machine.kill().unwrap();
    machine.wait().unwrap();
    run(&mut scene);
    assert!(read_how(&scene).ends_with("whole"), "{}", read_how(&scene));
    assert!(stored(&scene, &path).0 == disk(&scene, "qcow2", &path));
}
