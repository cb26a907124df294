//! `dobaas ls`, `find`, `versions`, `diff`: looking into snapshots without taking anything back.
//!
//! With `--json`, one `entry`, `version` or `change` event per line, then a `summary`.
//!
//! Invariant: I12 — what a damaged node hides is counted in the last line and in the exit code.

use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::text::date::moment;
use common::text::{Arg, Texts, name};
use common::tree::diff::Change;
use common::tree::entry::{Entry, EntryKind};
use common::tree::path::EntryKey;
use serde::Serialize;

use super::access::Access;
use super::args::reading::{DiffArgs, FindArgs, LsArgs, VersionsArgs};
use super::context::Context;
use super::failure::{CliError, Exit};
use super::output::Output;
use crate::browse::contents::{BrowseError, Browser, Pattern, Version};
use crate::browse::history::Point;
use crate::restore::fetch::FetchError;

/// Columns of a size in a listing.
const SIZE_COLUMNS: usize = 10;

/// One entry; bytes are integers, times RFC 3339.
#[derive(Serialize)]
struct EntryEvent {
    event: &'static str,
    path: String,
    /// The exact bytes in hexadecimal, only if the path is not UTF-8.
    path_hex: Option<String>,
    kind: &'static str,
    size: u64,
    mode: String,
    uid: u32,
    gid: u32,
    mtime: String,
    fuzzy: bool,
}

#[derive(Serialize)]
struct VersionEvent {
    event: &'static str,
    point: String,
    snapshot: String,
    received_at: String,
    /// `null` if the file was not there.
    entry: Option<EntryEvent>,
}

#[derive(Serialize)]
struct ChangeEvent {
    event: &'static str,
    /// `added`, `removed` or `changed`.
    change: &'static str,
    old: Option<EntryEvent>,
    new: Option<EntryEvent>,
}

#[derive(Serialize)]
struct SummaryEvent {
    event: &'static str,
    items: u64,
    /// Nodes of the tree that could not be read: something may be missing above.
    lost_nodes: u64,
}

/// Prints items as they come, counts them, and remembers that the reader went away.
struct Listing {
    output: Output,
    items: u64,
    failed: Option<io::Error>,
}

impl Listing {
    fn new(output: Output) -> Self {
        Self { output, items: 0, failed: None }
    }

