//! A connection to a disk: the handshake, reading ranges, and maps of what is allocated or changed.
//!
//! One command at a time, over any stream with a time limit of its own.
//!
//! Invariant: a range is read whole or not at all, whatever order its pieces come in.

use std::io::{Read, Write};
use std::ops::Range;

use common::limits::{DISK_EXTENTS_MAX, NBD_OPTION_REPLIES_MAX, NBD_READ_BYTES_MAX, NBD_STATUS_BYTES};

use super::NbdError;
use super::wire::{
    self, BLOCK_STATUS, ChunkHead, ChunkKind, DISCONNECT, FIXED_NEWSTYLE, GREETING, NO_ZEROES, OPTION_GO,
    OPTION_REPLY_BYTES, OPTION_SET_CONTEXT, OPTION_STRUCTURED, OptionReply, READ, REPLY_ACK, REPLY_BYTES,
    REPLY_CONTEXT, REPLY_INFO, SIMPLE_REPLY_BYTES, is_simple,
};

/// The context that says what is allocated.
const ALLOCATION: &str = "base:allocation";
/// Flag of a range that reads as zeros.
const ZERO: u32 = 2;
/// Flag of a range that was written to.
const DIRTY: u32 = 1;

/// A disk that is being read.
pub struct Client<S> {
    stream: S,
    size: u64,
    allocation: Option<u32>,
    dirty: Option<u32>,
    cookie: u64,
}

impl<S: Read + Write> Client<S> {
    /// Shakes hands and takes the only export; `bitmap` names a bitmap of changes that the server was told to show.
    ///
    /// # Errors
    /// If the server does not speak the protocol, or has no such export.
    pub fn connect(mut stream: S, bitmap: Option<&str>) -> Result<Self, NbdError> {
        let mut greeting = [0; 18];
        stream.read_exact(&mut greeting)?;
        let flags = u16::from_be_bytes([greeting[16], greeting[17]]);
        if greeting[..16] != GREETING || flags & FIXED_NEWSTYLE == 0 {
            return Err(NbdError::Protocol("an unknown greeting"));
        }
        stream.write_all(&u32::from(FIXED_NEWSTYLE | (flags & NO_ZEROES)).to_be_bytes())?;
        if flags & NO_ZEROES == 0 {
            return Err(NbdError::Protocol("an old handshake"));
        }
        let mut client = Self { stream, size: 0, allocation: None, dirty: None, cookie: 0 };
        client.option(OPTION_STRUCTURED, &[], |_, _| Ok(()))?;
        let dirty = bitmap.map(|name| format!("qemu:dirty-bitmap:{name}"));
        let contexts: Vec<&str> = std::iter::once(ALLOCATION).chain(dirty.as_deref()).collect();
        let (mut allocation, mut changes) = (None, None);
        client.option(OPTION_SET_CONTEXT, &wire::set_context("", &contexts), |kind, data| {
            if kind == REPLY_CONTEXT {
                let (number, name) = wire::context(data).ok_or(NbdError::Protocol("a malformed context"))?;
                match name {
                    ALLOCATION => allocation = Some(number),
                    other if dirty.as_deref() == Some(other) => changes = Some(number),
                    _ => {}
                }
            }
            Ok(())
        })?;
        let mut size = None;
        client.option(OPTION_GO, &wire::go(""), |kind, data| {
            size = size.or_else(|| wire::export_size(data).filter(|_| kind == REPLY_INFO));
            Ok(())
        })?;
        client.size = size.ok_or(NbdError::Protocol("an export without a size"))?;
        (client.allocation, client.dirty) = (allocation, changes);
        Ok(client)
    }

