//! The messages of NBD as bytes, big-endian: options and their replies, commands, the chunks of structured replies.
//!
//! Values only; it reads and writes no socket.

use common::limits::{NBD_CHUNK_BYTES_MAX, NBD_EXTENTS_PER_CHUNK_MAX, NBD_OPTION_BYTES_MAX, NBD_TEXT_BYTES_MAX};

use super::NbdError;

/// What a server sends first.
pub const GREETING: [u8; 16] = *b"NBDMAGICIHAVEOPT";
/// Flag of a server that answers options, and of a client that reads its answers.
pub const FIXED_NEWSTYLE: u16 = 1;
/// Flag: no padding after the handshake.
pub const NO_ZEROES: u16 = 2;

const OPTION_MAGIC: &[u8; 8] = b"IHAVEOPT";
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const COMMAND_MAGIC: u32 = 0x2560_9513;
const SIMPLE_MAGIC: u32 = 0x6744_6698;
const STRUCTURED_MAGIC: u32 = 0x668e_33ef;

/// Option: take an export and begin.
pub const OPTION_GO: u32 = 7;
/// Option: replies in chunks.
pub const OPTION_STRUCTURED: u32 = 8;
/// Option: what `block status` answers.
pub const OPTION_SET_CONTEXT: u32 = 10;

/// Reply to an option: done.
pub const REPLY_ACK: u32 = 1;
/// Reply to an option: a fact about the export.
pub const REPLY_INFO: u32 = 3;
/// Reply to an option: a context and its number.
pub const REPLY_CONTEXT: u32 = 4;
const REPLY_ERROR: u32 = 1 << 31;

/// Command: read a range.
pub const READ: u16 = 0;
/// Command: end.
pub const DISCONNECT: u16 = 2;
/// Command: what a range is.
pub const BLOCK_STATUS: u16 = 7;

const CHUNK_DONE: u16 = 1;
const CHUNK_NONE: u16 = 0;
const CHUNK_DATA: u16 = 1;
const CHUNK_HOLE: u16 = 2;
const CHUNK_STATUS: u16 = 5;
const CHUNK_ERROR: u16 = 1 << 15;

/// Bytes of the head of a reply to an option.
pub const OPTION_REPLY_BYTES: usize = 20;
/// Bytes of the head of a reply to a command; a simple one is shorter by four.
pub const REPLY_BYTES: usize = 20;
/// Bytes of a simple reply to a command.
pub const SIMPLE_REPLY_BYTES: usize = 16;

/// An option.
pub fn option(number: u32, data: &[u8]) -> Vec<u8> {
    let mut message = OPTION_MAGIC.to_vec();
    message.extend_from_slice(&number.to_be_bytes());
    message.extend_from_slice(&length(data).to_be_bytes());
    message.extend_from_slice(data);
    message
}

/// Data of [`OPTION_GO`]: the export of this name, no facts asked for.
pub fn go(export: &str) -> Vec<u8> {
    let mut data = text(export);
    data.extend_from_slice(&0u16.to_be_bytes());
    data
}

/// Data of [`OPTION_SET_CONTEXT`].
pub fn set_context(export: &str, contexts: &[&str]) -> Vec<u8> {
    let mut data = text(export);
    data.extend_from_slice(&u32::try_from(contexts.len()).unwrap_or(u32::MAX).to_be_bytes());
    contexts.iter().for_each(|context| data.extend(text(context)));
    data
}

fn text(text: &str) -> Vec<u8> {
    [&length(text.as_bytes()).to_be_bytes()[..], text.as_bytes()].concat()
}

fn length(data: &[u8]) -> u32 {
    u32::try_from(data.len()).unwrap_or(u32::MAX)
}

/// Head of a reply to an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionReply {
    /// What it says.
    pub kind: u32,
    /// Bytes that follow.
    pub bytes: usize,
}

impl OptionReply {
    /// Reads the head of a reply to option `asked`.
    ///
    /// # Errors
    /// If it is none, or too long.
    pub fn parse(head: &[u8; OPTION_REPLY_BYTES], asked: u32) -> Result<Self, NbdError> {
        if u64_at(head, 0) != Some(OPTION_REPLY_MAGIC) || u32_at(head, 8) != Some(asked) {
            return Err(NbdError::Protocol("a reply to no option of ours"));
        }
        let kind = u32_at(head, 12).unwrap_or(REPLY_ERROR);
        let bytes = bounded(u32_at(head, 16), NBD_OPTION_BYTES_MAX, "a reply to an option is too long")?;
        Ok(Self { kind, bytes })
    }

