//! Arithmetic on vectors: one table of function pointers per instruction set, the best one found at run time.
//!
//! `scalar` is the meaning; the other files are faster spellings of it under the same names. Nothing here knows about
//! SQLite, files, errors or metrics. `README.md` beside this file describes the loops and what was measured.

#![allow(unsafe_code)]

use std::sync::LazyLock;

/// A table from the kernels of the file it is used in: `dot_f32`, `l2_squared_f32` and `l1_f32` become plain function
/// pointers, each with a version over rows by the file's `each_row`, and `$codes` beside them. `$detected` must say
/// whether this CPU has all of `$features`, which are those the kernels enable, and what `$codes` enables.
#[allow(unused_macros, reason = "other CPUs have the scalar table alone")]
macro_rules! table {
    ($name:literal, $features:literal, $detected:expr, $codes:expr) => {
        /// This instruction set's kernels, if the CPU can run them.
        pub(super) fn table() -> Option<&'static $crate::kernels::Table> {
            $detected.then_some(&TABLE)
        }

        static TABLE: $crate::kernels::Table = $crate::kernels::Table {
            name: $name,
            dot_f32: table!(@plain dot_f32(a, b)),
            l2_squared_f32: table!(@plain l2_squared_f32(a, b)),
            l1_f32: table!(@plain l1_f32(a, b)),
            dot_f32_rows: table!(@plain dot_f32_rows(query, rows, scores)),
            l2_squared_f32_rows: table!(@plain l2_squared_f32_rows(query, rows, scores)),
            l1_f32_rows: table!(@plain l1_f32_rows(query, rows, scores)),
            codes: $codes,
        };

        table!(@rows $features, dot_f32_rows, dot_f32);
        table!(@rows $features, l2_squared_f32_rows, l2_squared_f32);
        table!(@rows $features, l1_f32_rows, l1_f32);
    };

    (@plain $kernel:ident($($argument:ident),*)) => {
        // SAFETY: `table` above is the only way to this pointer, and it looks for the kernel's features first.
        |$($argument),*| unsafe { $kernel($($argument),*) }
    };

    // A kernel can be inlined only where its own features are enabled, hence a loop per instruction set.
    (@rows $features:literal, $rows:ident, $kernel:ident) => {
        #[target_feature(enable = $features)]
        fn $rows(query: &[F32Le], rows: &[F32Le], scores: &mut [f32]) {
            each_row(query, rows, scores, |query, row| $kernel(query, row));
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod codes;
// The kernel loads whole vectors, which is little-endian only there.
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
mod scalar;

/// An f32 as it is stored: four little-endian bytes at any address.
///
/// Any byte slice whose length is a multiple of four is a `&[F32Le]` through `bytemuck::try_cast_slice`, without a copy
/// and whatever its alignment. On little-endian machines a `&[f32]` is one too.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct F32Le([u8; 4]);

impl F32Le {
    /// The number these bytes stand for.
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

/// Two vectors to one number. Where one is longer, its end is not looked at.
pub type Pair = fn(a: &[F32Le], b: &[F32Le]) -> f32;

/// A query against rows lying one after the other, each as long as the query; the score of row i goes to `scores[i]`.
///
/// Rows are scored as far as both `rows` and `scores` reach: scores without a whole row are left as they were. A row's
/// score has the same bits as the [`Pair`] of its table gives, wherever the row lies.
pub type Rows = fn(query: &[F32Le], rows: &[F32Le], scores: &mut [f32]);

/// The kernels of one instruction set. Having a table is the proof that this CPU can run it.
///
/// Sums are taken in f32. A sum beyond f32's range is infinite, and NaN where infinities of both signs meet, as in the
/// scalar code; each table adds in its own order, so when only partial sums leave the range, tables may differ.
/// Subnormal numbers count. A sum over nothing is 0.
#[derive(Debug)]
pub struct Table {
    /// `scalar`, `avx2`, `avx512` or `neon`.
    pub name: &'static str,
    /// The dot product, sum of a·b.
    pub dot_f32: Pair,
    /// The square of the Euclidean distance, sum of (a-b)².
    pub l2_squared_f32: Pair,
    /// The Manhattan distance, sum of |a-b|.
    pub l1_f32: Pair,
    /// `dot_f32` over rows.
    pub dot_f32_rows: Rows,
    /// `l2_squared_f32` over rows.
    pub l2_squared_f32_rows: Rows,
    /// `l1_f32` over rows.
    pub l1_f32_rows: Rows,
    /// Arithmetic on stored codes.
    pub codes: codes::Codes,
}

/// The table to use: the best this CPU can run, found at the first call.
///
/// `FAFCAS_KERNELS` in the environment asks for another by name. One that is unknown, or that this CPU cannot run, is
/// not given; the name of the table shows which was.
pub fn table() -> &'static Table {
    static CHOSEN: LazyLock<&'static Table> = LazyLock::new(|| {
        let wanted = std::env::var("FAFCAS_KERNELS").unwrap_or_default();
        choose(&wanted)
    });
    *CHOSEN
}

/// Every table this CPU can run, best first. The last is always `scalar`.
pub fn tables() -> Vec<&'static Table> {
    let detected = [
        #[cfg(target_arch = "x86_64")]
        avx512::table(),
        #[cfg(target_arch = "x86_64")]
        avx2::table(),
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        neon::table(),
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

/// Scores rows one by one. Always inlined, so that the kernel is inlined where its features are enabled.
#[inline(always)]
fn each_row(query: &[F32Le], rows: &[F32Le], scores: &mut [f32], kernel: impl Fn(&[F32Le], &[F32Le]) -> f32) {
    let mut rest = rows;
    for score in scores {
        let Some((row, after)) = rest.split_at_checked(query.len()) else { return };
        *score = kernel(query, row);
        rest = after;
    }
}
