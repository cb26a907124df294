//! What an event of the watcher says of the marks.
//!
//! It decides nothing: an event that is not understood is a doubt, and a doubt ends in a full walk.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Error, ErrorKind, Event};

use crate::source::journal::doubt::Doubt;
use crate::source::journal::marks::Marks;

/// Marks what an event tells; a doubt if it tells that others were lost.
pub fn apply(event: &Result<Event, Error>, marks: &mut Marks) -> Option<Doubt> {
    let event = match event {
        Ok(event) => event,
        Err(error) => return Some(doubt_of(error)),
    };
    if event.need_rescan() {
        return Some(Doubt::Overflow);
    }
    let paths = event.paths.iter().map(|path| below_top(path));
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => paths.for_each(|path| marks.changed(path)),
        EventKind::Access(_) => {}
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
            paths.for_each(|path| marks.replaced(path));
        }
        EventKind::Modify(_) => paths.for_each(|path| marks.changed(path)),
        EventKind::Any | EventKind::Other => return Some(Doubt::Failed),
    }
    None
}

/// The doubt that a failed watch leaves.
pub fn doubt_of(error: &Error) -> Doubt {
    match error.kind {
        ErrorKind::MaxFilesWatch => Doubt::Limit,
        _ => Doubt::Failed,
    }
}

/// A path as the walk has it, without its leading slash.
pub fn below_top(path: &Path) -> &[u8] {
    let bytes = path.as_os_str().as_bytes();
    bytes.strip_prefix(b"/").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::journal::marks::Standing;
    use notify::event::{CreateKind, DataChange, Flag, MetadataKind, RemoveKind, RenameMode};

    fn marks() -> Marks {
        let mut marks = Marks::default();
        marks.begin();
        for path in [&b"srv"[..], b"srv/a", b"srv/a/x"] {
            marks.visit(path);
        }
        marks.succeed();
        marks
    }

    #[test]
    fn what_may_change_an_entry_marks_and_what_only_reads_does_not() {
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let metadata = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let rename = |mode| EventKind::Modify(ModifyKind::Name(mode));
        for (kind, path, dirty) in [
            (data, "/srv/a/x/f", "srv/a/x"),
            (metadata, "/srv/a/x/f", "srv/a/x"),
            (metadata, "/srv/a/x", "srv/a/x srv/a"),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), "/srv/a/x/f", "srv/a/x"),
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), "/srv/a/x/f", ""),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), "/srv/a/x/f", ""),
            (EventKind::Create(CreateKind::File), "/srv/a/x/f", "srv/a/x srv/a"),
            (EventKind::Remove(RemoveKind::File), "/srv/a/f", "srv/a srv"),
            (rename(RenameMode::From), "/srv/a/f", "srv/a srv"),
            (rename(RenameMode::To), "/srv/a/f", "srv/a srv"),
        ] {
            let mut marks = marks();
            assert_eq!(apply(&Ok(Event::new(kind).add_path(path.into())), &mut marks), None);
            for known in ["srv", "srv/a", "srv/a/x"] {
                let is_wanted = dirty.split(' ').any(|dirty| dirty == known);
                assert_eq!(marks.is_dirty(known.as_bytes()), is_wanted, "{kind:?} {path}: {known}");
            }
        }
    }

    #[test]
    fn a_directory_that_went_away_or_came_back_is_known_no_more() {
        for kind in [EventKind::Create(CreateKind::Folder), EventKind::Remove(RemoveKind::Folder)] {
            let mut marks = marks();
            apply(&Ok(Event::new(kind).add_path("/srv/a".into())), &mut marks);
            assert_eq!((marks.known(), marks.standing(b"srv/a/x")), (1, Standing::Listed));
        }
    }

    #[test]
    fn lost_events_and_failed_watches_are_doubts() {
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        for (event, doubt) in [
            (Ok(overflow), Doubt::Overflow),
            (Ok(Event::new(EventKind::Any)), Doubt::Failed),
            (Err(Error::new(ErrorKind::MaxFilesWatch)), Doubt::Limit),
            (Err(Error::generic("x")), Doubt::Failed),
        ] {
            assert_eq!(apply(&event, &mut Marks::default()), Some(doubt));
        }
    }
}
