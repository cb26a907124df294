//! A disk whose power can be cut: an ext4 image on a loop device, shut down without flushing its journal.
//!
//! What was not made durable is lost, a rename that was not made durable is undone, and later writes fail; then the journal is
//! replayed by mounting again. Writes are never reordered or torn by it: other campaigns have to show that.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `EXT4_IOC_SHUTDOWN` with `NOLOGFLUSH`, through perl because the workspace forbids the unsafe call that it takes.
const CUT: &str = r#"use Fcntl; sysopen(my $root, $ARGV[0], O_RDONLY) or die "open: $!";
my $flags = pack("I", 2); defined(ioctl($root, 0x8004587d, $flags)) or die "ioctl: $!";"#;

/// A mounted image; unmounted when dropped.
pub struct LoopDisk {
    image: PathBuf,
    root: PathBuf,
}

impl LoopDisk {
    /// Makes and mounts an image of `bytes` under `scratch`; `None`, with a message, where that cannot be done.
    pub fn make(scratch: &Path, bytes: u64) -> Option<Self> {
        let disk = Self { image: scratch.join("disk.img"), root: scratch.join("disk") };
        std::fs::create_dir(&disk.root).unwrap();
        std::fs::File::create(&disk.image).unwrap().set_len(bytes).unwrap();
        let made =
            succeeds(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-E", "lazy_itable_init=1"]).arg(&disk.image));
        if made && disk.mount() && disk.can_cut() {
            return Some(disk);
        }
        eprintln!("skipped: no power cut without root, mkfs.ext4, perl and a loop device");
        None
    }

    /// Where the disk is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cuts the power: from here on nothing reaches the image, and what was only in memory is lost.
    pub fn cut(&self) {
        assert!(self.shut_down(), "cutting the power of {}", self.root.display());
    }

    /// Power is back: mounts the image again, which replays its journal. Whoever used the disk must be gone.
    pub fn power_up(&self) {
        assert!(self.unmount(), "unmounting {}", self.root.display());
        assert!(self.mount(), "mounting {}", self.image.display());
    }

    fn can_cut(&self) -> bool {
        self.shut_down() && self.unmount() && self.mount()
    }

    fn shut_down(&self) -> bool {
        succeeds(Command::new("perl").args(["-e", CUT]).arg(&self.root))
    }

    fn mount(&self) -> bool {
        succeeds(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).args([&self.image, &self.root]))
    }

    fn unmount(&self) -> bool {
        succeeds(Command::new("umount").arg(&self.root))
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        if !self.unmount() {
            succeeds(Command::new("umount").arg("-l").arg(&self.root));
        }
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn a_cut_loses_what_was_not_made_durable_and_keeps_what_was() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(disk) = LoopDisk::make(scratch.path(), 64 << 20) else { return };
    let (durable, lost) = (disk.root().join("durable"), disk.root().join("lost"));
    std::fs::write(&durable, "kept").unwrap();
    for path in [&durable, disk.root()] {
        std::fs::File::open(path).unwrap().sync_all().unwrap();
    }
    std::fs::write(&lost, "gone").unwrap();
    disk.cut();
    assert!(std::fs::write(disk.root().join("after"), "x").is_err());
    disk.power_up();
    assert_eq!(std::fs::read_to_string(&durable).unwrap(), "kept");
    assert!(!lost.exists());
}