    /// True if the server says no.
    pub fn is_refusal(self) -> bool {
        self.kind & REPLY_ERROR != 0
    }

    /// The refusal, with the server's own words.
    pub fn refusal(self, words: &[u8]) -> NbdError {
        NbdError::Refused { number: self.kind & !REPLY_ERROR, said: shown(words) }
    }
}

/// Size of the export, if a fact about it says so.
pub fn export_size(info: &[u8]) -> Option<u64> {
    if info.get(..2)? == [0, 0] { u64_at(info, 2) } else { None }
}

/// Number and name of a context.
pub fn context(data: &[u8]) -> Option<(u32, &str)> {
    Some((u32_at(data, 0)?, std::str::from_utf8(data.get(4..)?).ok()?))
}

/// A command.
pub fn command(kind: u16, cookie: u64, (offset, bytes): (u64, u32)) -> Vec<u8> {
    let mut message = COMMAND_MAGIC.to_be_bytes().to_vec();
    message.extend_from_slice(&[0, 0]);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&cookie.to_be_bytes());
    message.extend_from_slice(&offset.to_be_bytes());
    message.extend_from_slice(&bytes.to_be_bytes());
    message
}

/// What a chunk of a reply carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkKind {
    /// Nothing.
    None,
    /// Bytes of the disk.
    Data,
    /// Zeros of the disk.
    Hole,
    /// What ranges are.
    Status,
    /// The command failed.
    Error,
    /// The command ended, with this error if it is not 0, and nothing follows.
    Simple(u32),
}

/// Head of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkHead {
    /// What it carries.
    pub kind: ChunkKind,
    /// Bytes that follow.
    pub bytes: usize,
    /// True for the last one of its reply.
    pub is_last: bool,
}

/// True if a head of which these are the first bytes is a simple reply, which is shorter.
pub fn is_simple(start: &[u8; SIMPLE_REPLY_BYTES]) -> bool {
    u32_at(start, 0) == Some(SIMPLE_MAGIC)
}

impl ChunkHead {
    /// Reads a simple reply to the command `cookie`.
    ///
    /// # Errors
    /// If it is for another one.
    pub fn simple(head: &[u8; SIMPLE_REPLY_BYTES], cookie: u64) -> Result<Self, NbdError> {
        if u64_at(head, 8) != Some(cookie) {
            return Err(NbdError::Protocol("a reply to no command of ours"));
        }
        Ok(Self { kind: ChunkKind::Simple(u32_at(head, 4).unwrap_or(u32::MAX)), bytes: 0, is_last: true })
    }

    /// Reads the head of a chunk of the reply to the command `cookie`.
    ///
    /// # Errors
    /// If it is none, for another command, or too long.
    pub fn parse(head: &[u8; REPLY_BYTES], cookie: u64) -> Result<Self, NbdError> {
        if u32_at(head, 0) != Some(STRUCTURED_MAGIC) || u64_at(head, 8) != Some(cookie) {
            return Err(NbdError::Protocol("a reply to no command of ours"));
        }
        let [_, _, _, _, flags_high, flags_low, kind_high, kind_low, ..] = *head;
        let kind = match u16::from_be_bytes([kind_high, kind_low]) {
            CHUNK_NONE => ChunkKind::None,
            CHUNK_DATA => ChunkKind::Data,
            CHUNK_HOLE => ChunkKind::Hole,
            CHUNK_STATUS => ChunkKind::Status,
            error if error & CHUNK_ERROR != 0 => ChunkKind::Error,
            _ => return Err(NbdError::Protocol("an unknown kind of chunk")),
        };
        let bytes = bounded(u32_at(head, 16), NBD_CHUNK_BYTES_MAX, "a chunk is too long")?;
        let is_last = u16::from_be_bytes([flags_high, flags_low]) & CHUNK_DONE != 0;
        Ok(Self { kind, bytes, is_last })
    }
}

/// First byte on the disk that a chunk of data or zeros is about.
pub fn offset(chunk: &[u8]) -> Option<u64> {
    u64_at(chunk, 0)
}

