//! A tree with every oddity of metadata that a Linux file system holds, always the same one.
//!
//! Devices and foreign owners need root: without it they are left out, with a message.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, makedev, mknodat, utimensat};

/// Makes the tree at `root`, a folder that is empty or does not exist.
pub fn make(root: &Path) {
    fs::create_dir_all(root).unwrap();
    names(&folder(root, "names"));
    sizes(&folder(root, "sizes"));
    links(&folder(root, "links"));
    holes(&folder(root, "holes"));
    modes(&folder(root, "modes"));
    specials(&folder(root, "specials"));
    xattrs(&folder(root, "xattrs"));
    folder(root, "empty");
    deep(&folder(root, "deep"));
    times(&folder(root, "times"));
    if rustix::process::geteuid().is_root() {
        owners(&folder(root, "owners"));
    } else {
        eprintln!("skipped: devices and foreign owners need root");
    }
    settle(root);
}

fn folder(root: &Path, name: &str) -> std::path::PathBuf {
    let path = root.join(name);
    fs::create_dir(&path).unwrap();
    path
}

/// Bytes that do not compress and depend on nothing but `seed`.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

fn names(root: &Path) {
    let long = "é".repeat(127);
    let names: [&[u8]; 14] = [
        "nom avec espaces".as_bytes(),
        "précomposé-\u{e9}".as_bytes(),
        "décomposé-e\u{301}".as_bytes(),
        "\u{e9}".as_bytes(),
        "e\u{301}".as_bytes(),
        b"latin1-\xe9t\xe9",
        b"\xff\xfe\x80",
        b"line\nfeed\ttab",
        b"quote'\"back\\slash",
        b"-rf",
        b"*?[a-z]{x}!#",
        b"...",
        "日本語\u{200f}\u{1f600}".as_bytes(),
        long.as_bytes(),
    ];
    for (index, name) in names.iter().enumerate() {
        fs::write(root.join(OsStr::from_bytes(name)), noise(index as u64, 300 + index)).unwrap();
    }
    let odd_folder = root.join(OsStr::from_bytes(b"dossier-\xe0-part"));
    fs::create_dir(&odd_folder).unwrap();
    fs::write(odd_folder.join("file"), b"inside").unwrap();
}

fn sizes(root: &Path) {
    for size in
        [0usize, 1, 4095, 4096, 4097, 255 << 10, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 1 << 20, (2 << 20) + 1]
    {
        fs::write(root.join(size.to_string()), noise(size as u64, size)).unwrap();
    }
    fs::write(root.join("same-as-1"), noise(1, 1)).unwrap();
    fs::write(root.join("text"), "le même texte, encore et encore\n".repeat(20_000)).unwrap();
}

fn links(root: &Path) {
    symlink("does/not/exist", root.join("dangling")).unwrap();
    symlink("../sizes/1", root.join("relative")).unwrap();
    symlink("/etc/hostname", root.join("absolute")).unwrap();
    symlink(".", root.join("loop")).unwrap();
    symlink(OsStr::from_bytes(b"\xff\xfe"), root.join("odd-target")).unwrap();
    fs::write(root.join("hard-a"), noise(7, 5_000)).unwrap();
    fs::hard_link(root.join("hard-a"), root.join("hard-b")).unwrap();
    fs::create_dir(root.join("elsewhere")).unwrap();
    fs::hard_link(root.join("hard-a"), root.join("elsewhere/hard-c")).unwrap();
    fs::write(root.join("hard-empty"), b"").unwrap();
    fs::hard_link(root.join("hard-empty"), root.join("hard-empty-2")).unwrap();
}

fn holes(root: &Path) {
    let sparse = |name: &str, size: u64, data: &[(u64, usize)]| {
        let file = File::create(root.join(name)).unwrap();
        file.set_len(size).unwrap();
        for (at, bytes) in data {
            file.write_all_at(&noise(*at, *bytes), *at).unwrap();
        }
    };
    sparse("all-hole", 3 << 20, &[]);
    sparse("hole-first", 2 << 20, &[(1 << 20, 1 << 20)]);
    sparse("hole-last", 2 << 20, &[(0, 1 << 20)]);
    sparse("hole-between", 9 << 20, &[(0, 8 << 10), (4 << 20, 64 << 10), ((9 << 20) - 4096, 4096)]);
    sparse("many-holes", 4 << 20, &(0..256).map(|n| (n * (16 << 10), 4 << 10)).collect::<Vec<_>>());
    sparse("small-with-hole", 64 << 10, &[(32 << 10, 4 << 10)]);
    sparse("large-and-empty", 1 << 30, &[(1 << 29, 4 << 10)]);
    fs::write(root.join("zeros-written"), vec![0u8; 512 << 10]).unwrap();
}

