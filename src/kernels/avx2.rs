//! Eight floats at a time: x86-64 CPUs since about 2013 (Intel Haswell, AMD Excavator).

use std::arch::x86_64::*;

use super::{F32Le, codes, each_row, same_length, scalar, typed, widen};

const LANES: usize = 8;

table!(
    "avx2",
    "avx2,fma",
    // Every CPU with AVX2 has the others too, but a virtual machine may hide them.
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("popcnt"),
    codes::avx2::CODES,
    typed::avx2::TYPED
);

#[inline]
#[target_feature(enable = "avx2,fma")]
fn dot_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
    sum(a, b, |sum, a, b| _mm256_fmadd_ps(a, b, sum), scalar::dot_f32)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn l2_squared_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
    let step = |sum, a, b| {
        let difference = _mm256_sub_ps(a, b);
        _mm256_fmadd_ps(difference, difference, sum)
    };
    sum(a, b, step, scalar::l2_squared_f32)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn l1_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
    let sign = _mm256_set1_ps(-0.0);
    let step = |sum, a, b| _mm256_add_ps(sum, _mm256_andnot_ps(sign, _mm256_sub_ps(a, b)));
    sum(a, b, step, scalar::l1_f32)
}

/// Adds up the vectors with `step(sum, a, b)`, then the tail. There are four sums, so that an addition need not wait
/// for the one before.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn sum(
    a: &[F32Le],
    b: &[F32Le],
    step: impl Fn(__m256, __m256, __m256) -> __m256,
    tail: impl Fn(&[F32Le], &[F32Le]) -> f32,
) -> f32 {
    let (a, b) = same_length(a, b);
    let (a, a_tail) = a.as_chunks::<LANES>();
    let (b, b_tail) = b.as_chunks::<LANES>();
    let (a_fours, a_rest) = a.as_chunks::<4>();
    let (b_fours, b_rest) = b.as_chunks::<4>();

    let mut sums = [_mm256_setzero_ps(); 4];
    for (a, b) in a_fours.iter().zip(b_fours) {
        for i in 0..4 {
            sums[i] = step(sums[i], load(&a[i]), load(&b[i]));
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum = step(*sum, load(a), load(b));
    }
    let [s0, s1, s2, s3] = sums;
    let total = add_lanes(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
    if a_tail.is_empty() { total } else { total + tail(a_tail, b_tail) }
}

/// Three products at once, each added up in the order of `sum`.
#[target_feature(enable = "avx2,fma")]
fn products_f32(a: &[F32Le], b: &[F32Le]) -> [f32; 3] {
    let (a, b) = same_length(a, b);
    let (a, a_tail) = a.as_chunks::<LANES>();
    let (b, b_tail) = b.as_chunks::<LANES>();
    let (a_fours, a_rest) = a.as_chunks::<4>();
    let (b_fours, b_rest) = b.as_chunks::<4>();

    // Three arrays, as one of arrays is kept in memory.
    let [mut products, mut squares_of_a, mut squares_of_b] = [[_mm256_setzero_ps(); 4]; 3];
    let mut add = |i: usize, a, b| {
        products[i] = _mm256_fmadd_ps(a, b, products[i]);
        squares_of_a[i] = _mm256_fmadd_ps(a, a, squares_of_a[i]);
        squares_of_b[i] = _mm256_fmadd_ps(b, b, squares_of_b[i]);
    };
    for (a, b) in a_fours.iter().zip(b_fours) {
        for i in 0..4 {
            add(i, load(&a[i]), load(&b[i]));
        }
    }
    for (i, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        add(i, load(a), load(b));
    }
    let total = |[s0, s1, s2, s3]: [__m256; 4], a: &[F32Le], b: &[F32Le]| {
        let total = add_lanes(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
        if a.is_empty() { total } else { total + scalar::dot_f32(a, b) }
    };
    [total(products, a_tail, b_tail), total(squares_of_a, a_tail, a_tail), total(squares_of_b, b_tail, b_tail)]
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn add_lanes(v: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn load(floats: &[F32Le; LANES]) -> __m256 {
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
