//! Sixteen floats at a time: AVX-512F, on Intel servers since 2017 and on AMD since Zen 4.

use std::arch::x86_64::*;

use super::{F32Le, Table, codes, scalar, typed, widen};

/// A register of floats.
pub(super) type Floats = __m512;
/// How many floats it has.
pub(super) const LANES: usize = 16;
const CACHE_LINE: usize = 64;
/// How far ahead memory is prefetched, in bytes.
const AHEAD: usize = 2048;

table!(
    "avx512",
    "avx512f",
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("sse4.2"),
    codes::avx512::CODES,
    typed::avx512::TYPED
);

/// The same table, or on CPUs that count bits in wide registers one that does (Intel since Ice Lake, AMD since Zen 4).
pub(super) fn best() -> Option<&'static Table> {
    // SAFETY: the table is given only where the CPU has the feature of this kernel.
    static COUNTING: Table = Table { hamming: |a, b| unsafe { hamming_counting(a, b) }, ..PLAIN };
    if is_x86_feature_detected!("avx512vpopcntdq") { table().and(Some(&COUNTING)) } else { table() }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
fn hamming_counting(a: &[u8], b: &[u8]) -> u32 {
    let length = a.len().min(b.len());
    let ((a, a_tail), (b, b_tail)) = (a[..length].as_chunks::<CACHE_LINE>(), b[..length].as_chunks::<CACHE_LINE>());
    let here = u64::MAX.checked_shr(64 - a_tail.len() as u32).unwrap_or(0);
    // SAFETY: the mask has one bit for each byte of the tails, which are shorter than 64, and bytes without a bit are not read.
    let tail = unsafe {
        let load = |tail: &[u8]| _mm512_maskz_loadu_epi8(here, tail.as_ptr().cast());
        _mm512_popcnt_epi64(_mm512_xor_si512(load(a_tail), load(b_tail)))
    };
    let count = |sum, (a, b): (&[u8; CACHE_LINE], &[u8; CACHE_LINE])| {
        // SAFETY: the arrays are 64 readable bytes, and this load asks for no alignment.
        let [a, b] = [a, b].map(|bytes| unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) });
        _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(a, b)))
    };
    _mm512_reduce_add_epi64(a.iter().zip(b).fold(tail, count)) as u32
}

sums!("avx512f");
products!("avx512f");

/// Adds the tails of two vectors to their sums. They are filled up with zeros, which add nothing to any sum.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn ended(
    sums: [Floats; 4],
    a_tail: &[F32Le],
    b_tail: &[F32Le],
    step: impl Fn(Floats, Floats, Floats) -> Floats,
    _scalar_sum: impl Fn(&[F32Le], &[F32Le]) -> f32,
) -> f32 {
    let [s0, s1, s2, mut s3] = sums;
    if !a_tail.is_empty() {
        s3 = step(s3, load_tail(a_tail), load_tail(b_tail));
    }
    total([s0, s1, s2, s3])
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn zeros() -> Floats {
    _mm512_setzero_ps()
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn multiplied(sum: Floats, a: Floats, b: Floats) -> Floats {
    _mm512_fmadd_ps(a, b, sum)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn squared(sum: Floats, a: Floats, b: Floats) -> Floats {
    let difference = _mm512_sub_ps(a, b);
    _mm512_fmadd_ps(difference, difference, sum)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn absolute(sum: Floats, a: Floats, b: Floats) -> Floats {
    _mm512_add_ps(sum, _mm512_abs_ps(_mm512_sub_ps(a, b)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn added(a: Floats, b: Floats) -> Floats {
    _mm512_add_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add_lanes(v: Floats) -> f32 {
    _mm512_reduce_add_ps(v)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(floats: &[F32Le; LANES]) -> Floats {
    // SAFETY: the array is 64 readable bytes, and this load asks for no alignment.
    unsafe { _mm512_loadu_ps(floats.as_ptr().cast()) }
}

/// Loads fewer floats than a vector holds, and zeros after them.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_tail(floats: &[F32Le]) -> Floats {
    let here = !(u32::MAX << floats.len().min(LANES)) as __mmask16;
    // SAFETY: the mask has one bit for each float of the slice, at most 16, and lanes without a bit are not read.
    unsafe { _mm512_maskz_loadu_ps(here, floats.as_ptr().cast()) }
}

/// Scores rows one by one. If loads cross cache lines, it prefetches the memory ahead: only then is the CPU's own
/// prefetching too slow. For aligned rows a prefetch costs more than it saves.
#[inline(always)]
fn each_row(query: &[F32Le], rows: &[F32Le], scores: &mut [f32], kernel: impl Fn(&[F32Le], &[F32Le]) -> f32) {
    super::each_row(query, rows, scores, |query, row| {
        if row.as_ptr().addr() % CACHE_LINE != 0 {
            fetch_ahead(row);
        }
        kernel(query, row)
    });
}

/// Starts to load the memory that lies `AHEAD` bytes after a row.
#[inline]
fn fetch_ahead(row: &[F32Le]) {
    let ahead = row.as_ptr().cast::<i8>().wrapping_add(AHEAD);
    for line in (0..size_of_val(row)).step_by(CACHE_LINE) {
        // SAFETY: a prefetch is a hint, which may point anywhere: it neither faults nor changes anything.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(line)) };
    }
}

#[target_feature(enable = "avx512f")]
fn widen_f16(bytes: &[u8], into: &mut [F32Le]) {
    widen_pairs(bytes, into, |pairs| _mm512_cvtph_ps(pairs), widen::f16);
}

#[target_feature(enable = "avx512f")]
fn widen_bf16(bytes: &[u8], into: &mut [F32Le]) {
    let upper_half = |pairs| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(pairs)));
    widen_pairs(bytes, into, upper_half, widen::bf16);
}

/// Widens sixteen elements of two bytes at a time, and what is left with `tail`.
#[inline]
#[target_feature(enable = "avx512f")]
fn widen_pairs(
    bytes: &[u8],
    into: &mut [F32Le],
    widen: impl Fn(__m256i) -> __m512,
    tail: impl Fn(&[u8], &mut [F32Le]),
) {
    let length = into.len().min(bytes.len() / 2);
    let (bytes, into) = (&bytes[..2 * length], &mut into[..length]);
    let (stored, stored_tail) = bytes.as_chunks::<{ 2 * LANES }>();
    let (wide, wide_tail) = into.as_chunks_mut::<LANES>();
    for (stored, wide) in stored.iter().zip(wide) {
        // SAFETY: the arrays are 32 readable and 64 writable bytes, and neither call asks for an alignment.
        unsafe { _mm512_storeu_ps(wide.as_mut_ptr().cast(), widen(_mm256_loadu_si256(stored.as_ptr().cast()))) };
    }
    tail(stored_tail, wide_tail);
}
