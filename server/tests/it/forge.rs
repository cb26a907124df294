//! Forges messages from the wire schema: well formed with hostile values, or broken in ways that Protocol Buffers allow to send.
//!
//! Everything comes from one seed, so that a failure is replayed by its seed and number.

use bytes::Bytes;
use protox::prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

/// Every call of every service of the wire schema.
pub fn calls() -> Vec<MethodDescriptor> {
    schema().services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// The wire schema and that of stored records.
pub fn schema() -> DescriptorPool {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/proto");
    let files = std::fs::read_dir(format!("{folder}/dobaas/v1")).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    let paths = names.iter().map(|name| format!("dobaas/v1/{name}"));
    let mut compiler = protox::Compiler::new([folder]).unwrap();
    compiler.include_imports(true).open_files(paths).unwrap();
    compiler.descriptor_pool()
}

/// `/dobaas.v1.Service/Method`.
pub fn path(call: &MethodDescriptor) -> String {
    format!("/{}/{}", call.parent_service().full_name(), call.name())
}

/// A stream of numbers from a seed.
pub struct Dice(blake3::OutputReader);

impl Dice {
    /// The numbers of message `number` of a run.
    pub fn new(seed: u64, number: u64) -> Self {
        Self(blake3::Hasher::new().update(&seed.to_le_bytes()).update(&number.to_le_bytes()).finalize_xof())
    }

    /// 0 to `sides - 1`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.word() % sides
    }

    fn word(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.fill(&mut bytes);
        bytes
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
    }
}

/// Values that are put into fields of bytes, beside random ones: ids and tokens that exist.
pub type Known = Vec<Vec<u8>>;

/// A message of `shape`, hostile or broken.
pub fn message(shape: &MessageDescriptor, dice: &mut Dice, known: &Known) -> Bytes {
    if dice.roll(20) == 0 {
        let count = dice.pick(&[0usize, 1, 7, 100, 5_000]);
        return dice.bytes(count).into();
    }
    let mut bytes = well_formed(shape, dice, known, 0);
    if dice.roll(2) == 0 {
        break_one(&mut bytes, dice);
    }
    bytes.into()
}

fn well_formed(shape: &MessageDescriptor, dice: &mut Dice, known: &Known, depth: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for field in shape.fields() {
        let times = match (dice.roll(8), field.cardinality() == Cardinality::Repeated) {
            (0, _) => 0,
            (1, true) if depth == 0 => dice.pick(&[100, 5_000]),
            (_, true) => dice.roll(4),
            (1, false) => 2,
            _ => 1,
        };
        for _ in 0..times {
            put_field(&field, dice, known, depth, &mut out);
        }
    }
    out
}

fn put_field(field: &FieldDescriptor, dice: &mut Dice, known: &Known, depth: u32, out: &mut Vec<u8>) {
    match field.kind() {
        Kind::Message(shape) if depth < 8 => {
            let inner = well_formed(&shape, dice, known, depth + 1);
            put_bytes(field.number(), &inner, out);
        }
        Kind::Message(_) => {}
        Kind::String => {
            let text = text(dice);
            put_bytes(field.number(), &text, out);
        }
        Kind::Bytes => {
            let value = value_bytes(dice, known);
            put_bytes(field.number(), &value, out);
        }
        _ => {
            put_varint(u64::from(field.number()) << 3, out);
            let number = dice.pick(&[0, 1, 2, 3, 27, 86_400, u64::from(u32::MAX), i64::MAX as u64, 1 << 63, u64::MAX]);
            put_varint(number, out);
        }
    }
}

fn text(dice: &mut Dice) -> Vec<u8> {
    let words: [&[u8]; 12] = [
        b"",
        b"admin",
        b"FR",
        "é\u{301}\u{202e}".as_bytes(),
        b"\0",
        b"../../etc/passwd",
        b"'; drop table customers; --",
        b"{ $name }",
        b"\xff\xfe",
        b"2026-11-22",
        b"\r\nauthorization: x",
        b"**/*",
    ];
    match dice.roll(10) {
        0 => vec![b'a'; dice.pick(&[1_023, 1_024, 1_025, 70_000, 200_000])],
        _ => dice.pick(&words).to_vec(),
    }
}

fn value_bytes(dice: &mut Dice, known: &Known) -> Vec<u8> {
    match dice.roll(4) {
        0 if !known.is_empty() => known[usize::try_from(dice.roll(known.len() as u64)).unwrap()].clone(),
        1 => vec![0; dice.pick(&[0, 15, 16, 17, 31, 32, 33, 64])],
        2 => b"DBF\x01".iter().copied().chain(dice.bytes(200)).collect(),
        _ => {
            let count = dice.pick(&[1usize, 16, 32, 131_072, 131_073, 140_000]);
            dice.bytes(count)
        }
    }
}

fn break_one(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = usize::try_from(dice.roll(bytes.len() as u64 + 1)).unwrap();
    match dice.roll(7) {
        0 => bytes.truncate(at),
        1 => bytes.splice(at..at, dice.bytes(9)).for_each(drop),
        2 => put_bytes(536_870_911, b"unknown", bytes),
        3 => bytes.extend([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        4 => bytes.extend([0x0b; 200]),
        5 => bytes.extend([0xff; 11]),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.roll(8);
            }
        }
    }
}

fn put_bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | 2, out);
    put_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

#[test]
fn the_forge_knows_every_call_and_repeats_itself_from_a_seed() {
    let calls = calls();
    assert!(calls.len() >= 31, "only {} calls in the schema", calls.len());
    for call in &calls {
        let forged = |number| message(&call.input(), &mut Dice::new(1, number), &Known::new());
        assert_eq!(forged(5), forged(5));
        assert!((0..50).any(|number| forged(number) != forged(5)) || call.input().fields().len() == 0);
    }
}
