//! One block: the 1-bit codes of some rows, and their 4-bit codes. Both are kept in the bytes that are stored.

use super::encode::RowCodes;
use super::format::{BlobKind, BlockEntry, FRAME, Label, Token, seal, unseal};
use super::store::Store;
use crate::codec::{Encoder, Group, four_bit, one_bit};
use crate::error::Result;
use crate::kernels::codes::{Factors, GROUP};
use crate::kernels::{self, F32Le};
use crate::resources::trace;
use bytemuck::{Pod, Zeroable};

/// A cache line. Memory is taken in whole lines, so that groups of codes begin at the beginning of one.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct CacheLine([u8; 64]);

/// Bytes that begin at the beginning of a cache line.
#[derive(Clone)]
struct AlignedBytes {
    lines: Vec<CacheLine>,
    length: usize,
}

impl AlignedBytes {
    fn zeros(length: usize) -> Self {
        Self { lines: vec![CacheLine([0; 64]); length.div_ceil(64)], length }
    }

    fn copy(bytes: &[u8]) -> Self {
        let (whole, rest) = bytes.as_chunks();
        let mut lines = Vec::with_capacity(bytes.len().div_ceil(64));
        lines.extend(whole.iter().map(|line| CacheLine(*line)));
        if !rest.is_empty() {
            let mut last = [0; 64];
            last[..rest.len()].copy_from_slice(rest);
            lines.push(CacheLine(last));
        }
        Self { lines, length: bytes.len() }
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.length]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.length]
    }
}

/// Where each part of the BLOBs of a block begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    code: usize,
    fine_code: usize,
    slots: usize,
}

impl Layout {
    fn new(dimensions: usize, slots: usize) -> Self {
        let slots = slots.next_multiple_of(GROUP);
        Self { code: one_bit::bytes(dimensions), fine_code: four_bit::bytes(dimensions), slots }
    }

    fn group(self) -> usize {
        GROUP * self.code + size_of::<Factors>()
    }

    fn rowids(self) -> usize {
        FRAME + self.slots / GROUP * self.group()
    }

    fn fingerprints(self) -> usize {
        self.rowids() + 8 * self.slots
    }

    fn codes_bytes(self) -> usize {
        self.fingerprints() + 4 * self.slots
    }

    /// Bytes of the fine code of a slot, with its factors.
    fn fine_slot(self) -> usize {
        8 + self.fine_code
    }

    fn fine_bytes(self) -> usize {
        FRAME + self.slots * self.fine_slot()
    }
}

/// What a slot says about its row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CodedRow {
    /// The row.
    pub rowid: i64,
    /// Of the row's vector.
    pub fingerprint: u32,
    /// Scale, error and offset of the 1-bit code.
    pub factors: [f32; 3],
}

/// The 1-bit codes of a block's rows, with their factors, rowids and fingerprints.
#[derive(Clone)]
pub struct Codes {
    layout: Layout,
    blob: AlignedBytes,
}

/// The 4-bit codes of a block's rows, with their factors.
#[derive(Clone)]
pub struct Fine {
    layout: Layout,
    blob: AlignedBytes,
}

/// The label of one of a block's BLOBs.
pub fn label(kind: BlobKind, block: u32, token: Token) -> Label {
    Label { kind, block, token }
}

/// Copies parts. Each is given by where it is, where it goes, and its length.
fn copy_parts(from: &[u8], to: &mut [u8], parts: &[(usize, usize, usize)]) {
    for &(here, there, length) in parts {
        to[there..][..length].copy_from_slice(&from[here..][..length]);
    }
}

fn sized(label: Label, blob: &[u8], expected: usize) -> Result<AlignedBytes> {
    unseal(label, blob)?;
    if blob.len() != expected {
        return Err(label.damaged(format_args!("{} bytes are not {expected}", blob.len())));
    }
    Ok(AlignedBytes::copy(blob))
}

impl Codes {
    /// Reads it from a store and checks it.
    pub fn read<S: Store>(store: &mut S, dimensions: usize, block: u32, entry: &BlockEntry) -> Result<Self> {
        let label = label(BlobKind::Codes, block, entry.token);
        read(store, label, |blob| Self::decode(dimensions, block, entry, blob))
    }

    /// Reads and checks a BLOB of codes.
    pub fn decode(dimensions: usize, block: u32, entry: &BlockEntry, blob: &[u8]) -> Result<Self> {
        let layout = Layout::new(dimensions, entry.slots as usize);
        let blob = sized(label(BlobKind::Codes, block, entry.token), blob, layout.codes_bytes())?;
        Ok(Self { layout, blob })
    }

