//! What is mounted where a backup set leads: whether it is what it was, where a watch sees every change, and where data of its own lies.
//!
//! It reads the text that the kernel gives of its mounts and touches no file system.
//!
//! Invariant: a watch is believed only on file systems of known types whose changes all pass through this kernel, and only where no
//! second mount shows the same directories: a watch tells one path of a directory.

use std::collections::{BTreeSet, HashSet};

use crate::source::paths::{PathTree, components};

/// Where the kernel says what is mounted.
pub const MOUNTS_PATH: &str = "/proc/self/mountinfo";

/// Types that hold no data of their own, or come and go by themselves.
const TRANSIENT: [&str; 27] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fuse.snapfuse",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "squashfs",
    "sysfs",
    "tmpfs",
];

/// Types whose changes all pass through this machine's kernel: no network, no cluster, no program behind them.
const WATCHABLE: [&str; 15] = [
    "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "ntfs3", "overlay", "ramfs", "tmpfs", "vfat",
    "xfs", "zfs",
];

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// Number, which no other mount of this boot had at the same time.
    number: String,
    device: String,
    /// What of the file system it shows, as components.
    shown: Vec<Vec<u8>>,
    /// Where, as components.
    at: Vec<Vec<u8>>,
    is_watchable: bool,
    is_transient: bool,
}

/// The mounts that matter to one set.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// Those at, above and below the selected paths; `text` is `/proc/self/mountinfo`. `None` if it cannot be understood.
    pub fn of(text: &[u8], selected: &PathTree) -> Option<Self> {
        let all = all(text)?;
        let roots = selected.paths();
        let mut wanted: HashSet<usize> = HashSet::new();
        for root in &roots {
            wanted.insert(holder(&all, root)?);
            wanted.extend((0..all.len()).filter(|at| all[*at].at.starts_with(root)));
        }
        let mut mounts: Vec<Mount> =
            all.into_iter().enumerate().filter_map(|(at, mount)| wanted.contains(&at).then_some(mount)).collect();
        let shows_twice: Vec<bool> =
            mounts.iter().map(|one| mounts.iter().any(|other| one != other && show_the_same(one, other))).collect();
        mounts.iter_mut().zip(shows_twice).for_each(|(mount, twice)| mount.is_watchable &= !twice);
        Some(Self(mounts))
    }

    /// True if a watch on this directory sees every change.
    pub fn is_watchable(&self, path: &[u8]) -> bool {
        if self.0.iter().all(|mount| mount.is_watchable) {
            return true;
        }
        let path: Vec<Vec<u8>> = owned(path);
        holder(&self.0, &path).is_some_and(|at| self.0[at].is_watchable)
    }
}

/// Where a file system with data of its own is mounted, at a selected path or, unless `at_top`, below one; components joined by `/`. What only shows
/// the same directory again is none: a service manager does that to protect some. `None` if `text`, which is `/proc/self/mountinfo`, cannot be
/// understood.
pub fn data_points(text: &[u8], selected: &PathTree, at_top: bool) -> Option<BTreeSet<Vec<u8>>> {
    let roots = selected.paths();
    let is_wanted = |at: &[Vec<u8>]| roots.iter().any(|root| if at_top { at == root } else { at.starts_with(root) });
    let all = all(text)?;
    let is_other =
        |at: usize, mount: &Mount| holder(&all[..at], &mount.at).is_none_or(|below| !covers_itself(mount, &all[below]));
    let points = all
        .iter()
        .enumerate()
        .filter(|(at, mount)| !mount.is_transient && is_wanted(&mount.at) && is_other(*at, mount));
    Some(points.map(|(_, mount)| mount.at.join(&b'/')).collect())
}

/// The mounts, in the order in which they were made.
fn all(text: &[u8]) -> Option<Vec<Mount>> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(mount).collect()
}

/// True if what the upper one shows is where it stands in the lower one.
fn covers_itself(upper: &Mount, lower: &Mount) -> bool {
    let below = upper.shown.strip_prefix(lower.shown.as_slice());
    upper.device == lower.device && below.is_some_and(|below| upper.at.strip_prefix(lower.at.as_slice()) == Some(below))
}

/// The mount that a path lies on: the deepest one, and the last of those at the same place.
fn holder(mounts: &[Mount], path: &[Vec<u8>]) -> Option<usize> {
    let holders = mounts.iter().enumerate().filter(|(_, mount)| path.starts_with(&mount.at));
    holders.max_by_key(|(at, mount)| (mount.at.len(), *at)).map(|(at, _)| at)
}

/// True if a directory may be reached through both.
fn show_the_same(one: &Mount, other: &Mount) -> bool {
    let overlap = one.shown.starts_with(&other.shown) || other.shown.starts_with(&one.shown);
    one.device == other.device && overlap && !covers_itself(one, other) && !covers_itself(other, one)
}

/// `36 35 98:0 /shown /at rw,noatime master:1 - ext4 /dev/sda1 rw`
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let text = |field: &[u8]| String::from_utf8(field.to_vec()).ok();
    let number = text(fields.next()?)?;
    let device = text(fields.nth(1)?)?;
    let (shown, at) = (owned(&unescaped(fields.next()?)), owned(&unescaped(fields.next()?)));
    let kind = text(fields.by_ref().skip_while(|field| *field != b"-").nth(1)?)?;
    let (is_watchable, is_transient) = (WATCHABLE.contains(&kind.as_str()), TRANSIENT.contains(&kind.as_str()));
    Some(Mount { number, device, shown, at, is_watchable, is_transient })
}

