//! The bytes of the header and of the directory, and the frame of every BLOB. `sql/index.sql` describes the layout.

use crate::codec::{four_bit, one_bit};
use crate::error::{Error, Result};
use crate::kernels::codes::GROUP;
use crate::kernels::{self, F32Le};
use crate::resources::per_process;
use crate::vector::{ElementType, MAX_DIMENSIONS};
use bytemuck::{Pod, Zeroable};
use std::fmt;

/// The number of the header's BLOB.
pub const HEADER: i64 = 0;
/// The number of the directory's BLOB.
pub const DIRECTORY: i64 = 1;
/// The number of the BLOB with the ranges of rowids. An index that an older version wrote has none.
pub const RANGES: i64 = -1;

/// The greatest format this code reads.
pub const FORMAT: u16 = UNFINISHED;
/// The format of nearly everything.
const PLAIN: u16 = 1;
/// The format of the header of an index over another type than f32. Older versions would take its rows for f32; as they do
/// not know this format, they scan instead.
const TYPED: u16 = 2;
/// The format of a header while blocks are being written. Where a command failed and its transaction was committed all the same,
/// this is what is left, and searches scan; so do older versions, as they do not know this format.
const UNFINISHED: u16 = 3;
/// What the number in the header says about the elements of the rows.
const ELEMENTS: [ElementType; 4] = [ElementType::F32, ElementType::F16, ElementType::Bf16, ElementType::Int8];

/// Bytes of a frame.
pub const FRAME: usize = 64;

const MAGIC: [u8; 8] = *b"fafcasix";
/// About how many bytes the BLOBs of a block have together.
const BLOCK_BYTES: usize = 256 << 10;
/// A change to one row rewrites its block. With more slots than this that would be too much, however short the codes are.
const MOST_SLOTS: usize = 4096;

/// A random name for one state of a BLOB.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(transparent)]
pub struct Token(pub [u8; 16]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl Token {
    /// A token that no process has made before.
    pub fn fresh() -> Self {
        Self(bytemuck::cast([random(), random()]))
    }

    /// Its first eight bytes, little-endian.
    pub fn number(self) -> i64 {
        i64::from_le_bytes(self.0.first_chunk().copied().unwrap_or_default())
    }
}

/// 64 random bits. The keys of the standard library's hashes are random, and after a fork the hashed values differ.
pub fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::atomic::{AtomicU64, Ordering};
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    RandomState::new().hash_one((per_process::id(), now, CALLS.fetch_add(1, Ordering::Relaxed)))
}

/// What a BLOB is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BlobKind {
    Header = 1,
    Directory = 2,
    Codes = 3,
    Fine = 4,
    Ranges = 5,
}

impl BlobKind {
    fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Directory => "directory",
            Self::Codes => "codes",
            Self::Fine => "fine codes",
            Self::Ranges => "ranges",
        }
    }
}

/// The place and the state of a BLOB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Label {
    pub kind: BlobKind,
    pub block: u32,
    pub token: Token,
}

impl Label {
    /// The number of the BLOB.
    pub fn id(&self) -> i64 {
        match self.kind {
            BlobKind::Header => HEADER,
            BlobKind::Directory => DIRECTORY,
            BlobKind::Codes => 2 * i64::from(self.block),
            BlobKind::Fine => 2 * i64::from(self.block) + 1,
            BlobKind::Ranges => RANGES,
        }
    }