/// Offset and length of zeros.
pub fn hole(chunk: &[u8]) -> Option<(u64, u32)> {
    if chunk.len() == 12 { Some((u64_at(chunk, 0)?, u32_at(chunk, 8)?)) } else { None }
}

/// Number of a context, and the lengths and flags of ranges, each after the one before it.
///
/// # Errors
/// If it is malformed, says nothing, or says too much at once.
pub fn status(chunk: &[u8]) -> Result<(u32, Vec<(u32, u32)>), NbdError> {
    let malformed = || NbdError::Protocol("a malformed status");
    let number = u32_at(chunk, 0).ok_or_else(malformed)?;
    let (ranges, rest) = chunk[4..].as_chunks::<8>();
    if !rest.is_empty() || ranges.is_empty() || ranges.len() > NBD_EXTENTS_PER_CHUNK_MAX {
        return Err(malformed());
    }
    let range = |range: &[u8; 8]| Some((u32_at(range, 0).filter(|bytes| *bytes > 0)?, u32_at(range, 4)?));
    Ok((number, ranges.iter().map(range).collect::<Option<_>>().ok_or_else(malformed)?))
}

/// The error that a chunk is about.
pub fn error(chunk: &[u8]) -> NbdError {
    NbdError::Refused { number: u32_at(chunk, 0).unwrap_or(0), said: shown(chunk.get(6..).unwrap_or_default()) }
}

fn bounded(bytes: Option<u32>, most: usize, what: &'static str) -> Result<usize, NbdError> {
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes <= most).ok_or(NbdError::Protocol(what))
}

/// Words of a server as one line that does not disturb a terminal.
fn shown(words: &[u8]) -> String {
    let words = String::from_utf8_lossy(&words[..words.len().min(NBD_TEXT_BYTES_MAX)]);
    words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(magic: u32, flags: u16, kind: u16, bytes: u32) -> [u8; REPLY_BYTES] {
        let parts = [
            &magic.to_be_bytes()[..],
            &flags.to_be_bytes(),
            &kind.to_be_bytes(),
            &7u64.to_be_bytes(),
            &bytes.to_be_bytes(),
        ];
        parts.concat().try_into().unwrap()
    }

    #[test]
    fn heads_that_lie_about_their_length_kind_or_command_are_refused() {
        let good = ChunkHead { kind: ChunkKind::Data, bytes: 12, is_last: true };
        assert_eq!(ChunkHead::parse(&head(STRUCTURED_MAGIC, 1, 1, 12), 7).unwrap(), good);
        for (bad, cookie) in [
            (head(STRUCTURED_MAGIC, 1, 1, 12), 8),
            (head(COMMAND_MAGIC, 1, 1, 12), 7),
            (head(STRUCTURED_MAGIC, 1, 9, 12), 7),
            (head(STRUCTURED_MAGIC, 1, 1, u32::MAX), 7),
        ] {
            assert!(matches!(ChunkHead::parse(&bad, cookie), Err(NbdError::Protocol(_))));
        }
    }

    #[test]
    fn a_status_gives_its_ranges_and_none_of_length_zero() {
        let chunk = |ranges: &[(u32, u32)]| {
            let pairs = ranges.iter().flat_map(|(bytes, flags)| [bytes.to_be_bytes(), flags.to_be_bytes()].concat());
            [3u32.to_be_bytes().to_vec(), pairs.collect()].concat()
        };
        assert_eq!(status(&chunk(&[(5, 0), (9, 3)])).unwrap(), (3, vec![(5, 0), (9, 3)]));
        assert!(status(&chunk(&[])).is_err() && status(&chunk(&[(0, 1)])).is_err());
        assert!(status(&chunk(&[(1, 1)])[..11]).is_err() && status(&[]).is_err());
    }

    #[test]
    fn the_words_of_a_server_are_one_short_line() {
        let NbdError::Refused { said, .. } = error(&[b"\0\0\0\x16\0\0".as_slice(), &[b'\n'; 9_000]].concat()) else {
            panic!("it is a refusal")
        };
        assert!(said.len() <= NBD_TEXT_BYTES_MAX && !said.contains('\n'));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (status(&bytes), hole(&bytes), offset(&bytes), error(&bytes), context(&bytes), export_size(&bytes));
            if let Some(head) = bytes.first_chunk::<REPLY_BYTES>() {
                let _ = (ChunkHead::parse(head, 0), OptionReply::parse(head, 0));
            }
        }
    }
}