    /// All slots are free.
    pub fn empty(dimensions: usize, slots: usize) -> Self {
        let layout = Layout::new(dimensions, slots);
        let mut codes = Self { layout, blob: AlignedBytes::zeros(layout.codes_bytes()) };
        (0..layout.slots).for_each(|slot| codes.vacate(slot));
        codes
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.layout.slots
    }

    /// Bytes of memory.
    pub fn size(&self) -> usize {
        self.blob.length
    }

    /// Bytes of memory that the codes of so many slots take.
    pub fn size_of(dimensions: usize, slots: usize) -> usize {
        Layout::new(dimensions, slots).codes_bytes()
    }

    /// The groups of 64 slots, in order.
    pub fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        let bytes = self.blob.bytes();
        let groups = bytes[FRAME..self.layout.rowids()].chunks_exact(self.layout.group());
        groups.map(|group| {
            let (codes, factors) = group.split_at(GROUP * self.layout.code);
            Group { codes: codes.as_chunks().0, factors: bytemuck::from_bytes(factors) }
        })
    }

    /// What a slot says about its row; `None` for a free slot.
    pub fn slot(&self, slot: usize) -> Option<CodedRow> {
        let factors = self.factors(slot);
        let get = |array: &[F32Le; GROUP]| array[slot % GROUP].get();
        let factors = [get(&factors.scale), get(&factors.error), get(&factors.offset)];
        (factors[2] > f32::NEG_INFINITY).then(|| CodedRow {
            rowid: self.rowid(slot),
            fingerprint: self.fingerprint(slot),
            factors,
        })
    }

    /// What the slots that have a row say about it, in the order of the slots.
    pub fn rows(&self) -> impl Iterator<Item = CodedRow> {
        (0..self.slots()).filter_map(|slot| self.slot(slot))
    }

    /// The row of a slot. It has no meaning for a free slot.
    #[inline]
    pub fn rowid(&self, slot: usize) -> i64 {
        i64::from_le_bytes(self.number(self.layout.rowids() + 8 * slot))
    }

    #[inline]
    fn number<const N: usize>(&self, at: usize) -> [u8; N] {
        self.blob.bytes()[at..].first_chunk().copied().unwrap_or([0; N])
    }

    fn factors(&self, slot: usize) -> &Factors {
        self.group_factors(slot / GROUP)
    }

    /// The factors of the codes of a group.
    pub fn group_factors(&self, group: usize) -> &Factors {
        let at = FRAME + group * self.layout.group() + GROUP * self.layout.code;
        bytemuck::from_bytes(&self.blob.bytes()[at..][..size_of::<Factors>()])
    }

    /// Writes a row into a slot.
    pub fn put(&mut self, slot: usize, rowid: i64, fingerprint: u32, code: &one_bit::OneBitCode) {
        self.set(slot, &code.bits, [code.scale, code.error, code.offset]);
        self.name(slot, rowid, fingerprint);
    }

    /// The code of a slot. It has no meaning for a free slot.
    fn code(&self, slot: usize) -> one_bit::OneBitCode {
        let Factors { scale, error, offset } = self.factors(slot);
        let get = |array: &[F32Le; GROUP]| array[slot % GROUP].get();
        let group = self.groups().nth(slot / GROUP);
        let bits = group.iter().flat_map(|group| group.codes.iter().map(|column| column[slot % GROUP])).collect();
        one_bit::OneBitCode { bits, scale: get(scale), error: get(error), offset: get(offset) }
    }

    /// Makes a slot free. Nothing of what was in it is left.
    pub fn vacate(&mut self, slot: usize) {
        self.set(slot, &vec![0; self.layout.code], [0.0, 0.0, f32::NEG_INFINITY]);
        self.name(slot, 0, 0);
    }

    fn set(&mut self, slot: usize, bits: &[u8], [scale, error, offset]: [f32; 3]) {
        let (layout, in_group) = (self.layout, slot % GROUP);
        let group = &mut self.blob.bytes_mut()[FRAME + slot / GROUP * layout.group()..][..layout.group()];
        let (codes, factors) = group.split_at_mut(GROUP * layout.code);
        for (column, byte) in codes.as_chunks_mut::<GROUP>().0.iter_mut().zip(bits) {
            column[in_group] = *byte;
        }
        let factors: &mut Factors = bytemuck::from_bytes_mut(factors);
        factors.scale[in_group] = scale.into();
        factors.error[in_group] = error.into();
        factors.offset[in_group] = offset.into();
    }

    fn name(&mut self, slot: usize, rowid: i64, fingerprint: u32) {
        let layout = self.layout;
        let bytes = self.blob.bytes_mut();
        bytes[layout.rowids() + 8 * slot..][..8].copy_from_slice(&rowid.to_le_bytes());
        bytes[layout.fingerprints() + 4 * slot..][..4].copy_from_slice(&fingerprint.to_le_bytes());
    }

    /// Whether nothing is left in a free slot.
    fn is_clean(&self, slot: usize) -> bool {
        let nothing =
            one_bit::OneBitCode { bits: vec![0; self.layout.code], offset: f32::NEG_INFINITY, ..Default::default() };
        self.is(slot, 0, 0, &nothing)
    }

    /// Whether a slot has exactly this, to the bit.
    fn is(&self, slot: usize, rowid: i64, fingerprint: u32, code: &one_bit::OneBitCode) -> bool {
        let in_group = slot % GROUP;
        let same_bits = self
            .groups()
            .nth(slot / GROUP)
            .is_some_and(|group| group.codes.iter().zip(&code.bits).all(|(column, byte)| column[in_group] == *byte));
        let Factors { scale, error, offset } = self.factors(slot);
        let same = |array: &[F32Le; GROUP], number: f32| array[in_group].get().to_bits() == number.to_bits();
        same_bits
            && same(scale, code.scale)
            && same(error, code.error)
            && same(offset, code.offset)
            && self.rowid(slot) == rowid
            && self.fingerprint(slot) == fingerprint
    }

    /// The fingerprint of the row of a slot. It has no meaning for a free slot.
    #[inline]
    pub fn fingerprint(&self, slot: usize) -> u32 {
        u32::from_le_bytes(self.number(self.layout.fingerprints() + 4 * slot))
    }

    /// The same with more slots. The new ones are free.
    fn grown(&self, dimensions: usize, slots: usize) -> Self {
        let mut grown = Self::empty(dimensions, slots);
        let (from, to) = (self.layout, grown.layout);
        let bytes = grown.blob.bytes_mut();
        let parts = [
            (FRAME, FRAME, from.rowids() - FRAME),
            (from.rowids(), to.rowids(), 8 * from.slots),
            (from.fingerprints(), to.fingerprints(), 4 * from.slots),
        ];
        copy_parts(self.blob.bytes(), bytes, &parts);
        grown
    }

    /// The bytes to store, with label and checksum.
    pub fn seal(&mut self, block: u32, token: Token) -> &[u8] {
        seal(label(BlobKind::Codes, block, token), self.blob.bytes_mut());
        self.blob.bytes()
    }
}