    /// An error that says where the damage is.
    pub fn damaged(&self, what: impl fmt::Display) -> Error {
        let block = if self.block > 0 { format!(" of block {}", self.block) } else { String::new() };
        Error::Damaged(format!("the index's {}{block}: {what}; 'rebuild' mends it", self.kind.name()))
    }
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Frame {
    magic: [u8; 8],
    format: [u8; 2],
    kind: [u8; 2],
    crc: [u8; 4],
    token: Token,
    block: [u8; 4],
    reserved: [u8; 28],
}

/// Writes label and checksum into the first [`FRAME`] bytes of a BLOB. All its other bytes must be there already.
pub fn seal(label: Label, blob: &mut [u8]) {
    seal_as(PLAIN, label, blob);
}

fn seal_as(format: u16, label: Label, blob: &mut [u8]) {
    let frame = Frame {
        magic: MAGIC,
        format: format.to_le_bytes(),
        kind: (label.kind as u16).to_le_bytes(),
        crc: [0; 4],
        token: label.token,
        block: label.block.to_le_bytes(),
        reserved: [0; 28],
    };
    let Some(start) = blob.first_chunk_mut::<FRAME>() else { return };
    *start = bytemuck::cast(frame);
    let crc = checksum(blob).to_le_bytes();
    if let Some(place) = blob.get_mut(12..16) {
        place.copy_from_slice(&crc);
    }
}

fn checksum(blob: &[u8]) -> u32 {
    let crc32c = kernels::table().codes.crc32c;
    crc32c(crc32c(0, blob.get(..12).unwrap_or(&[])), blob.get(16..).unwrap_or(&[]))
}

/// Whether a format is that of a header whose blocks are being written.
pub fn is_unfinished(format: u16) -> bool {
    format == UNFINISHED
}

/// Whether a header of this format is followed by an index that can be read.
pub fn is_readable(format: u16) -> bool {
    format <= TYPED
}

/// The format number of a BLOB that carries our magic.
pub fn format_of(blob: &[u8]) -> Option<u16> {
    let frame: Frame = bytemuck::try_pod_read_unaligned(blob.get(..FRAME)?).ok()?;
    (frame.magic == MAGIC).then_some(u16::from_le_bytes(frame.format))
}

/// The token of a BLOB, unchecked. It means something only if the BLOB is whole.
pub fn token_of(blob: &[u8]) -> Token {
    let frame = blob.get(..FRAME).map(bytemuck::try_pod_read_unaligned::<Frame>);
    frame.and_then(std::result::Result::ok).map_or(Token([0; 16]), |frame| frame.token)
}

/// Checks everything about a BLOB that is the same for every kind, and gives its token. The token is checked too, except that
/// of the header, for which nobody knows what it should be.
pub fn unseal(label: Label, blob: &[u8]) -> Result<Token> {
    let frame: Frame = match blob.get(..FRAME).map(bytemuck::try_pod_read_unaligned) {
        Some(Ok(frame)) => frame,
        _ => return Err(label.damaged(format_args!("{} bytes are too few", blob.len()))),
    };
    let (kind, format) = (label.kind as u16, u16::from_le_bytes(frame.format));
    let is_known = format == PLAIN || label.kind == BlobKind::Header && format <= FORMAT;
    if frame.magic != MAGIC || !is_known || u16::from_le_bytes(frame.kind) != kind {
        return Err(label.damaged("it is something else"));
    }
    if u32::from_le_bytes(frame.crc) != checksum(blob) {
        return Err(label.damaged("the checksum does not match"));
    }
    if u32::from_le_bytes(frame.block) != label.block || frame.reserved != [0; 28] {
        return Err(label.damaged("it belongs elsewhere"));
    }
    if label.kind != BlobKind::Header && frame.token != label.token {
        return Err(label.damaged("it is not of the directory's time"));
    }
    Ok(frame.token)
}

/// The header. It is the one BLOB that every search reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Names the state of the whole index.
    pub generation: Token,
    /// What the elements of the rows are.
    pub element: ElementType,
    /// 0 as long as there was no vector.
    pub dimensions: usize,
    /// Slots of a full block.
    pub block_slots: usize,
    /// Of the rotation.
    pub seed: u64,
    /// How many rows the centre was taken from.
    pub centred_at: u64,
    /// Rows in blocks.
    pub rows: u64,
    /// Rows that have something other than a vector of so many dimensions.
    pub strays: u64,
    /// How many blocks there are.
    pub blocks: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct HeaderBytes {
    frame: [u8; FRAME],
    dimensions: [u8; 4],
    block_slots: [u8; 4],
    seed: [u8; 8],
    centred_at: [u8; 8],
    rows: [u8; 8],
    strays: [u8; 8],
    blocks: [u8; 4],
    element: u8,
    reserved: [u8; 19],
}

impl Header {
    fn label(generation: Token) -> Label {
        Label { kind: BlobKind::Header, block: 0, token: generation }
    }

    /// The format that the header has. The other BLOBs are the same in all formats.
    pub fn format(&self) -> u16 {
        if self.element == ElementType::F32 { PLAIN } else { TYPED }
    }

