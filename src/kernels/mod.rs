//! Arithmetic on vectors: one table of function pointers for each instruction set. The best one is found at run time.
//!
//! The scalar code defines the results; the other files compute the same faster, under the same names. Nothing here
//! knows SQLite, files, errors or metrics. `README.md` beside this file describes the loops and what was measured.

#![allow(unsafe_code)]

use once_cell::race::OnceRef;

/// Makes a table from the kernels of the file that uses it. `dot_f32`, `l2_squared_f32` and `l1_f32` become plain
/// function pointers. Each also gets a version over rows, which uses `each_row` of that file. `$codes` are the kernels
/// on codes, `$typed` those on smaller types. `$features` are the features that the kernels enable; `$detected` must say whether
/// this CPU has all of them, and those of `$codes` and `$typed`.
#[allow(unused_macros, reason = "other CPUs have the scalar table alone")]
macro_rules! table {
    ($name:literal, $features:literal, $detected:expr, $codes:expr, $typed:expr) => {
        /// The kernels of this instruction set, if the CPU can run them.
        pub(super) fn table() -> Option<&'static $crate::kernels::Table> {
            $detected.then_some(&TABLE)
        }

        static TABLE: $crate::kernels::Table = PLAIN;

        const PLAIN: $crate::kernels::Table = $crate::kernels::Table {
            name: $name,
            dot_f32: table!(@plain dot_f32(a, b)),
            l2_squared_f32: table!(@plain l2_squared_f32(a, b)),
            l1_f32: table!(@plain l1_f32(a, b)),
            products_f32: table!(@plain products_f32(a, b)),
            dot_f32_rows: table!(@plain dot_f32_rows(query, rows, scores)),
            l2_squared_f32_rows: table!(@plain l2_squared_f32_rows(query, rows, scores)),
            l1_f32_rows: table!(@plain l1_f32_rows(query, rows, scores)),
            widen_f16: table!(@plain widen_f16(bytes, into)),
            widen_bf16: table!(@plain widen_bf16(bytes, into)),
            widen_int8: table!(@plain widen_int8(bytes, into)),
            hamming: table!(@plain hamming(a, b)),
            codes: $codes,
            typed: $typed,
        };

        #[target_feature(enable = $features)]
        fn widen_int8(bytes: &[u8], into: &mut [F32Le]) {
            $crate::kernels::widen::int8(bytes, into);
        }

        // Every CPU that has these features can count the bits of a word, but the compiler does not know that.
        #[target_feature(enable = $features)]
        #[cfg_attr(target_arch = "x86_64", target_feature(enable = "popcnt"))]
        fn hamming(a: &[u8], b: &[u8]) -> u32 {
            $crate::kernels::widen::hamming(a, b)
        }

        table!(@rows $features, dot_f32_rows, dot_f32);
        table!(@rows $features, l2_squared_f32_rows, l2_squared_f32);
        table!(@rows $features, l1_f32_rows, l1_f32);
    };

    (@plain $kernel:ident($($argument:ident),*)) => {
        // SAFETY: `table` above is the only way to this pointer, and it looks for the kernel's features first.
        |$($argument),*| unsafe { $kernel($($argument),*) }
    };

    // A kernel can be inlined only where its own features are enabled, so each instruction set has its own loop.
    (@rows $features:literal, $rows:ident, $kernel:ident) => {
        #[target_feature(enable = $features)]
        fn $rows(query: &[F32Le], rows: &[F32Le], scores: &mut [f32]) {
            each_row(query, rows, scores, |query, row| $kernel(query, row));
        }
    };
}

// Its macros are for the files below.
#[macro_use]
mod sums;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod codes;
// The kernel loads whole vectors. They are read as little-endian numbers only on a little-endian CPU.
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;
pub mod typed;
pub mod widen;

/// An f32 as it is stored: four little-endian bytes at any address.
///
/// Any byte slice whose length is a multiple of four becomes a `&[F32Le]` by `bytemuck::try_cast_slice`, without a copy
/// and with any alignment. On little-endian machines a `&[f32]` does as well.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct F32Le([u8; 4]);

impl F32Le {
    /// The number that these bytes mean.
    #[inline]
    #[must_use]
    pub fn get(self) -> f32 {
        f32::from_le_bytes(self.0)
    }
}

impl From<f32> for F32Le {
    fn from(number: f32) -> Self {
        Self(number.to_le_bytes())
    }
}

/// From two vectors to one number. If one is longer, its end is ignored.
pub type PairKernel = fn(a: &[F32Le], b: &[F32Le]) -> f32;

