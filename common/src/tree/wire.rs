//! The small parts that node plaintexts are made of: minimal varints, length-prefixed bytes, fixed-width integers.
//!
//! It does not know nodes or entries.
//!
//! Invariant: no length is used before it was checked against the bytes that are there; one value has one encoding.

/// Bytes that are not what their format says; the text names the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Appends `value` in LEB128.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// Appends the length of `bytes`, then `bytes`.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads all of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// True at the end.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Exactly `N` bytes.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or(Malformed("too short"))?;
        self.bytes = rest;
        Ok(head)
    }

    /// One byte.
    ///
    /// # Errors
    /// If none is left.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.bytes.split_first().ok_or(Malformed("too short"))?;
        self.bytes = rest;
        Ok(*first)
    }

    /// Exactly `count` bytes.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.bytes.split_at_checked(count).ok_or(Malformed("too short"))?;
        self.bytes = rest;
        Ok(head)
    }

    /// A minimal LEB128 number.
    ///
    /// # Errors
    /// If it is cut, over 64 bits, or longer than it need be.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return Err(Malformed("varint over 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if byte == 0 { Err(Malformed("varint not minimal")) } else { Ok(value) };
            }
        }
        Err(Malformed("varint over 64 bits"))
    }

    /// A varint of at most `max`.
    ///
    /// # Errors
    /// As [`Self::varint`], or if it is larger.
    pub fn varint_up_to(&mut self, max: usize) -> Result<usize, Malformed> {
        let value = self.varint()?;
        usize::try_from(value).ok().filter(|value| *value <= max).ok_or(Malformed("number too large"))
    }

    /// Length-prefixed bytes, at most `max` of them.
    ///
    /// # Errors
    /// If the length is too large or the bytes are not there.
    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], Malformed> {
        let length = self.varint_up_to(max)?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn varints_come_back_and_nothing_else_decodes_to_them(value in any::<u64>(), noise in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.is_empty(), true);
            let mut reader = Reader::new(&noise);
            if let Ok(value) = reader.varint() {
                let mut again = Vec::new();
                put_varint(&mut again, value);
                prop_assert_eq!(&noise[..noise.len() - reader.rest().len()], &again[..]);
            }
        }
    }

    #[test]
    fn a_length_beyond_the_bytes_is_an_error() {
        assert_eq!(Reader::new(&[5, 1, 2]).bytes(10), Err(Malformed("too short")));
        assert_eq!(Reader::new(&[5, 1, 2]).bytes(4), Err(Malformed("number too large")));
        assert_eq!(Reader::new(&[2, 1, 2]).bytes(4), Ok(&[1, 2][..]));
    }
}