    /// The type that the rows of an index have, by its header; `None` if the header does not tell.
    pub fn element_in(blob: &[u8]) -> Option<ElementType> {
        match format_of(blob)? {
            PLAIN => Some(ElementType::F32),
            _ => Self::parse(blob).ok().map(|header| header.element),
        }
    }

    /// The header's BLOB.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_as(self.format())
    }

    /// The header's BLOB while blocks are being written.
    pub fn encode_unfinished(&self) -> Vec<u8> {
        self.encode_as(UNFINISHED)
    }

    fn encode_as(&self, format: u16) -> Vec<u8> {
        let element = ELEMENTS.iter().position(|known| *known == self.element).unwrap_or_default();
        let bytes = HeaderBytes {
            frame: [0; FRAME],
            dimensions: (self.dimensions as u32).to_le_bytes(),
            block_slots: (self.block_slots as u32).to_le_bytes(),
            seed: self.seed.to_le_bytes(),
            centred_at: self.centred_at.to_le_bytes(),
            rows: self.rows.to_le_bytes(),
            strays: self.strays.to_le_bytes(),
            blocks: self.blocks.to_le_bytes(),
            element: element as u8,
            reserved: [0; 19],
        };
        let mut blob = bytemuck::bytes_of(&bytes).to_vec();
        seal_as(format, Self::label(self.generation), &mut blob);
        blob
    }

    /// Reads and checks a header.
    pub fn decode(blob: &[u8]) -> Result<Self> {
        let header = Self::parse(blob)?;
        let fits = format_of(blob) == Some(header.format());
        if fits { Ok(header) } else { Err(Self::label(Token([0; 16])).damaged("impossible numbers")) }
    }

    /// The same for a header whose blocks may be unfinished.
    fn parse(blob: &[u8]) -> Result<Self> {
        let label = Self::label(Token([0; 16]));
        let generation = unseal(label, blob)?;
        let bytes: HeaderBytes = bytemuck::try_pod_read_unaligned(blob)
            .map_err(|_| label.damaged(format_args!("{} bytes are not a header", blob.len())))?;
        let element = ELEMENTS.get(usize::from(bytes.element)).copied();
        let header = Self {
            generation,
            element: element.unwrap_or_default(),
            dimensions: u32::from_le_bytes(bytes.dimensions) as usize,
            block_slots: u32::from_le_bytes(bytes.block_slots) as usize,
            seed: u64::from_le_bytes(bytes.seed),
            centred_at: u64::from_le_bytes(bytes.centred_at),
            rows: u64::from_le_bytes(bytes.rows),
            strays: u64::from_le_bytes(bytes.strays),
            blocks: u32::from_le_bytes(bytes.blocks),
        };
        let slots = header.block_slots;
        let sound = header.dimensions <= MAX_DIMENSIONS
            && (GROUP..=MOST_SLOTS).contains(&slots)
            && slots.is_multiple_of(GROUP)
            && element.is_some()
            && bytes.reserved == [0; 19];
        if sound { Ok(header) } else { Err(label.damaged("impossible numbers")) }
    }
}

/// How many slots a full block has, so that its BLOBs have about 256 KiB together.
pub fn block_slots(dimensions: usize) -> usize {
    let bytes = one_bit::bytes(dimensions) + four_bit::bytes(dimensions) + 3 * 4 + 8 + 4 + 2 * 4;
    (BLOCK_BYTES / bytes / GROUP * GROUP).clamp(GROUP, MOST_SLOTS)
}

/// What the directory says about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEntry {
    /// Of both its BLOBs.
    pub token: Token,
    /// Slots that have a row.
    pub rows: u32,
    /// All slots.
    pub slots: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct EntryBytes {
    token: Token,
    rows: [u8; 4],
    slots: [u8; 4],
}

/// Everything about the index except its codes.
#[derive(Debug, Clone, PartialEq)]
pub struct Directory {
    /// The point that was subtracted from every vector before it was encoded.
    pub centre: Vec<f32>,
    /// Block 1 first.
    pub blocks: Vec<BlockEntry>,
    /// The rowids of strays, in ascending order.
    pub strays: Vec<i64>,
}

impl Directory {
    fn label(generation: Token) -> Label {
        Label { kind: BlobKind::Directory, block: 0, token: generation }
    }

