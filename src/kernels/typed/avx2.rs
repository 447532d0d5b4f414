//! 32 bytes at a time: sixteen elements of two bytes, or 32 of one.

use super::{filled, in_pieces, same_length, typed};
use crate::kernels::avx2::{add_lanes, load as load_floats};
use crate::kernels::widen::INT8_STEP;
use crate::kernels::{F32Le, scalar};
use std::arch::x86_64::*;

/// Floats of a register.
const LANES: usize = 8;

typed!("avx2,fma,f16c");

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiplied(sum: __m256, a: __m256, b: __m256) -> __m256 {
    _mm256_fmadd_ps(a, b, sum)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn squared(sum: __m256, a: __m256, b: __m256) -> __m256 {
    let difference = _mm256_sub_ps(a, b);
    _mm256_fmadd_ps(difference, difference, sum)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn absolute(sum: __m256, a: __m256, b: __m256) -> __m256 {
    _mm256_add_ps(sum, _mm256_andnot_ps(_mm256_set1_ps(-0.0), _mm256_sub_ps(a, b)))
}

/// The first and the second eight.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn f16(bytes: __m256i) -> [__m256; 2] {
    [_mm256_cvtph_ps(_mm256_castsi256_si128(bytes)), _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(bytes))]
}

/// Those at even and those at odd places: this is the same for both vectors, and no element has to move to another place.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn bf16(bytes: __m256i) -> [__m256; 2] {
    let upper = _mm256_set1_epi32(-0x1_0000);
    [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(bytes)), _mm256_castsi256_ps(_mm256_and_si256(bytes, upper))]
}

/// Adds up the vectors with `step(sum, a, b)`. There are four sums, so that an addition need not wait for the one before.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum(
    a: &[u8],
    b: &[u8],
    widen: impl Fn(__m256i) -> [__m256; 2],
    step: impl Fn(__m256, __m256, __m256) -> __m256,
) -> f32 {
    let (a, b) = same_length(a, b, 2);
    let (a, a_tail) = a.as_chunks::<32>();
    let (b, b_tail) = b.as_chunks::<32>();
    let mut sums = [_mm256_setzero_ps(); 4];
    let mut add = |at: usize, a: &[u8; 32], b: &[u8; 32]| {
        let (a, b) = (widen(load(a)), widen(load(b)));
        sums[at] = step(sums[at], a[0], b[0]);
        sums[at + 1] = step(sums[at + 1], a[1], b[1]);
    };
    let (a_pairs, a_rest) = a.as_chunks::<2>();
    let (b_pairs, b_rest) = b.as_chunks::<2>();
    for (a, b) in a_pairs.iter().zip(b_pairs) {
        add(0, &a[0], &b[0]);
        add(2, &a[1], &b[1]);
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        add(0, a, b);
    }
    if !a_tail.is_empty() {
        add(2, &filled(a_tail), &filled(b_tail));
    }
    let [s0, s1, s2, s3] = sums;
    add_lanes(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)))
}

#[target_feature(enable = "avx2,fma,f16c")]
fn int8_dot(a: &[u8], b: &[u8]) -> i64 {
    in_pieces(a, b, |a, b| sum_words(a, b, |a, b| _mm256_madd_epi16(a, b)))
}

#[target_feature(enable = "avx2,fma,f16c")]
fn int8_l2_squared(a: &[u8], b: &[u8]) -> i64 {
    let square = |a, b| {
        let difference = _mm256_sub_epi16(a, b);
        _mm256_madd_epi16(difference, difference)
    };
    in_pieces(a, b, |a, b| sum_words(a, b, square))
}

/// Adds up the products of words, which `multiply` has added in pairs.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum_words(a: &[u8], b: &[u8], multiply: impl Fn(__m256i, __m256i) -> __m256i) -> i32 {
    let mut sums = [_mm256_setzero_si256(); 2];
    let mut add = |a: &[u8; 32], b: &[u8; 32]| {
        let ((a_low, a_high), (b_low, b_high)) = (words(a), words(b));
        sums[0] = _mm256_add_epi32(sums[0], multiply(a_low, b_low));
        sums[1] = _mm256_add_epi32(sums[1], multiply(a_high, b_high));
    };
    let (a, a_tail) = a.as_chunks::<32>();
    let (b, b_tail) = b.as_chunks::<32>();
    for (a, b) in a.iter().zip(b) {
        add(a, b);
    }
    if !a_tail.is_empty() {
        add(&filled(a_tail), &filled(b_tail));
    }
    let eight = _mm256_add_epi32(sums[0], sums[1]);
    let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
}

/// 32 whole numbers in 16 bits each.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn words(bytes: &[u8; 32]) -> (__m256i, __m256i) {
    let bytes = load(bytes);
    let high = _mm256_extracti128_si256::<1>(bytes);
    (_mm256_cvtepi8_epi16(_mm256_castsi256_si128(bytes)), _mm256_cvtepi8_epi16(high))
}

