//! The agent's decoders of what other programs and the customer write, each as one function from bytes that are anything.

use std::io::{Cursor, Read, Write};

use agent::browse::contents::Pattern;
use agent::source::FileSet;
use agent::source::disk::format::Format;
use agent::source::disk::info::Info;
use agent::source::disk::label::Label;
use agent::source::disk::nbd::client::Client;
use agent::source::excludes::Excludes;

/// What is done with bytes.
type Decoder = fn(&[u8]);

/// All of them: a name, which is also that of the corpus, and the decoder.
pub const DECODERS: &[(&str, Decoder)] =
    &[("nbd", nbd), ("image-info", image_info), ("image-label", image_label), ("patterns", patterns)];

/// A server of a disk that has said everything before it is asked.
struct Script<'a>(Cursor<&'a [u8]>);

impl Read for Script<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(out)
    }
}

impl Write for Script<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn nbd(bytes: &[u8]) {
    let Ok(mut client) = Client::connect(Script(Cursor::new(bytes)), Some("b")) else { return };
    let mut out = [0; 64];
    let _ = (client.read(0, &mut out), client.changes(), client.holes());
}

fn image_info(bytes: &[u8]) {
    let Ok(info) = Info::parse(bytes) else { return };
    for format in [Format::Raw, Format::Qcow2, Format::Vmdk, Format::Vhdx] {
        if let Ok(label) = info.plan(format) {
            assert_eq!(Label::parse(&label.attribute().value), Ok(label), "what is kept is read again");
        }
    }
}

fn image_label(bytes: &[u8]) {
    if let Ok(label) = Label::parse(bytes) {
        let options = label.options_of_tool();
        assert!(!options.contains(['/', ' ']), "no option is a path");
    }
}

/// A pattern in each line.
fn patterns(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    drop(Pattern::parse(&text));
    let excludes = text.lines().map(str::to_owned).collect();
    let set = FileSet { paths: vec!["/srv".into()], excludes, ..FileSet::default() };
    if let Ok(excludes) = Excludes::new(&set) {
        excludes.leaves_out("/srv/a/b.txt".as_ref(), false);
    }
}
