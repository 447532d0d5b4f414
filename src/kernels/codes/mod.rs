//! Arithmetic on stored codes: sums over 1-bit codes, bounds from them, products with 4-bit codes, and checksums.
//!
//! 1-bit codes lie in groups of 64 vectors, transposed: first the 64 bytes that hold dimensions 0 to 7 of each vector,
//! then the 64 bytes of dimensions 8 to 15, and so on. One load brings the same dimensions of many vectors, and each
//! half of a byte picks from a table of 16 what its four dimensions contribute: the look-up is a byte shuffle, which
//! every CPU with wide vectors has. `../README.md` has the figures, and what was tried besides.

/// The kernels of the file it is used in as plain function pointers. All of `$features` are enabled in
/// them; `$crc32c` is the checksum. The file's `fetch_line` asks for the cache line at an address, and `fetch_far` for one
/// that is wanted later.
#[allow(unused_macros, reason = "other CPUs have the scalar kernels alone")]
macro_rules! codes {
    ($features:literal, $crc32c:expr) => {
        pub(in $crate::kernels) const CODES: $crate::kernels::codes::Codes = $crate::kernels::codes::Codes {
            sum_u1: codes!(@plain sum_u1(tables, codes, sums)),
            tile_u1: codes!(@plain tile_u1(tables, groups, sums)),
            estimate: codes!(@plain estimate(formula, sums, factors, threshold, bounds)),
            dot_u4: codes!(@plain dot_u4(codes, even, odd)),
            tile_u4: codes!(@plain tile_u4(codes, queries, sums)),
            within: codes!(@plain within(limits, sums, known, threshold, upper)),
            reach: codes!(@plain reach(weights, sums, terms, threshold)),
            crc32c: $crc32c,
            fetch: |bytes| bytes.chunks(64).for_each(|line| fetch_line(line.as_ptr())),
        };

        #[target_feature(enable = $features)]
        fn estimate(
            formula: &$crate::kernels::codes::Formula,
            sums: &[u32; $crate::kernels::codes::GROUP],
            factors: &$crate::kernels::codes::Factors,
            threshold: f32,
            bounds: &mut $crate::kernels::codes::Bounds,
        ) -> u64 {
            let factor_lines = bytemuck::bytes_of(factors).chunks(64);
            factor_lines.for_each(|line| fetch_far(line.as_ptr().wrapping_add($crate::kernels::codes::AHEAD)));
            $crate::kernels::codes::bounds::estimate(formula, sums, factors, threshold, bounds)
        }

        #[target_feature(enable = $features)]
        fn within(
            limits: &$crate::kernels::codes::Limits,
            sums: &[i32; $crate::kernels::codes::GROUP],
            known: &$crate::kernels::codes::Known,
            threshold: f32,
            upper: &mut [f32; $crate::kernels::codes::GROUP],
        ) -> u64 {
            $crate::kernels::codes::limits::within(limits, sums, known, threshold, upper)
        }

        #[target_feature(enable = $features)]
        fn reach(
            weights: &$crate::kernels::codes::Weights,
            sums: &[u32; $crate::kernels::codes::GROUP],
            terms: &$crate::kernels::codes::Terms,
            threshold: f32,
        ) -> u64 {
            $crate::kernels::codes::reach::reach(weights, sums, terms, threshold)
        }
    };

    (@plain $kernel:ident($($argument:ident),*)) => {
        // SAFETY: only the table of kernels for these features holds this pointer, and it looked for them first.
        |$($argument),*| unsafe { $kernel($($argument),*) }
    };
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
mod bounds;
mod limits;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
pub(super) mod neon;
mod reach;
pub(super) mod scalar;

pub use bounds::{Bounds, Factors, Formula, TELLABLE};
pub use limits::{Known, Limits};
pub use reach::{Terms, Weights};

/// Vectors whose codes lie together.
pub const GROUP: usize = 64;

/// The greatest entry a look-up table may hold: a byte of a code adds two of them, in eight bits.
pub const MAX_ENTRY: u8 = 127;

/// The same for tables of many queries: four bytes of a code add eight of them.
pub const MAX_SMALL_ENTRY: u8 = 31;

/// For each vector of a group, the sum of what its code picks from the tables.
///
/// Byte `i` of a code picks from table `2i` with its lower half, and from table `2i+1` with its upper half. Entries are
/// at most [`MAX_ENTRY`]. Codes or tables beyond the shorter of the two are not looked at.
pub type Sums = fn(tables: &[[u8; 16]], codes: &[[u8; GROUP]], sums: &mut [u32; GROUP]);

/// [`Sums`] of some queries for two groups, of entries of at most [`MAX_SMALL_ENTRY`]. The queries' tables lie one after the
/// other, as many queries as `sums`, and codes have a byte at least.
pub type TileU1 = fn(tables: &[[u8; 16]], groups: [&[[u8; GROUP]]; 2], sums: &mut [[[u32; GROUP]; 2]]);

/// Estimates and errors of a group, and a bit for each of its vectors that could reach `threshold`, the first lowest.
///
/// A vector whose bound cannot be told (NaN) could; one whose offset is minus infinity, or NaN, could not. Where none could,
/// estimates and errors may be left as they were.
pub type Estimate =
    fn(formula: &Formula, sums: &[u32; GROUP], factors: &Factors, threshold: f32, bounds: &mut Bounds) -> u64;

/// The product of a vector of 4-bit numbers (0 to 15, two a byte) with one of signed bytes, given as its elements at
/// even positions, which meet the lower halves, and at odd positions, which meet the upper halves.
///
/// What is beyond the shortest of the three is not looked at. Exact for up to 2^19 bytes.
pub type DotU4 = fn(codes: &[u8], even: &[i8], odd: &[i8]) -> i32;

/// For each of some queries and each vector of a group, the product of [`DotU4`], by other ways to the same numbers.
///
/// Word `w` of `codes` has bytes `4w` to `4w+3` of each vector's code, the first lowest. A query has for each word its
/// steps at the four even positions, then those at the odd ones; queries lie one after the other, as many as `sums`.
/// Whole queries alone are looked at. Exact for up to 2^16 words.
pub type TileU4 = fn(codes: &[[u32; GROUP]], queries: &[[[i8; 4]; 2]], sums: &mut [[i32; GROUP]]);

/// The greatest keys that the vectors of a group can have, and a bit for each that is not below `threshold`, the first
/// lowest. A vector whose limit cannot be told (NaN) has its bit set; one whose offset is minus infinity has not.
pub type Within =
    fn(limits: &Limits, sums: &[i32; GROUP], known: &Known, threshold: f32, upper: &mut [f32; GROUP]) -> u64;

/// A bit for each vector of a group whose bound is not below `threshold`, the first lowest. One whose bound cannot be told
/// (NaN) has its bit set.
pub type Reach = fn(weights: &Weights, sums: &[u32; GROUP], terms: &Terms, threshold: f32) -> u64;

/// CRC-32C of `bytes` going on from `before`, which is 0 at the start.
pub type Crc32c = fn(before: u32, bytes: &[u8]) -> u32;

/// Starts to bring bytes in from memory, and does not wait for them.
pub type Fetch = fn(bytes: &[u8]);

/// The kernels on codes of one instruction set.
#[derive(Debug)]
pub struct Codes {
    /// Sums over a group of 1-bit codes.
    pub sum_u1: Sums,
    /// The same of many queries.
    pub tile_u1: TileU1,
    /// From sums to estimates with errors.
    pub estimate: Estimate,
    /// Product with a 4-bit code.
    pub dot_u4: DotU4,
    /// Products of queries with a group of 4-bit codes.
    pub tile_u4: TileU4,
    /// From products to certain limits.
    pub within: Within,
    /// From sums of many queries to rows that matter.
    pub reach: Reach,
    /// Checksum.
    pub crc32c: Crc32c,
    /// Prefetch.
    pub fetch: Fetch,
}

/// How far a sweep asks for memory beforehand, in bytes.
#[allow(dead_code, reason = "other CPUs have the scalar kernels alone")]
const AHEAD: usize = 8192;

/// Code bytes whose sums fit in 16 bits: 256 times two entries of at most 127.
#[allow(dead_code, reason = "other CPUs have the scalar kernels alone")]
const SUMS_IN_16_BITS: usize = 256;

/// The same of small entries: 1024 times two of at most 31; and 4 times in 8 bits.
#[allow(dead_code, reason = "other CPUs have the scalar kernels alone")]
const SMALL_SUMS_IN_16_BITS: usize = 1024;
#[allow(dead_code, reason = "other CPUs have the scalar kernels alone")]
const SUMS_IN_8_BITS: usize = 4;

/// All three cut to the length of the shortest.
#[inline]
fn same_length<'a>(codes: &'a [u8], even: &'a [i8], odd: &'a [i8]) -> (&'a [u8], &'a [i8], &'a [i8]) {
    let length = codes.len().min(even.len()).min(odd.len());
    (&codes[..length], &even[..length], &odd[..length])
}

/// The tables of each query, where groups have so many bytes.
fn tables_of_each<'a>(tables: &'a [[u8; 16]], groups: [&[[u8; GROUP]]; 2]) -> std::slice::ChunksExact<'a, [u8; 16]> {
    let [first, second] = groups;
    tables.chunks_exact(2 * first.len().max(second.len()).max(1))
}

/// The bytes of codes that all groups, and the tables of all queries, have.
#[allow(dead_code, reason = "other CPUs have the scalar kernels alone")]
#[inline]
fn shortest<const Q: usize, const G: usize>(tables: [&[[u8; 16]]; Q], groups: [&[[u8; GROUP]]; G]) -> usize {
    let tables = tables.into_iter().map(|tables| tables.len() / 2);
    groups.into_iter().map(<[_]>::len).chain(tables).min().unwrap_or(0)
}