#[target_feature(enable = "avx2,fma,f16c")]
fn int8_l1(a: &[u8], b: &[u8]) -> i64 {
    // With its highest bit turned over, a number from -128 to 127 becomes one from 0 to 255, and differences stay.
    let turned = |bytes: &[u8; 32]| _mm256_xor_si256(load(bytes), _mm256_set1_epi8(-128));
    let differences = |a: &[u8; 32], b: &[u8; 32]| _mm256_sad_epu8(turned(a), turned(b));
    in_pieces(a, b, |a, b| {
        let (a, a_tail) = a.as_chunks::<32>();
        let (b, b_tail) = b.as_chunks::<32>();
        let mut sum = _mm256_setzero_si256();
        for (a, b) in a.iter().zip(b) {
            sum = _mm256_add_epi64(sum, differences(a, b));
        }
        if !a_tail.is_empty() {
            sum = _mm256_add_epi64(sum, differences(&filled(a_tail), &filled(b_tail)));
        }
        let two = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        _mm_cvtsi128_si32(_mm_add_epi64(two, _mm_shuffle_epi32::<0b01_00_11_10>(two)))
    })
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the array is 32 readable bytes, and this load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn mixed_f16(bytes: &[u8; 16]) -> __m256 {
    // SAFETY: the array is 16 readable bytes, and this load asks for no alignment.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn mixed_bf16(bytes: &[u8; 16]) -> __m256 {
    // SAFETY: as above.
    let wide = _mm256_cvtepu16_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) });
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
}

/// The same operations in the same order as `widen::int8` has, so that the bits are the same.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn mixed_int8(bytes: &[u8; 8]) -> __m256 {
    // SAFETY: the array is 8 readable bytes, and this load asks for no alignment.
    let whole = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(unsafe { _mm_loadl_epi64(bytes.as_ptr().cast()) }));
    let steps = _mm256_mul_ps(_mm256_add_ps(whole, _mm256_set1_ps(128.0)), _mm256_set1_ps(INT8_STEP));
    _mm256_sub_ps(steps, _mm256_set1_ps(1.0))
}

/// Adds up a query and a stored vector with `step(sum, a, b)`, in the order in which the kernels for f32 add, so that the bits are the
/// same. `BYTES` is the size of as many elements as a register has floats.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn mixed<const BYTES: usize>(
    query: &[F32Le],
    stored: &[u8],
    widen: impl Fn(&[u8; BYTES]) -> __m256,
    step: impl Fn(__m256, __m256, __m256) -> __m256,
    scalar_tail: impl Fn(&[F32Le], &[F32Le]) -> f32,
) -> f32 {
    let length = query.len().min(stored.len() * LANES / BYTES);
    let (a, a_tail) = query[..length].as_chunks::<LANES>();
    let (b, b_tail) = stored[..length * BYTES / LANES].as_chunks::<BYTES>();
    let (a_fours, a_rest) = a.as_chunks::<4>();
    let (b_fours, b_rest) = b.as_chunks::<4>();
    let mut sums = [_mm256_setzero_ps(); 4];
    for (a, b) in a_fours.iter().zip(b_fours) {
        for i in 0..4 {
            sums[i] = step(sums[i], load_floats(&a[i]), widen(&b[i]));
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum = step(*sum, load_floats(a), widen(b));
    }
    let [s0, s1, s2, s3] = sums;
    let total = add_lanes(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
    if a_tail.is_empty() {
        return total;
    }
    let mut wide = [F32Le::from(0.0); LANES];
    // SAFETY: the array is 32 writable bytes, and this call asks for no alignment.
    unsafe { _mm256_storeu_ps(wide.as_mut_ptr().cast(), widen(&filled(b_tail))) };
    total + scalar_tail(a_tail, &wide[..a_tail.len()])
}

/// The squares of a stored vector, in the same order.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn squares<const BYTES: usize>(stored: &[u8], widen: impl Fn(&[u8; BYTES]) -> __m256) -> f32 {
    let length = stored.len() * LANES / BYTES;
    let (whole, tail) = stored[..length * BYTES / LANES].as_chunks::<BYTES>();
    let (fours, rest) = whole.as_chunks::<4>();
    let mut sums = [_mm256_setzero_ps(); 4];
    for four in fours {
        for i in 0..4 {
            let x = widen(&four[i]);
            sums[i] = multiplied(sums[i], x, x);
        }
    }
    for (sum, bytes) in sums.iter_mut().zip(rest) {
        let x = widen(bytes);
        *sum = multiplied(*sum, x, x);
    }
    let [s0, s1, s2, s3] = sums;
    let total = add_lanes(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
    if tail.is_empty() {
        return total;
    }
    let mut wide = [F32Le::from(0.0); LANES];
    // SAFETY: the array is 32 writable bytes, and this call asks for no alignment.
    unsafe { _mm256_storeu_ps(wide.as_mut_ptr().cast(), widen(&filled(tail))) };
    let wide = &wide[..length % LANES];
    total + scalar::dot_f32(wide, wide)
}