    fn push(&mut self, event: &impl Serialize, line: impl FnOnce() -> String) -> ControlFlow<()> {
        self.items += 1;
        match self.output.answer(event, || format!("{}\n", line())) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn finish(self, lost_nodes: u64) -> Result<Exit, CliError> {
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        self.output.event(&SummaryEvent { event: "summary", items: self.items, lost_nodes })?;
        if lost_nodes == 0 {
            return Ok(Exit::Done);
        }
        self.output.remark(&self.output.texts.say_with("browse-lost", &[("count", Arg::Count(lost_nodes))]));
        Ok(Exit::Incomplete)
    }
}

/// Runs `ls`.
pub fn ls(args: &LsArgs, context: &Context) -> Result<Exit, CliError> {
    let key = args.path.as_deref().map(key_of).transpose()?.flatten();
    let access = Access::to_names(&args.point.read, context)?;
    let source = access.source(args.point.source.as_deref(), context)?;
    let reader = access.reader(&access.point(&source, &args.point.at, context)?, context)?;
    let fetcher = reader.fetcher();
    let browser = Browser { fetcher: &fetcher };
    let mut listing = Listing::new(context.output);
    let texts = context.output.texts;
    let listed = browser.list(reader.root(), key.as_ref(), args.recursive, &mut |key, entry| {
        listing.push(&entry_event(key, entry), || line(key, entry, texts))
    });
    let lost = match (listed, &key) {
        (Err(BrowseError::NotADirectory(_)), Some(key)) => {
            let entry = browser.entry(reader.root(), key).map_err(failure)?;
            let _ = entry.map(|entry| listing.push(&entry_event(key, &entry), || line(key, &entry, texts)));
            0
        }
        (listed, _) => listed.map_err(failure)?,
    };
    listing.finish(lost)
}

/// Runs `find`.
pub fn find(args: &FindArgs, context: &Context) -> Result<Exit, CliError> {
    let key = args.path.as_deref().map(key_of).transpose()?.flatten();
    let pattern = Pattern::parse(&args.pattern)
        .map_err(|error| CliError::new(Exit::Usage, "cli-pattern").with("pattern", &error.pattern).because(&error))?;
    let access = Access::to_names(&args.point.read, context)?;
    let source = access.source(args.point.source.as_deref(), context)?;
    let reader = access.reader(&access.point(&source, &args.point.at, context)?, context)?;
    let fetcher = reader.fetcher();
    let mut listing = Listing::new(context.output);
    let texts = context.output.texts;
    let lost = Browser { fetcher: &fetcher }
        .find(reader.root(), key.as_ref(), &pattern, &mut |key, entry| {
            listing.push(&entry_event(key, entry), || line(key, entry, texts))
        })
        .map_err(failure)?;
    listing.finish(lost)
}

/// Runs `versions`.
pub fn versions(args: &VersionsArgs, context: &Context) -> Result<Exit, CliError> {
    let key = key_of(&args.file)?.ok_or_else(|| CliError::new(Exit::Usage, "cli-path-invalid").with("path", "/"))?;
    let access = Access::to_names(&args.read, context)?;
    let source = access.source(args.source.as_deref(), context)?;
    let mut points = access.history(&source, None, context)?.points;
    let Some(newest) = points.first() else {
        return Err(CliError::new(Exit::Failed, "cli-no-snapshot"));
    };
    // One scope reads all of a source's snapshots; those of another are left out by `history`.
    let reader = access.reader(newest, context)?;
    points.reverse();
    let roots: Vec<_> = points.iter().map(|point| point.listed.stored.head.root).collect();
    let fetcher = reader.fetcher();
    let found = Browser { fetcher: &fetcher }.versions(&roots, &key).map_err(failure)?;
    let mut listing = Listing::new(context.output);
    let known = found.iter().skip_while(|version| version.entry.is_none());
    for version in known {
        let (point, back) = (&points[version.index], points.len() - 1 - version.index);
        let event = version_event(&key, version, point, back);
        if listing.push(&event, || version_line(version, point, back, context)).is_break() {
            break;
        }
    }
    if listing.items == 0 && listing.failed.is_none() {
        return Err(CliError::new(Exit::Failed, "browse-absent").with("path", args.file.display()));
    }
    listing.finish(0)
}

/// Runs `diff`.
pub fn diff(args: &DiffArgs, context: &Context) -> Result<Exit, CliError> {
    let key = args.path.as_deref().map(key_of).transpose()?.flatten();
    let access = Access::to_names(&args.read, context)?;
    let source = access.source(args.source.as_deref(), context)?;
    let old = access.point(&source, &args.old, context)?;
    let new = access.point(&source, &args.new, context)?;
    let reader = access.reader(&new, context)?;
    let fetcher = reader.fetcher();
    let mut listing = Listing::new(context.output);
    let texts = context.output.texts;
    let roots = (old.listed.stored.head.root, new.listed.stored.head.root);
    let compared = Browser { fetcher: &fetcher }
        .diff(roots, key.as_ref(), &mut |change| listing.push(&change_event(change), || change_line(change, texts)));
    compared.map_err(failure)?;
    listing.finish(0)
}

/// The key of a typed path; `None` for the top.
pub fn key_of(path: &Path) -> Result<Option<EntryKey>, CliError> {
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
    if bytes.is_empty() {
        return Ok(None);
    }
    EntryKey::from_path(bytes)
        .map(Some)
        .map_err(|error| CliError::new(Exit::Usage, "cli-path-invalid").with("path", path.display()).because(&error))
}

/// Why a snapshot could not be looked into.
pub fn failure(error: BrowseError) -> CliError {
    match error {
        BrowseError::Fetch(FetchError::Remote(error)) => error.into(),
        BrowseError::Fetch(ref cause) => CliError::new(Exit::Failed, "browse-failed").because(cause),
        BrowseError::Damaged => CliError::new(Exit::Failed, "browse-damaged"),
        BrowseError::NotFound(path) | BrowseError::NotADirectory(path) => {
            CliError::new(Exit::Failed, "browse-absent").with("path", format!("/{}", name::shown(&path)))
        }
    }
}

fn entry_event(key: &EntryKey, entry: &Entry) -> EntryEvent {
    let path = key.path();
    let hex = || path.iter().map(|byte| format!("{byte:02x}")).collect();
    EntryEvent {
        event: "entry",
        path: format!("/{}", String::from_utf8_lossy(&path)),
        path_hex: std::str::from_utf8(&path).is_err().then(hex),
        kind: kind_word(&entry.kind),
        size: entry.size(),
        mode: format!("{:04o}", entry.mode),
        uid: entry.owner.uid,
        gid: entry.owner.gid,
        mtime: moment(entry.mtime_ns).to_string(),
        fuzzy: matches!(&entry.kind, EntryKind::File(file) if file.fuzzy),
    }
}

fn version_event(key: &EntryKey, version: &Version, point: &Point, back: usize) -> VersionEvent {
    VersionEvent {
        event: "version",
        point: format!("@{back}"),
        snapshot: point.session().to_string(),
        received_at: moment(point.listed.stored.server.received_at_ns).to_string(),
        entry: version.entry.as_ref().map(|entry| entry_event(key, entry)),
    }
}

fn change_event(change: &Change) -> ChangeEvent {
    let event = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry_event(&change.key, entry));
    ChangeEvent {
        event: "change",
        change: match (&change.old, &change.new) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        },
        old: event(&change.old),
        new: event(&change.new),
    }
}

const fn kind_word(kind: &EntryKind) -> &'static str {
    match kind {
        EntryKind::File(_) => "file",
        EntryKind::Directory => "directory",
        EntryKind::Symlink { .. } => "symlink",
        EntryKind::HardLink { .. } => "hard_link",
        EntryKind::Fifo => "fifo",
        EntryKind::Socket => "socket",
        EntryKind::CharDevice(_) => "char_device",
        EntryKind::BlockDevice(_) => "block_device",
    }
}