/// The products of two vectors and of each with itself: a·b, a·a, b·b. If one is longer, its end is ignored. Each has the bits that the
/// dot product of the same table gives.
pub type ProductsKernel = fn(a: &[F32Le], b: &[F32Le]) -> [f32; 3];

/// Compares a query with rows that lie one after the other, each as long as the query. The score of row i goes to
/// `scores[i]`.
///
/// It ends with the last whole row or the last place in `scores`, whichever comes first. Scores without a whole row
/// keep their old values. The score of a row has the same bits as the [`PairKernel`] of the same table gives, wherever the
/// row lies.
pub type RowsKernel = fn(query: &[F32Le], rows: &[F32Le], scores: &mut [f32]);

/// The kernels of one instruction set. Code that has a table may call everything in it: tables are given only for a CPU
/// that can run them.
///
/// Sums are computed in f32. A sum beyond the range of f32 is infinite; if infinities of both signs meet, it is NaN, as
/// in the scalar code. Each table adds in its own order, so tables may differ if only partial sums leave the range.
/// Subnormal numbers are not taken for zero. A sum of no terms is 0.
#[derive(Debug)]
pub struct Table {
    /// `scalar`, `avx2`, `avx512`, `neon` or `simd128`.
    pub name: &'static str,
    /// The dot product, sum of a·b.
    pub dot_f32: PairKernel,
    /// The square of the Euclidean distance, sum of (a-b)².
    pub l2_squared_f32: PairKernel,
    /// The Manhattan distance, sum of |a-b|.
    pub l1_f32: PairKernel,
    /// What the cosine of two vectors is made of, in one pass over them.
    pub products_f32: ProductsKernel,
    /// `dot_f32` with many rows.
    pub dot_f32_rows: RowsKernel,
    /// `l2_squared_f32` with many rows.
    pub l2_squared_f32_rows: RowsKernel,
    /// `l1_f32` with many rows.
    pub l1_f32_rows: RowsKernel,
    /// From f16 to f32.
    pub widen_f16: widen::WidenKernel,
    /// From bf16 to f32.
    pub widen_bf16: widen::WidenKernel,
    /// From int8 to the numbers from -1 to 1 that it stands for.
    pub widen_int8: widen::WidenKernel,
    /// In how many bits two vectors differ. If one is longer, its end is ignored.
    pub hamming: fn(a: &[u8], b: &[u8]) -> u32,
    /// Arithmetic on stored codes.
    pub codes: codes::CodeKernels,
    /// Sums over two vectors of a smaller type.
    pub typed: typed::TypedKernels,
}

/// The table to use: the best that this CPU can run, chosen at the first call.
///
/// The variable `FAFCAS_KERNELS` in the environment asks for another table by name. If the name is unknown, or this CPU
/// cannot run that table, the best one is given. The name of the table shows which it is.
pub fn table() -> &'static Table {
    static CHOSEN: OnceRef<'static, Table> = OnceRef::new();
    CHOSEN.get_or_init(|| {
        let wanted = std::env::var("FAFCAS_KERNELS").unwrap_or_default();
        choose(&wanted)
    })
}

/// Every table that this CPU can run, the best first. The last one is always `scalar`.
pub fn tables() -> Vec<&'static Table> {
    let detected = [
        #[cfg(target_arch = "x86_64")]
        avx512::best(),
        #[cfg(target_arch = "x86_64")]
        avx2::table(),
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        neon::table(),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        simd128::table(),
        Some(&scalar::TABLE),
    ];
    detected.into_iter().flatten().collect()
}

fn choose(wanted: &str) -> &'static Table {
    let tables = tables();
    let named = tables.iter().find(|table| table.name == wanted);
    named.or(tables.first()).copied().unwrap_or(&scalar::TABLE)
}

/// Both vectors cut to the length of the shorter.
#[inline]
fn same_length<'a>(a: &'a [F32Le], b: &'a [F32Le]) -> (&'a [F32Le], &'a [F32Le]) {
    let length = a.len().min(b.len());
    (&a[..length], &b[..length])
}

/// Scores rows one by one. It is always inlined, so that the kernel is inlined where its features are enabled.
#[inline(always)]
fn each_row(query: &[F32Le], rows: &[F32Le], scores: &mut [f32], kernel: impl Fn(&[F32Le], &[F32Le]) -> f32) {
    let mut rest = rows;
    for score in scores {
        let Some((row, after)) = rest.split_at_checked(query.len()) else { return };
        *score = kernel(query, row);
        rest = after;
    }
}