impl Fine {
    /// Reads it from a store and checks it.
    pub fn read<S: Store>(store: &mut S, dimensions: usize, block: u32, entry: &BlockEntry) -> Result<Self> {
        let label = label(BlobKind::Fine, block, entry.token);
        read(store, label, |blob| Self::decode(dimensions, block, entry, blob))
    }

    /// Reads and checks a BLOB of fine codes.
    pub fn decode(dimensions: usize, block: u32, entry: &BlockEntry, blob: &[u8]) -> Result<Self> {
        let layout = Layout::new(dimensions, entry.slots as usize);
        let blob = sized(label(BlobKind::Fine, block, entry.token), blob, layout.fine_bytes())?;
        Ok(Self { layout, blob })
    }

    /// All slots are free.
    pub fn empty(dimensions: usize, slots: usize) -> Self {
        let layout = Layout::new(dimensions, slots);
        Self { layout, blob: AlignedBytes::zeros(layout.fine_bytes()) }
    }

    /// Bytes of memory that the fine codes of so many slots take.
    pub fn size_of(dimensions: usize, slots: usize) -> usize {
        Layout::new(dimensions, slots).fine_bytes()
    }

    /// Scale, error and code of a slot.
    #[inline]
    pub fn slot(&self, slot: usize) -> ([f32; 2], &[u8]) {
        let (factors, code) = self.bytes(slot).split_at(8);
        let (factors, _) = factors.as_chunks();
        ([f32::from_le_bytes(factors[0]), f32::from_le_bytes(factors[1])], code)
    }

    /// Starts to load the code of a slot into the cache of the CPU.
    pub fn fetch_ahead(&self, slot: usize) {
        (kernels::table().codes.fetch)(self.bytes(slot));
    }

    #[inline]
    fn bytes(&self, slot: usize) -> &[u8] {
        let length = self.layout.fine_slot();
        &self.blob.bytes()[FRAME + slot * length..][..length]
    }

    /// Writes a row into a slot.
    pub fn put(&mut self, slot: usize, code: &four_bit::FourBitCode) {
        self.set(slot, &code.nibbles, [code.scale, code.error]);
    }

    /// Makes a slot free. Nothing of what was in it is left.
    pub fn vacate(&mut self, slot: usize) {
        self.set(slot, &vec![0; self.layout.fine_code], [0.0; 2]);
    }

