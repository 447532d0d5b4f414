//! Arithmetic on stored codes: sums over 1-bit codes, bounds from these sums, products with 4-bit codes, and checksums.
//!
//! 1-bit codes lie in groups of 64 vectors, transposed: first the 64 bytes with dimensions 0 to 7 of each vector, then
//! the 64 bytes with dimensions 8 to 15, and so on. So one load brings the same dimensions of many vectors. Each half
//! of a byte selects one of 16 table entries: what its four dimensions add to the sum. This look-up is a byte shuffle,
//! which every CPU with wide vectors has. `../README.md` has the figures, and what else was tried.

/// Makes plain function pointers from the kernels of the file that uses it. All of `$features` are enabled in them.
/// `$crc32c` is the checksum. The file's `fetch_line` prefetches the cache line at an address; its `fetch_far`
/// prefetches one that is needed later.
#[allow(unused_macros, reason = "other CPUs have the scalar kernels alone")]
macro_rules! codes {
    ($features:literal, $crc32c:expr) => {
        pub(in $crate::kernels) const CODES: $crate::kernels::codes::CodeKernels = $crate::kernels::codes::CodeKernels {
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
            known: &$crate::kernels::codes::LimitTerms,
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
        // SAFETY: only the table of kernels for these features has this pointer, and it is given only after the CPU was
        // checked.
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
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) mod simd128;

pub use bounds::{Bounds, Factors, Formula, TELLABLE};
pub use limits::{LimitTerms, Limits};
pub use reach::{Terms, Weights};

/// How many vectors have their codes together.
pub const GROUP: usize = 64;

/// The greatest entry of a look-up table. A byte of a code selects two entries, and their sum must fit in eight bits.
pub const MAX_ENTRY: u8 = 127;

/// The same for the tables of many queries: here eight entries, for four bytes of a code, must fit in eight bits
/// together.
pub const MAX_SMALL_ENTRY: u8 = 31;

/// For each vector of a group, the sum of the table entries that its code selects.
///
/// The lower half of byte `i` of a code selects from table `2i`, the upper half from table `2i+1`. Entries are at most
/// [`MAX_ENTRY`]. If there are more codes than tables, or more tables than codes, the rest is ignored.
pub type SumsKernel = fn(tables: &[[u8; 16]], codes: &[[u8; GROUP]], sums: &mut [u32; GROUP]);

/// [`SumsKernel`] of some queries for two groups, with entries of at most [`MAX_SMALL_ENTRY`]. The tables of the queries lie
/// one after the other, for as many queries as `sums` has. A code has at least one byte.
pub type TileU1 = fn(tables: &[[u8; 16]], groups: [&[[u8; GROUP]]; 2], sums: &mut [[[u32; GROUP]; 2]]);

/// A bit for each vector of a group that reaches a threshold.
///
/// The quick question comes first: usually none does, and to find that out is cheaper without the bits.
#[inline(always)]
fn reaching(reaches: impl Fn(usize) -> bool) -> u64 {
    if (0..GROUP).fold(false, |any, i| any | reaches(i)) {
        (0..GROUP).fold(0, |bits, i| bits | (u64::from(reaches(i)) << i))
    } else {
        0
    }
}

/// Estimates and errors of a group, and a bit for each of its vectors that could reach `threshold`. The first vector is
/// the lowest bit.
///
/// If a bound is NaN, the vector could reach the threshold. If an offset is minus infinity or NaN, it could not. If no
/// vector could, `bounds` may be left as it was.
pub type Estimate =
    fn(formula: &Formula, sums: &[u32; GROUP], factors: &Factors, threshold: f32, bounds: &mut Bounds) -> u64;

/// The product of a vector of 4-bit numbers (0 to 15, two in a byte) with a vector of signed bytes. The signed bytes
/// come in two parts: `even` is multiplied with the lower halves, `odd` with the upper halves.
///
/// If the three differ in length, only the length of the shortest is used. The result is exact for up to 2^19 bytes.
pub type DotU4 = fn(codes: &[u8], even: &[i8], odd: &[i8]) -> i32;

/// The product of [`DotU4`], for each query and each vector of a group. It is computed in another way, with the same
/// results.
///
/// Word `w` of `codes` has bytes `4w` to `4w+3` of the code of each vector, the first byte lowest. For each word, a
/// query has its steps at the four even positions, then those at the four odd positions. Queries lie one after the
/// other, as many as `sums` has; a query that is cut off at the end is ignored. The result is exact for up to 2^16
/// words.
pub type TileU4 = fn(codes: &[[u32; GROUP]], queries: &[[[i8; 4]; 2]], sums: &mut [[i32; GROUP]]);

/// The greatest keys that the vectors of a group can have, and a bit for each vector whose greatest key is not below
/// `threshold`, the first vector lowest. If the limit is NaN, the bit is set. If the offset is minus infinity, it is
/// not set.
pub type Within =
    fn(limits: &Limits, sums: &[i32; GROUP], known: &LimitTerms, threshold: f32, upper: &mut [f32; GROUP]) -> u64;

/// A bit for each vector of a group whose bound is not below `threshold`, the first vector lowest. If the bound is NaN,
/// the bit is set.
pub type Reach = fn(weights: &Weights, sums: &[u32; GROUP], terms: &Terms, threshold: f32) -> u64;

/// CRC-32C of `bytes`, continued from `before`, which is 0 at the start.
pub type Crc32c = fn(before: u32, bytes: &[u8]) -> u32;

/// Starts to load bytes from memory, and does not wait for them.
pub type Fetch = fn(bytes: &[u8]);

/// The kernels on codes of one instruction set.
#[derive(Debug)]
pub struct CodeKernels {
    /// Sums over a group of 1-bit codes.
    pub sum_u1: SumsKernel,
    /// The same for many queries.
    pub tile_u1: TileU1,
    /// From sums to estimates with errors.
    pub estimate: Estimate,
    /// Product with a 4-bit code.
    pub dot_u4: DotU4,
    /// Products of queries with a group of 4-bit codes.
    pub tile_u4: TileU4,
    /// From products to limits that are certain.
    pub within: Within,
    /// From sums of many queries to the rows that could matter.
    pub reach: Reach,
    /// Checksum.
    pub crc32c: Crc32c,
    /// Prefetch.
    pub fetch: Fetch,
}

/// How far ahead a sweep prefetches, in bytes.
#[allow(dead_code, reason = "other CPUs have the scalar kernels alone")]
const AHEAD: usize = 8192;

/// How many bytes of codes can be added in 16 bits: 256, each with two entries of at most 127.
#[allow(dead_code, reason = "other CPUs have the scalar kernels alone")]
const SUMS_IN_16_BITS: usize = 256;

/// The same for small entries: 1024 bytes of codes in 16 bits, each with two entries of at most 31; and 4 bytes in 8
/// bits.
#[allow(dead_code, reason = "other CPUs have the scalar kernels alone")]
const SMALL_SUMS_IN_16_BITS: usize = 1024;
#[allow(dead_code, reason = "other CPUs have the scalar kernels alone")]
const SUMS_IN_8_BITS: usize = 4;

/// All three cut to the length of the shortest.
#[allow(dead_code, reason = "other CPUs have the scalar kernels alone")]
#[inline]
fn same_length<'a>(codes: &'a [u8], even: &'a [i8], odd: &'a [i8]) -> (&'a [u8], &'a [i8], &'a [i8]) {
    let length = codes.len().min(even.len()).min(odd.len());
    (&codes[..length], &even[..length], &odd[..length])
}

/// The tables of each query, for groups with so many bytes.
fn tables_of_each<'a>(tables: &'a [[u8; 16]], groups: [&[[u8; GROUP]]; 2]) -> std::slice::ChunksExact<'a, [u8; 16]> {
    let [first, second] = groups;
    tables.chunks_exact(2 * first.len().max(second.len()).max(1))
}

/// How many bytes of codes all groups and the tables of all queries have.
#[allow(dead_code, reason = "other CPUs have the scalar kernels alone")]
#[inline]
fn shortest<const Q: usize, const G: usize>(tables: [&[[u8; 16]]; Q], groups: [&[[u8; GROUP]]; G]) -> usize {
    let tables = tables.into_iter().map(|tables| tables.len() / 2);
    groups.into_iter().map(<[_]>::len).chain(tables).min().unwrap_or(0)
}
