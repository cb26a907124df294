//! A disk image made again in its format, from the content of its disk.
//!
//! Order: the content is written raw under a temporary name and verified like any file → converted beside it, in a folder of its
//! own, under its final name, which some formats hold inside → compared with the raw content by the tool → metadata → moved to
//! its name. It needs the room of both for a while.
//!
//! Invariant: the tool is given open files and a name in a folder that was just made: it writes nowhere else.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::sync::atomic::Ordering;

use super::meta::Created;
use super::outcome::Problem;
use super::target::Directory;
use super::write::{FileJob, FileWriter};
use crate::source::disk::format::Format;
use crate::source::disk::label::Label;
use crate::source::disk::tools::{ToolError, Tools, path_of, run_while};

/// In which format disk images come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskOutput {
    /// Their own, made by these tools.
    Original(Tools),
    /// The bytes of the disk, under the name of the image with `.raw` after it.
    Raw,
}

/// What [`DiskOutput::Raw`] adds to the name of an image.
pub const RAW_ENDING: &[u8] = b".raw";

impl DiskOutput {
    /// What a file with this label, if it has one that can be read, is made into; `None`: just written.
    ///
    /// # Errors
    /// [`Problem::DiskFormat`] if it cannot be made here.
    pub(super) fn plan(&self, label: Result<Option<Label>, ()>, has_tools: impl Fn(&Tools) -> bool) -> Plan {
        match (self, label) {
            (_, Ok(None)) => Ok(None),
            (Self::Raw, _) => Ok(Some(Making::Raw)),
            (Self::Original(_), Ok(Some(label))) if label.format == Format::Raw => Ok(None),
            (Self::Original(tools), Ok(Some(label))) if has_tools(tools) => Ok(Some(Making::Image(label))),
            (Self::Original(_), _) => Err(Problem::DiskFormat),
        }
    }
}

/// What becomes of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Making {
    /// A raw file under another name.
    Raw,
    /// An image.
    Image(Label),
}

type Plan = Result<Option<Making>, Problem>;

impl FileWriter<'_> {
    /// Makes the image of a disk that was written and verified, and gives it its name.
    pub(super) fn finish_image(
        &self,
        folder: &Directory,
        temporary: &[u8],
        job: &FileJob,
        (raw, label): (&File, &Label),
    ) -> Result<Vec<Problem>, Problem> {
        let DiskOutput::Original(tools) = self.disks else { return Err(Problem::DiskFormat) };
        let nest = [temporary, b"-image"].concat();
        let refused = |step| move |error: io::Error| self.refused(step, &error);
        folder.remove_folder(&nest).and_then(|()| folder.make_private(&nest)).map_err(refused("create"))?;
        let finished = folder.private(&nest).map_err(refused("create")).and_then(|inside| {
            self.convert(tools, &inside, job, (raw, label)).map_err(refused("convert"))?;
            let image = inside.open_file(&job.name, false).map_err(refused("convert"))?;
            let created = Created { mode_is_right: false, inherits: folder.inherits };
            let problems = self.rules.apply(image.as_fd(), &job.meta, created).map_err(refused("metadata"))?;
            inside.rename_into(&job.name, folder, &job.name, job.replace).map_err(refused("rename"))?;
            Ok(problems)
        });
        // What stays is removed by the next restore of this snapshot.
        let _ = folder.remove_folder(&nest);
        let _ = folder.remove(temporary);
        finished
    }

    fn convert(
        &self,
        tools: &Tools,
        inside: &Directory,
        job: &FileJob,
        (raw, label): (&File, &Label),
    ) -> io::Result<()> {
        let name = [b"./", &job.name[..]].concat();
        let name = std::ffi::OsStr::from_bytes(&name);
        let format = label.format.name();
        let command = |verb: &[&str]| {
            let mut command = Command::new(&tools.image);
            command.args(verb).current_dir(path_of(inside.handle()));
            command
        };
        let mut convert = command(&["convert", "-f", "raw", "-O", format]);
        let options = label.options_of_tool();
        if !options.is_empty() {
            convert.arg("-o").arg(options);
        }
        self.run_tool(convert.arg(path_of(raw)).arg(name))?;
        let mut compare = command(&["compare", "-q", "-f", "raw", "-F", format]);
        self.run_tool(compare.arg(path_of(raw)).arg(name))
    }

    fn run_tool(&self, command: &mut Command) -> io::Result<()> {
        match run_while(command, || !self.stop.load(Ordering::Relaxed)) {
            Ok(_) => Ok(()),
            Err(ToolError::Failed(said)) if said.contains("No space left") => {
                Err(io::Error::new(io::ErrorKind::StorageFull, said))
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_made_here_is_said_before_anything_is_fetched() {
        let (original, label) = (DiskOutput::Original(Tools::default()), Label::new(Format::Vhdx));
        let (yes, no) = (|_: &Tools| true, |_: &Tools| false);
        let making = Ok(Some(Making::Image(label.clone())));
        assert_eq!(original.plan(Ok(Some(label.clone())), yes), making);
        assert_eq!(original.plan(Ok(Some(label.clone())), no), Err(Problem::DiskFormat));
        assert_eq!(original.plan(Err(()), yes), Err(Problem::DiskFormat));
        assert_eq!(DiskOutput::Raw.plan(Err(()), no), Ok(Some(Making::Raw)));
        assert_eq!(DiskOutput::Raw.plan(Ok(Some(label)), no), Ok(Some(Making::Raw)));
        assert_eq!(original.plan(Ok(None), no), Ok(None));
    }
}
