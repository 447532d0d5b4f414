//! Eight floats at a time: x86-64 CPUs since about 2013 (Intel Haswell, AMD Excavator).

use std::arch::x86_64::*;

use super::{F32Le, codes, each_row, scalar, typed, widen};

/// A register of floats.
pub(super) type Floats = __m256;
/// How many floats it has.
pub(super) const LANES: usize = 8;

table!(
    "avx2",
    "avx2,fma",
    // Every CPU with AVX2 has the others too, but a virtual machine may hide them.
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("sse4.2"),
    codes::avx2::CODES,
    typed::avx2::TYPED
);

sums!("avx2,fma");
products!("avx2,fma");
scalar_tails!("avx2,fma");

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn zeros() -> Floats {
    _mm256_setzero_ps()
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn multiplied(sum: Floats, a: Floats, b: Floats) -> Floats {
    _mm256_fmadd_ps(a, b, sum)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn squared(sum: Floats, a: Floats, b: Floats) -> Floats {
    let difference = _mm256_sub_ps(a, b);
    _mm256_fmadd_ps(difference, difference, sum)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn absolute(sum: Floats, a: Floats, b: Floats) -> Floats {
    _mm256_add_ps(sum, _mm256_andnot_ps(_mm256_set1_ps(-0.0), _mm256_sub_ps(a, b)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn added(a: Floats, b: Floats) -> Floats {
    _mm256_add_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_lanes(v: Floats) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn load(floats: &[F32Le; LANES]) -> Floats {
    // SAFETY: the array is 32 readable bytes, and this load asks for no alignment.
    unsafe { _mm256_loadu_ps(floats.as_ptr().cast()) }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn widen_f16(bytes: &[u8], into: &mut [F32Le]) {
    widen_pairs(bytes, into, |pairs| _mm256_cvtph_ps(pairs), widen::f16);
}

#[target_feature(enable = "avx2,fma,f16c")]
fn widen_bf16(bytes: &[u8], into: &mut [F32Le]) {
    let upper_half = |pairs| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(pairs)));
    widen_pairs(bytes, into, upper_half, widen::bf16);
}

/// Widens eight elements of two bytes at a time, and what is left with `tail`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn widen_pairs(
    bytes: &[u8],
    into: &mut [F32Le],
    widen: impl Fn(__m128i) -> __m256,
    tail: impl Fn(&[u8], &mut [F32Le]),
) {
    let length = into.len().min(bytes.len() / 2);
    let (bytes, into) = (&bytes[..2 * length], &mut into[..length]);
    let (stored, stored_tail) = bytes.as_chunks::<{ 2 * LANES }>();
    let (wide, wide_tail) = into.as_chunks_mut::<LANES>();
    for (stored, wide) in stored.iter().zip(wide) {
        // SAFETY: the arrays are 16 readable and 32 writable bytes, and neither call asks for an alignment.
        unsafe { _mm256_storeu_ps(wide.as_mut_ptr().cast(), widen(_mm_loadu_si128(stored.as_ptr().cast()))) };
    }
    tail(stored_tail, wide_tail);
}