    /// Whether a slot has exactly this, to the bit.
    fn is(&self, slot: usize, code: &four_bit::FourBitCode) -> bool {
        let (factors, nibbles) = self.slot(slot);
        factors.map(f32::to_bits) == [code.scale, code.error].map(f32::to_bits) && nibbles == code.nibbles
    }

    fn set(&mut self, slot: usize, nibbles: &[u8], [scale, error]: [f32; 2]) {
        let length = self.layout.fine_slot();
        let bytes = &mut self.blob.bytes_mut()[FRAME + slot * length..][..length];
        bytes[..4].copy_from_slice(&scale.to_le_bytes());
        bytes[4..8].copy_from_slice(&error.to_le_bytes());
        bytes[8..].copy_from_slice(nibbles);
    }

    /// The same with more slots. The new ones are free.
    fn grown(&self, dimensions: usize, slots: usize) -> Self {
        let mut grown = Self::empty(dimensions, slots);
        let bytes = &mut grown.blob.bytes_mut()[FRAME..][..self.blob.length - FRAME];
        bytes.copy_from_slice(&self.blob.bytes()[FRAME..]);
        grown
    }

    /// The bytes to store, with label and checksum.
    pub fn seal(&mut self, block: u32, token: Token) -> &[u8] {
        seal(label(BlobKind::Fine, block, token), self.blob.bytes_mut());
        self.blob.bytes()
    }
}

/// Both BLOBs of a block, in order to change and store them.
pub struct Block {
    dimensions: usize,
    pub codes: Codes,
    pub fine: Fine,
}

impl Block {
    /// All slots are free.
    pub fn empty(dimensions: usize, slots: usize) -> Self {
        Self { dimensions, codes: Codes::empty(dimensions, slots), fine: Fine::empty(dimensions, slots) }
    }

    /// Reads both BLOBs from the store itself, not from a cache.
    pub fn read<S: Store>(store: &mut S, dimensions: usize, block: u32, entry: &BlockEntry) -> Result<Self> {
        let codes = Codes::read(store, dimensions, block, entry)?;
        let fine = Fine::read(store, dimensions, block, entry)?;
        Ok(Self { dimensions, codes, fine })
    }

    /// Writes a row into a slot.
    pub fn put(&mut self, slot: usize, row: &RowCodes) {
        self.codes.put(slot, row.rowid, row.fingerprint, &row.coarse);
        self.fine.put(slot, &row.fine);
    }

    /// The rows with their codes.
    pub fn rows(&self) -> impl Iterator<Item = RowCodes> {
        (0..self.codes.slots()).filter_map(|slot| {
            let CodedRow { rowid, fingerprint, .. } = self.codes.slot(slot)?;
            let ([scale, error], nibbles) = self.fine.slot(slot);
            let fine = four_bit::FourBitCode { nibbles: nibbles.to_vec(), scale, error };
            Some(RowCodes { rowid, fingerprint, coarse: self.codes.code(slot), fine })
        })
    }

    /// How many slots have a row.
    pub fn count(&self) -> usize {
        self.codes.rows().count()
    }

    /// Makes a slot free.
    pub fn vacate(&mut self, slot: usize) {
        self.codes.vacate(slot);
        self.fine.vacate(slot);
    }

    /// Whether nothing is left in a free slot.
    pub fn is_clean(&self, slot: usize) -> bool {
        self.codes.is_clean(slot) && self.fine.bytes(slot).iter().all(|byte| *byte == 0)
    }

    /// Whether a slot has this row's codes, to the bit.
    pub fn is(&self, slot: usize, rowid: i64, fingerprint: u32, encoder: &Encoder<'_>) -> bool {
        self.codes.is(slot, rowid, fingerprint, &encoder.coarse) && self.fine.is(slot, &encoder.fine)
    }

    /// Makes room for so many rows in all.
    pub fn grow(&mut self, slots: usize) {
        self.codes = self.codes.grown(self.dimensions, slots);
        self.fine = self.fine.grown(self.dimensions, slots);
    }

    /// Stores both BLOBs under a new token.
    pub fn write<S: Store>(&mut self, store: &mut S, block: u32) -> Result<BlockEntry> {
        let token = Token::fresh();
        store.write(label(BlobKind::Codes, block, token).id(), self.codes.seal(block, token))?;
        store.write(label(BlobKind::Fine, block, token).id(), self.fine.seal(block, token))?;
        Ok(BlockEntry { token, rows: self.count() as u32, slots: self.codes.slots() as u32 })
    }
}

/// Shows a BLOB to `with`. The directory says that it exists, so it is an error if it does not.
pub fn read<S: Store, T>(store: &mut S, label: Label, with: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
    trace::note(|notes| notes.cache_misses += 1);
    store.read(label.id(), with)?.ok_or_else(|| label.damaged("it is missing"))
}