/// `-rw-r--r--  alice        12 ko  22/11/2026 03:05  /srv/x`
fn line(key: &EntryKey, entry: &Entry, texts: Texts) -> String {
    let owner = match entry.owner.user.as_slice() {
        [] => entry.owner.uid.to_string(),
        user => name::shown(user),
    };
    let size = match entry.kind {
        EntryKind::File(_) => texts.size(entry.size()),
        _ => String::new(),
    };
    let leads_to = match &entry.kind {
        EntryKind::Symlink { target } => format!(" -> {}", name::shown(target)),
        EntryKind::HardLink { to } => format!(" = /{}", name::shown(&to.path())),
        EntryKind::Directory => "/".to_owned(),
        _ => String::new(),
    };
    let date = texts.date(moment(entry.mtime_ns));
    format!("{}  {owner:<8}  {size:>SIZE_COLUMNS$}  {date}  /{}{leads_to}", mode_text(entry), name::shown(&key.path()))
}

fn version_line(version: &Version, point: &Point, back: usize, context: &Context) -> String {
    let texts = context.output.texts;
    let at = texts.date_and_relative(moment(point.listed.stored.server.received_at_ns), context.now());
    let what = match &version.entry {
        None => texts.say("version-gone"),
        Some(entry) => {
            let args =
                [("size", Arg::from(texts.size(entry.size()))), ("date", texts.date(moment(entry.mtime_ns)).into())];
            texts.say_with("version-there", &args)
        }
    };
    format!("@{back:<4} {}  {at}  {what}", point.session().short())
}

/// `+ /srv/new`, `- /srv/old`, `M /srv/changed  12 ko -> 13 ko`
fn change_line(change: &Change, texts: Texts) -> String {
    let path = name::shown(&change.key.path());
    match (&change.old, &change.new) {
        (None, _) => format!("+ /{path}"),
        (_, None) => format!("- /{path}"),
        (Some(old), Some(new)) if old.size() != new.size() => {
            format!("M /{path}  {} -> {}", texts.size(old.size()), texts.size(new.size()))
        }
        _ => format!("M /{path}"),
    }
}

/// Ten letters, as everybody knows them.
fn mode_text(entry: &Entry) -> String {
    let kind = match entry.kind {
        EntryKind::File(_) | EntryKind::HardLink { .. } => '-',
        EntryKind::Directory => 'd',
        EntryKind::Symlink { .. } => 'l',
        EntryKind::Fifo => 'p',
        EntryKind::Socket => 's',
        EntryKind::CharDevice(_) => 'c',
        EntryKind::BlockDevice(_) => 'b',
    };
    let mut text = String::with_capacity(10);
    text.push(kind);
    for (shift, special, on, off) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')] {
        let bits = entry.mode >> shift & 0o7;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (entry.mode & special == 0, bits & 1 == 0) {
            (true, true) => '-',
            (true, false) => 'x',
            (false, true) => off,
            (false, false) => on,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use common::tree::entry::Owner;
    use common::tree::xattrs::Xattrs;

    use super::*;

    fn entry(kind: EntryKind, mode: u16) -> Entry {
        let owner = Owner { uid: 1_000, gid: 1_000, user: b"alice".to_vec(), group: b"alice".to_vec() };
        Entry { kind, mode, owner, mtime_ns: 1_795_313_100_000_000_000, xattrs: Xattrs::none() }
    }

    #[test]
    fn modes_read_as_everybody_knows_them() {
        for (kind, mode, expected) in [
            (EntryKind::Directory, 0o755, "drwxr-xr-x"),
            (EntryKind::Directory, 0o1777, "drwxrwxrwt"),
            (EntryKind::Fifo, 0o640, "prw-r-----"),
            (EntryKind::Socket, 0o6755, "srwsr-sr-x"),
            (EntryKind::Symlink { target: b"x".to_vec() }, 0o7666, "lrwSrwSrwT"),
        ] {
            assert_eq!(mode_text(&entry(kind, mode)), expected);
        }
    }

    #[test]
    fn a_listing_shows_hostile_names_harmlessly() {
        let key = EntryKey::from_path(b"srv/\x1b[2J\xe9").unwrap();
        let link = entry(EntryKind::Symlink { target: b"../\x07".to_vec() }, 0o777);
        let text = line(&key, &link, Texts::FRENCH.plain());
        assert_eq!(text, "lrwxrwxrwx  alice                 22/11/2026 03:05  /srv/\\x1b[2J\\xe9 -> ../\\x07");
        let event = serde_json::to_value(entry_event(&key, &link)).unwrap();
        assert_eq!(event["path_hex"], "7372762f1b5b324ae9");
        assert_eq!(event["mtime"], "2026-11-22T02:05:00Z");
    }

    #[test]
    fn the_top_is_no_entry_and_a_path_above_it_is_refused() {
        assert_eq!(key_of(Path::new("/")).unwrap(), None);
        assert_eq!(key_of(Path::new("/srv/")).unwrap(), key_of(Path::new("srv")).unwrap());
        assert!(key_of(Path::new("/srv/../etc")).is_err());
    }
}