fn owned(path: &[u8]) -> Vec<Vec<u8>> {
    components(path).into_iter().map(<[u8]>::to_vec).collect()
}

/// The kernel writes spaces, tabs, line ends and backslashes as `\ooo`.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[3..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "\
22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
30 22 8:1 / /srv/with\\040space rw shared:5 - xfs /dev/sda1 rw
31 22 0:40 / /srv/share rw - nfs4 server:/x rw
";

    fn mounts(text: &str, paths: &[&str]) -> Mounts {
        Mounts::of(text.as_bytes(), &PathTree::new(paths.iter().map(|path| components(path.as_bytes())))).unwrap()
    }

    #[test]
    fn data_lies_on_what_is_mounted_at_or_below_a_folder_and_is_not_transient() {
        let points = |paths: &[&str], at_top| {
            let tree = PathTree::new(paths.iter().map(|path| components(path.as_bytes())));
            let points = data_points(HOST.as_bytes(), &tree, at_top).unwrap();
            points.into_iter().map(|point| String::from_utf8(point).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(points(&["/"], false), ["", "srv/share", "srv/with space"]);
        assert_eq!(points(&["/srv", "/home"], false), ["srv/share", "srv/with space"]);
        assert_eq!(points(&["/srv", "/srv2"], true), [""; 0]);
        assert_eq!(points(&["/srv/share"], true), ["srv/share"]);
        assert_eq!(points(&["/srv/share/x", "/proc"], false), [""; 0]);
        let tree = PathTree::new([components(b"/")]);
        let protected = format!(
            "{HOST}40 22 253:0 /home /home ro - ext4 /dev/vda rw\n41 40 253:0 /home/a /home/a rw - ext4 /dev/vda rw\n"
        );
        assert_eq!(data_points(protected.as_bytes(), &tree, false), data_points(HOST.as_bytes(), &tree, false));
        let moved = format!("{HOST}40 22 253:0 /elsewhere /home ro - ext4 /dev/vda rw\n");
        assert!(data_points(moved.as_bytes(), &tree, false).unwrap().contains(&b"home"[..]));
    }

    #[test]
    fn only_local_file_systems_are_believed() {
        let mounts = mounts(HOST, &["/srv"]);
        for (path, wanted) in [
            ("srv/a", true),
            ("srv/with space/x", true),
            ("srv/share", false),
            ("srv/share/x", false),
            ("srv/shared", true),
        ] {
            assert_eq!(mounts.is_watchable(path.as_bytes()), wanted, "{path}");
        }
    }

    #[test]
    fn what_is_mounted_elsewhere_does_not_matter_and_what_is_mounted_here_does() {
        let before = mounts(HOST, &["/srv"]);
        let more = |line: &str| mounts(&format!("{HOST}{line}\n"), &["/srv"]);
        assert_eq!(before, more("40 22 8:2 / /mnt rw - ext4 /dev/sdb rw"));
        assert_ne!(before, more("40 22 8:2 / /srv rw - ext4 /dev/sdb rw"));
        assert_ne!(before, more("40 22 8:2 / /srv/a rw - ext4 /dev/sdb rw"));
        assert_ne!(mounts(HOST, &["/srv/a"]), {
            mounts(&format!("{HOST}40 22 8:2 / /srv rw - ext4 /dev/sdb rw"), &["/srv/a"])
        });
    }

    #[test]
    fn directories_that_show_twice_are_not_believed_and_a_mount_that_covers_itself_is() {
        for (line, paths, path, wanted) in [
            // As a service manager covers its own folder, in the same place.
            ("40 22 253:0 /srv/a /srv/a ro - ext4 /dev/vda rw", &["/srv"][..], "srv/a/x", true),
            ("40 22 253:0 /srv/b /srv/a rw - ext4 /dev/vda rw", &["/srv"], "srv/a/x", false),
            ("40 22 253:0 /srv/b /srv/a rw - ext4 /dev/vda rw", &["/srv"], "srv/b/x", false),
            ("40 22 253:0 /srv/b /mnt rw - ext4 /dev/vda rw", &["/srv"], "srv/b/x", true),
            ("40 22 253:0 /srv/b /mnt rw - ext4 /dev/vda rw", &["/srv", "/mnt"], "srv/b/x", false),
            ("40 30 8:1 /@home /srv/home rw - btrfs /dev/sda1 rw", &["/srv"], "srv/home", false),
        ] {
            assert_eq!(mounts(&format!("{HOST}{line}"), paths).is_watchable(path.as_bytes()), wanted, "{line}");
        }
        let subvolumes = "22 1 0:30 /@ / rw - btrfs /dev/vda rw\n30 22 0:30 /@home /home rw - btrfs /dev/vda rw\n";
        assert!(mounts(subvolumes, &["/"]).is_watchable(b"home/a"));
    }

    #[test]
    fn nonsense_is_not_understood() {
        let tree = PathTree::new([components(b"/srv")]);
        for text in ["", "22 1", "22 1 253:0 / / rw ext4"] {
            assert_eq!(Mounts::of(text.as_bytes(), &tree), None, "{text}");
        }
    }
}