    /// Size of the disk, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn option(
        &mut self,
        number: u32,
        data: &[u8],
        mut take: impl FnMut(u32, &[u8]) -> Result<(), NbdError>,
    ) -> Result<(), NbdError> {
        self.stream.write_all(&wire::option(number, data))?;
        for _ in 0..NBD_OPTION_REPLIES_MAX {
            let mut head = [0; OPTION_REPLY_BYTES];
            self.stream.read_exact(&mut head)?;
            let reply = OptionReply::parse(&head, number)?;
            let mut data = vec![0; reply.bytes];
            self.stream.read_exact(&mut data)?;
            if reply.is_refusal() {
                return Err(reply.refusal(&data));
            }
            if reply.kind == REPLY_ACK {
                return Ok(());
            }
            take(reply.kind, &data)?;
        }
        Err(NbdError::Protocol("too many replies to an option"))
    }

    /// Fills `out` from `offset`, which must lie on the disk to the end.
    ///
    /// # Errors
    /// If the server cannot read it, or sends something else.
    pub fn read(&mut self, offset: u64, out: &mut [u8]) -> Result<(), NbdError> {
        for (number, piece) in out.chunks_mut(NBD_READ_BYTES_MAX).enumerate() {
            self.read_piece(offset + (number * NBD_READ_BYTES_MAX) as u64, piece)?;
        }
        Ok(())
    }

    fn read_piece(&mut self, start: u64, out: &mut [u8]) -> Result<(), NbdError> {
        let bytes = u32::try_from(out.len()).unwrap_or(u32::MAX);
        self.send(READ, (start, bytes))?;
        let outside = || NbdError::Protocol("data that was not asked for");
        let whole = out.len();
        let place = |offset: u64, bytes: usize| {
            let from = usize::try_from(offset.checked_sub(start).ok_or_else(outside)?).map_err(|_| outside())?;
            let to = from.checked_add(bytes).filter(|to| *to <= whole).ok_or_else(outside)?;
            Ok::<_, NbdError>(from..to)
        };
        let mut filled = 0;
        let mut holes: Vec<Range<usize>> = Vec::new();
        let mut failure = None;
        loop {
            let head = self.head()?;
            match head.kind {
                ChunkKind::Data => {
                    let mut at = [0; 8];
                    let length = head.bytes.checked_sub(at.len()).ok_or_else(outside)?;
                    self.stream.read_exact(&mut at)?;
                    let range = place(wire::offset(&at).ok_or_else(outside)?, length)?;
                    self.stream.read_exact(&mut out[range])?;
                    filled += length;
                }
                _ => match (head.kind, self.body(head)?) {
                    (ChunkKind::Hole, body) => {
                        let (offset, length) = wire::hole(&body).ok_or_else(outside)?;
                        let range = place(offset, usize::try_from(length).map_err(|_| outside())?)?;
                        filled += range.len();
                        holes.push(range);
                    }
                    (ChunkKind::Error, body) => failure = failure.or(Some(wire::error(&body))),
                    (ChunkKind::Simple(0) | ChunkKind::None, _) => {}
                    (ChunkKind::Simple(number), _) => {
                        failure = failure.or(Some(NbdError::Refused { number, said: String::new() }));
                    }
                    _ => return Err(outside()),
                },
            }
            if head.is_last {
                break;
            }
        }
        holes.into_iter().for_each(|hole| out[hole].fill(0));
        match failure {
            Some(failure) => Err(failure),
            None if filled == out.len() => Ok(()),
            None => Err(NbdError::Protocol("less data than was asked for")),
        }
    }

    /// Ranges that read as zeros and take no room, in order; none if the server cannot tell.
    ///
    /// # Errors
    /// If the server fails or breaks the protocol.
    pub fn holes(&mut self) -> Result<Vec<Range<u64>>, NbdError> {
        match self.allocation {
            Some(context) => Ok(self.map(context, |flags| flags & ZERO != 0)?.unwrap_or_default()),
            None => Ok(Vec::new()),
        }
    }

    /// Ranges that were written to since the bitmap was made, in order; `None` if the server does not show it, or it is too long.
    ///
    /// # Errors
    /// If the server fails or breaks the protocol.
    pub fn changes(&mut self) -> Result<Option<Vec<Range<u64>>>, NbdError> {
        match self.dirty {
            Some(context) => self.map(context, |flags| flags & DIRTY != 0),
            None => Ok(None),
        }
    }

    /// The ranges that `wanted` chooses by their flags, joined; `None` if there are too many.
    fn map(&mut self, context: u32, wanted: impl Fn(u32) -> bool) -> Result<Option<Vec<Range<u64>>>, NbdError> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let mut at = 0;
        while at < self.size {
            let asked = (self.size - at).min(NBD_STATUS_BYTES);
            let before = at;
            for (bytes, flags) in self.status(context, (at, u32::try_from(asked).unwrap_or(u32::MAX)))? {
                let end = (at + u64::from(bytes)).min(self.size);
                match ranges.last_mut() {
                    _ if !wanted(flags) || end <= at => {}
                    Some(last) if last.end == at => last.end = end,
                    _ => ranges.push(at..end),
                }
                at = end;
            }
            if at == before {
                return Err(NbdError::Protocol("a status of nothing"));
            }
            if ranges.len() > DISK_EXTENTS_MAX {
                return Ok(None);
            }
        }
        Ok(Some(ranges))
    }

    fn status(&mut self, context: u32, range: (u64, u32)) -> Result<Vec<(u32, u32)>, NbdError> {
        self.send(BLOCK_STATUS, range)?;
        let (mut found, mut failure) = (Vec::new(), None);
        loop {
            let head = self.head()?;
            let body = self.body(head)?;
            match head.kind {
                ChunkKind::Status => {
                    let (number, ranges) = wire::status(&body)?;
                    if number == context && found.is_empty() {
                        found = ranges;
                    }
                }
                ChunkKind::Error => failure = failure.or(Some(wire::error(&body))),
                ChunkKind::Simple(number) if number != 0 => {
                    failure = failure.or(Some(NbdError::Refused { number, said: String::new() }));
                }
                ChunkKind::None | ChunkKind::Simple(_) => {}
                ChunkKind::Data | ChunkKind::Hole => return Err(NbdError::Protocol("data instead of a status")),
            }
            if head.is_last {
                return failure.map_or(Ok(found), Err);
            }
        }
    }

    /// Says goodbye; the server then ends.
    ///
    /// # Errors
    /// If the connection is gone already.
    pub fn disconnect(mut self) -> Result<(), NbdError> {
        self.send(DISCONNECT, (0, 0))
    }

    fn send(&mut self, kind: u16, range: (u64, u32)) -> Result<(), NbdError> {
        self.cookie += 1;
        Ok(self.stream.write_all(&wire::command(kind, self.cookie, range))?)
    }

    fn head(&mut self) -> Result<ChunkHead, NbdError> {
        let mut head = [0; REPLY_BYTES];
        self.stream.read_exact(&mut head[..SIMPLE_REPLY_BYTES])?;
        if let Some(start) = head.first_chunk::<SIMPLE_REPLY_BYTES>().filter(|start| is_simple(start)) {
            return ChunkHead::simple(start, self.cookie);
        }
        self.stream.read_exact(&mut head[SIMPLE_REPLY_BYTES..])?;
        ChunkHead::parse(&head, self.cookie)
    }

    fn body(&mut self, head: ChunkHead) -> Result<Vec<u8>, NbdError> {
        let mut body = vec![0; head.bytes];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A server that has said everything before it is asked.
    struct Script(Cursor<Vec<u8>>);

    impl Read for Script {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(out)
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn reply(option: u32, kind: u32, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap();
        let parts = [
            &0x0003_e889_0455_65a9u64.to_be_bytes()[..],
            &option.to_be_bytes(),
            &kind.to_be_bytes(),
            &length.to_be_bytes(),
            data,
        ];
        parts.concat()
    }

    fn chunk(cookie: u64, (flags, kind): (u16, u16), body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap();
        let parts = [
            &0x668e_33efu32.to_be_bytes()[..],
            &flags.to_be_bytes(),
            &kind.to_be_bytes(),
            &cookie.to_be_bytes(),
            &length.to_be_bytes(),
            body,
        ];
        parts.concat()
    }

    fn handshake(size: u64) -> Vec<u8> {
        let mut said = [&GREETING[..], &3u16.to_be_bytes()].concat();
        said.extend(reply(OPTION_STRUCTURED, REPLY_ACK, &[]));
        said.extend(reply(OPTION_SET_CONTEXT, REPLY_CONTEXT, &[&[0, 0, 0, 1][..], b"base:allocation"].concat()));
        said.extend(reply(OPTION_SET_CONTEXT, REPLY_CONTEXT, &[&[0, 0, 0, 2][..], b"qemu:dirty-bitmap:b"].concat()));
        said.extend(reply(OPTION_SET_CONTEXT, REPLY_ACK, &[]));
        said.extend(reply(OPTION_GO, REPLY_INFO, &[&[0, 0][..], &size.to_be_bytes(), &[0, 1]].concat()));
        said.extend(reply(OPTION_GO, REPLY_ACK, &[]));
        said
    }

    fn client(chunks: &[Vec<u8>]) -> Client<Script> {
        let said = [handshake(4_096), chunks.concat()].concat();
        Client::connect(Script(Cursor::new(said)), Some("b")).unwrap()
    }

    fn data(at: u64, bytes: &[u8]) -> Vec<u8> {
        [&at.to_be_bytes()[..], bytes].concat()
    }

    fn status(context: u32, ranges: &[(u32, u32)]) -> Vec<u8> {
        let ranges = ranges.iter().flat_map(|(bytes, flags)| [bytes.to_be_bytes(), flags.to_be_bytes()].concat());
        [context.to_be_bytes().to_vec(), ranges.collect()].concat()
    }

    #[test]
    fn pieces_come_in_any_order_and_holes_are_zeros() {
        let hole = [&2u64.to_be_bytes()[..], &2u32.to_be_bytes()].concat();
        let mut client =
            client(&[chunk(1, (0, 1), &data(4, b"cd")), chunk(1, (0, 2), &hole), chunk(1, (1, 1), &data(0, b"ab"))]);
        let mut out = [9; 6];
        client.read(0, &mut out).unwrap();
        assert_eq!(&out, b"ab\0\0cd");
        assert_eq!(client.size(), 4_096);
    }

    #[test]
    fn a_range_is_whole_or_an_error() {
        let hole = |at: u64, bytes: u32| [&at.to_be_bytes()[..], &bytes.to_be_bytes()].concat();
        let error = [&5u32.to_be_bytes()[..], &[0, 2], b"no"].concat();
        for (chunks, what) in [
            (vec![chunk(1, (1, 1), &data(0, b"ab"))], "short"),
            (vec![chunk(1, (1, 1), &data(4, b"abcd"))], "beyond the end"),
            (vec![chunk(1, (1, 1), &data(u64::MAX, b"abcd"))], "an offset that overflows"),
            (vec![chunk(1, (1, 2), &hole(0, u32::MAX))], "a hole without end"),
            (vec![chunk(1, (1, 1), b"abc")], "no offset"),
            (vec![chunk(2, (1, 1), &data(0, b"abcdef"))], "another command"),
            (vec![chunk(1, (1, 5), &status(1, &[(9, 0)]))], "a status"),
            (vec![chunk(1, (0, 1), &data(0, b"abcdef")), chunk(1, (1, 1 << 15 | 1), &error)], "an error at the end"),
            (Vec::new(), "silence"),
        ] {
            assert!(client(&chunks).read(0, &mut [0; 6]).is_err(), "{what}");
        }
    }

    #[test]
    fn maps_join_neighbors_and_stop_at_the_end_of_the_disk() {
        let answer = |cookie| {
            [
                chunk(cookie, (0, 5), &status(1, &[(1_024, 0), (512, 3), (512, 2), (1_024, 0), (99_999, 2)])),
                chunk(cookie, (1, 5), &status(2, &[(512, 1), (512, 1), (2_048, 0), (1_024, 1)])),
            ]
        };
        let mut client = client(&[answer(1).concat(), answer(2).concat()]);
        assert_eq!(client.holes().unwrap(), [1_024..2_048, 3_072..4_096]);
        assert_eq!(client.changes().unwrap(), Some(vec![0..1_024, 3_072..4_096]));
    }

    #[test]
    fn a_status_that_answers_another_question_is_an_error() {
        assert!(client(&[chunk(1, (1, 5), &status(2, &[(4_096, 0)]))]).holes().is_err());
    }

    #[test]
    fn greetings_refusals_and_floods_of_replies_end_the_handshake() {
        let connect = |said: Vec<u8>| Client::connect(Script(Cursor::new(said)), None).err();
        let good = || [&GREETING[..], &3u16.to_be_bytes()].concat();
        assert!(matches!(connect([&b"NBDMAGICOLDSTYLE"[..], &[0, 3]].concat()), Some(NbdError::Protocol(_))));
        assert!(matches!(connect([&GREETING[..], &[0, 1]].concat()), Some(NbdError::Protocol(_))));
        let refusal = [good(), reply(OPTION_STRUCTURED, 1 << 31 | 1, b"not here")].concat();
        assert!(matches!(connect(refusal), Some(NbdError::Refused { number: 1, said }) if said == "not here"));
        let flood = reply(OPTION_STRUCTURED, REPLY_INFO, b"x").repeat(10_000);
        assert!(matches!(connect([good(), flood].concat()), Some(NbdError::Protocol(_))));
        let without_size = [
            good(),
            reply(OPTION_STRUCTURED, REPLY_ACK, &[]),
            reply(OPTION_SET_CONTEXT, REPLY_ACK, &[]),
            reply(OPTION_GO, REPLY_ACK, &[]),
        ];
        assert!(matches!(connect(without_size.concat()), Some(NbdError::Protocol(_))));
    }
}