fn modes(root: &Path) {
    for mode in [0o000, 0o400, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o6711, 0o1644] {
        let path = root.join(format!("{mode:04o}"));
        fs::write(&path, format!("mode {mode:o}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    for mode in [0o700, 0o1777, 0o2775, 0o555] {
        let path = root.join(format!("dir-{mode:04o}"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn specials(root: &Path) {
    let make = |name: &str, kind: FileType, device: u64| {
        mknodat(CWD, root.join(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
    };
    make("fifo", FileType::Fifo, 0);
    make("socket", FileType::Socket, 0);
    if rustix::process::geteuid().is_root() {
        make("char", FileType::CharacterDevice, makedev(1, 3));
        make("block", FileType::BlockDevice, makedev(7, 200));
        make("char-large", FileType::CharacterDevice, makedev(510, 70_000));
    }
}

fn xattrs(root: &Path) {
    let file = root.join("file");
    fs::write(&file, b"with attributes").unwrap();
    xattr::set(&file, "user.origin", b"scanner").unwrap();
    xattr::set(&file, "user.empty", b"").unwrap();
    xattr::set(&file, "user.binary", &noise(11, 2_000)).unwrap();
    xattr::set(root, "user.on-a-folder", "é".as_bytes()).unwrap();
    let mapped = root.join("acl");
    fs::write(&mapped, b"with an acl").unwrap();
    xattr::set(&mapped, "system.posix_acl_access", &acl()).unwrap();
    let inherited = root.join("acl-default");
    fs::create_dir(&inherited).unwrap();
    xattr::set(&inherited, "system.posix_acl_default", &acl()).unwrap();
    fs::write(inherited.join("child"), b"inherits").unwrap();
    if rustix::process::geteuid().is_root() {
        let trusted = root.join("trusted");
        fs::write(&trusted, b"x").unwrap();
        xattr::set(&trusted, "trusted.overlay.opaque", b"y").unwrap();
        let capable = root.join("capable");
        fs::write(&capable, b"x").unwrap();
        let net_bind = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        xattr::set(&capable, "security.capability", &net_bind).unwrap();
    }
}

/// A POSIX ACL as the kernel stores it: owner, user 1234, group, mask, others.
fn acl() -> Vec<u8> {
    let none = u32::MAX;
    let entries: [(u16, u16, u32); 5] =
        [(0x01, 6, none), (0x02, 4, 1234), (0x04, 4, none), (0x10, 4, none), (0x20, 0, none)];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn deep(root: &Path) {
    let mut path = root.to_owned();
    for level in 0..40 {
        path.push(format!("niveau-{level}"));
        fs::create_dir(&path).unwrap();
    }
    fs::write(path.join("au fond"), b"deep").unwrap();
}

fn owners(root: &Path) {
    for (name, uid, gid) in
        [("nobody", 65_534, 65_534), ("unknown", 123_456, 654_321), ("large", u32::MAX - 2, u32::MAX - 2)]
    {
        fs::write(root.join(name), name).unwrap();
        chown(root.join(name), Some(uid), Some(gid)).unwrap();
    }
    symlink("target", root.join("owned-link")).unwrap();
    lchown(root.join("owned-link"), Some(1), Some(2)).unwrap();
    fs::write(root.join("setuid-of-another"), b"x").unwrap();
    chown(root.join("setuid-of-another"), Some(1000), Some(1000)).unwrap();
    fs::set_permissions(root.join("setuid-of-another"), fs::Permissions::from_mode(0o6755)).unwrap();
}

fn times(root: &Path) {
    let at = |name: &str, seconds: i64, nanoseconds: u32| {
        fs::write(root.join(name), name).unwrap();
        set_mtime(&root.join(name), seconds, nanoseconds);
    };
    at("old", 1, 1);
    at("epoch", 0, 0);
    at("before-1970", -86_400 * 365, 999_999_999);
    at("before-1970-whole", -1, 0);
    at("after-2038", 2_147_483_648 + 10, 123_456_789);
    at("after-2106", 4_294_967_296 + 10, 987_654_321);
    at("nanoseconds", 1_700_000_000, 1);
    symlink("old", root.join("link")).unwrap();
    set_mtime(&root.join("link"), 1_500_000_000, 42);
}

/// Sets the modification time of an entry itself, never of what it points to.
pub fn set_mtime(path: &Path, seconds: i64, nanoseconds: u32) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Gives everything whose time is that of its making a fixed one, deepest first, so that two trees are alike and old enough to be
/// trusted by a second backup.
fn settle(root: &Path) {
    let recent = SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_000_000);
    let meta = fs::symlink_metadata(root).unwrap();
    if meta.is_dir() {
        for entry in fs::read_dir(root).unwrap() {
            settle(&entry.unwrap().path());
        }
    }
    if meta.modified().is_ok_and(|time| time > recent) && !root.ends_with("after-2038") && !root.ends_with("after-2106")
    {
        set_mtime(root, 1_600_000_000, 123_456_789);
    }
}