    /// The directory's BLOB, to go with the header of this generation.
    pub fn encode(&self, generation: Token) -> Vec<u8> {
        let mut blob = vec![0; FRAME];
        blob.extend(self.centre.iter().flat_map(|x| x.to_le_bytes()));
        for BlockEntry { token, rows, slots } in &self.blocks {
            let entry = EntryBytes { token: *token, rows: rows.to_le_bytes(), slots: slots.to_le_bytes() };
            blob.extend_from_slice(bytemuck::bytes_of(&entry));
        }
        blob.extend(self.strays.iter().flat_map(|rowid| rowid.to_le_bytes()));
        seal(Self::label(generation), &mut blob);
        blob
    }

    /// Reads and checks the directory that goes with a header.
    pub fn decode(header: &Header, blob: &[u8]) -> Result<Self> {
        let label = Self::label(header.generation);
        unseal(label, blob)?;
        let impossible = || label.damaged("impossible numbers");
        let body = blob.get(FRAME..).unwrap_or(&[]);
        let (centre, body) = body.split_at_checked(4 * header.dimensions).ok_or_else(impossible)?;
        let entries = (header.blocks as usize).checked_mul(size_of::<EntryBytes>()).ok_or_else(impossible)?;
        let (entries, strays) = body.split_at_checked(entries).ok_or_else(impossible)?;
        let (strays, rest) = strays.as_chunks::<8>();
        let entries: &[EntryBytes] = bytemuck::try_cast_slice(entries).map_err(|_| impossible())?;
        let directory = Self {
            centre: bytemuck::try_cast_slice(centre)
                .map(|centre: &[F32Le]| centre.iter().map(|x| x.get()).collect())
                .map_err(|_| impossible())?,
            blocks: entries.iter().map(BlockEntry::decode).collect(),
            strays: strays.iter().map(|rowid| i64::from_le_bytes(*rowid)).collect(),
        };
        let sound = rest.is_empty() && directory.is_sound(header);
        if sound { Ok(directory) } else { Err(impossible()) }
    }

    fn is_sound(&self, header: &Header) -> bool {
        let possible = |entry: &BlockEntry| {
            let slots = entry.slots as usize;
            slots.is_multiple_of(GROUP) && slots <= header.block_slots && entry.rows <= entry.slots
        };
        let rows: u64 = self.blocks.iter().map(|entry| u64::from(entry.rows)).sum();
        self.centre.iter().all(|x| x.is_finite())
            && self.blocks.iter().all(possible)
            && rows == header.rows
            && self.strays.len() as u64 == header.strays
            && self.strays.is_sorted_by(|a, b| a < b)
    }
}

impl BlockEntry {
    fn decode(bytes: &EntryBytes) -> Self {
        let (rows, slots) = (u32::from_le_bytes(bytes.rows), u32::from_le_bytes(bytes.slots));
        Self { token: bytes.token, rows, slots }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn header(element: ElementType) -> Header {
        Header {
            generation: Token([7; 16]),
            element,
            dimensions: 3,
            block_slots: GROUP,
            seed: 5,
            centred_at: 2,
            rows: 1,
            strays: 0,
            blocks: 1,
        }
    }

    #[test]
    fn a_header_says_the_type_of_the_rows() {
        for (number, element) in (0u8..).zip(ELEMENTS) {
            let blob = header(element).encode();
            assert_eq!(Header::decode(&blob), Ok(header(element)));
            assert_eq!(Header::element_in(&blob), Some(element));
            assert_eq!((blob[8], blob[108]), (if number == 0 { 1 } else { 2 }, number));
        }
    }

    #[test]
    fn a_type_and_a_format_that_do_not_go_together_are_damage() {
        let label = Label { kind: BlobKind::Header, block: 0, token: Token([7; 16]) };
        for (format, number) in [(PLAIN, 1), (PLAIN, 3), (TYPED, 0), (TYPED, 4), (TYPED, 255)] {
            let mut blob = header(ElementType::F32).encode();
            blob[108] = number;
            seal_as(format, label, &mut blob);
            assert!(matches!(Header::decode(&blob), Err(Error::Damaged(_))), "{format} {number}");
        }
        let mut blob = vec![0; FRAME];
        let codes = Label { kind: BlobKind::Codes, block: 1, token: Token([7; 16]) };
        seal_as(TYPED, codes, &mut blob);
        assert!(unseal(codes, &blob).is_err(), "only headers have the later format");
    }
}
