//! 64 bytes at a time: 32 elements of two bytes, or 64 of one.

use super::{filled, in_pieces, same_length, typed};
use crate::kernels::avx512::{load as load_floats, load_tail as load_floats_tail};
use crate::kernels::widen::INT8_STEP;
use crate::kernels::{F32Le, scalar};
use std::arch::x86_64::*;

/// Floats of a register.
const LANES: usize = 16;

typed!("avx512f,avx512bw");

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn multiplied(sum: __m512, a: __m512, b: __m512) -> __m512 {
    _mm512_fmadd_ps(a, b, sum)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn absolute(sum: __m512, a: __m512, b: __m512) -> __m512 {
    _mm512_add_ps(sum, _mm512_abs_ps(_mm512_sub_ps(a, b)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn squared(sum: __m512, a: __m512, b: __m512) -> __m512 {
    let difference = _mm512_sub_ps(a, b);
    _mm512_fmadd_ps(difference, difference, sum)
}

/// The first and the second sixteen.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn f16(bytes: __m512i) -> [__m512; 2] {
    halves(bytes).map(|half| _mm512_cvtph_ps(half))
}

/// Those at even and those at odd places: this is the same for both vectors, and no element has to move to another place.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn bf16(bytes: __m512i) -> [__m512; 2] {
    let upper = _mm512_set1_epi32(-0x1_0000);
    [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bytes)), _mm512_castsi512_ps(_mm512_and_si512(bytes, upper))]
}

/// Adds up the vectors with `step(sum, a, b)`. There are four sums, so that an addition need not wait for the one before.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn sum(
    a: &[u8],
    b: &[u8],
    widen: impl Fn(__m512i) -> [__m512; 2],
    step: impl Fn(__m512, __m512, __m512) -> __m512,
) -> f32 {
    let (a, b) = same_length(a, b, 2);
    let (a, a_tail) = a.as_chunks::<64>();
    let (b, b_tail) = b.as_chunks::<64>();
    let mut sums = [_mm512_setzero_ps(); 4];
    let mut add = |at: usize, a: __m512i, b: __m512i| {
        let (a, b) = (widen(a), widen(b));
        sums[at] = step(sums[at], a[0], b[0]);
        sums[at + 1] = step(sums[at + 1], a[1], b[1]);
    };
    let (a_pairs, a_rest) = a.as_chunks::<2>();
    let (b_pairs, b_rest) = b.as_chunks::<2>();
    for (a, b) in a_pairs.iter().zip(b_pairs) {
        add(0, load(&a[0]), load(&b[0]));
        add(2, load(&a[1]), load(&b[1]));
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        add(0, load(a), load(b));
    }
    if !a_tail.is_empty() {
        add(2, load_tail(a_tail), load_tail(b_tail));
    }
    let [s0, s1, s2, s3] = sums;
    _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)))
}

#[target_feature(enable = "avx512f,avx512bw")]
fn int8_dot(a: &[u8], b: &[u8]) -> i64 {
    in_pieces(a, b, |a, b| sum_words(a, b, |a, b| _mm512_madd_epi16(a, b)))
}

#[target_feature(enable = "avx512f,avx512bw")]
fn int8_l2_squared(a: &[u8], b: &[u8]) -> i64 {
    let square = |a, b| {
        let difference = _mm512_sub_epi16(a, b);
        _mm512_madd_epi16(difference, difference)
    };
    in_pieces(a, b, |a, b| sum_words(a, b, square))
}

/// Adds up the products of words, which `multiply` has added in pairs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn sum_words(a: &[u8], b: &[u8], multiply: impl Fn(__m512i, __m512i) -> __m512i) -> i32 {
    let mut sums = [_mm512_setzero_si512(); 2];
    let mut add = |a: __m512i, b: __m512i| {
        let ([a_low, a_high], [b_low, b_high]) = (words(a), words(b));
        sums[0] = _mm512_add_epi32(sums[0], multiply(a_low, b_low));
        sums[1] = _mm512_add_epi32(sums[1], multiply(a_high, b_high));
    };
    let (a, a_tail) = a.as_chunks::<64>();
    let (b, b_tail) = b.as_chunks::<64>();
    for (a, b) in a.iter().zip(b) {
        add(load(a), load(b));
    }
    if !a_tail.is_empty() {
        add(load_tail(a_tail), load_tail(b_tail));
    }
    _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
}

/// 64 whole numbers in 16 bits each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn words(bytes: __m512i) -> [__m512i; 2] {
    halves(bytes).map(|half| _mm512_cvtepi8_epi16(half))
}

#[target_feature(enable = "avx512f,avx512bw")]
fn int8_l1(a: &[u8], b: &[u8]) -> i64 {
    // With its highest bit turned over, a number from -128 to 127 becomes one from 0 to 255, and differences stay.
    let turned = |bytes| _mm512_xor_si512(bytes, _mm512_set1_epi8(-128));
    let differences = |a, b| _mm512_sad_epu8(turned(a), turned(b));
    in_pieces(a, b, |a, b| {
        let (a, a_tail) = a.as_chunks::<64>();
        let (b, b_tail) = b.as_chunks::<64>();
        let mut sum = _mm512_setzero_si512();
        for (a, b) in a.iter().zip(b) {
            sum = _mm512_add_epi64(sum, differences(load(a), load(b)));
        }
        if !a_tail.is_empty() {
            sum = _mm512_add_epi64(sum, differences(load_tail(a_tail), load_tail(b_tail)));
        }
        _mm512_reduce_add_epi64(sum) as i32
    })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the array is 64 readable bytes, and this load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// What is left of a vector, and zeros after it. They add nothing to a sum of products or differences.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_tail(bytes: &[u8]) -> __m512i {
    let here = u64::MAX.checked_shr(64 - bytes.len().min(64) as u32).unwrap_or(0);
    // SAFETY: the mask has one bit for each byte of the slice, at most 64, and bytes without a bit are not read.
    unsafe { _mm512_maskz_loadu_epi8(here, bytes.as_ptr().cast()) }
}

/// The first and the second 32 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn halves(bytes: __m512i) -> [__m256i; 2] {
    [_mm512_castsi512_si256(bytes), _mm512_extracti64x4_epi64::<1>(bytes)]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn mixed_f16(bytes: &[u8; 32]) -> __m512 {
    // SAFETY: the array is 32 readable bytes, and this load asks for no alignment.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn mixed_bf16(bytes: &[u8; 32]) -> __m512 {
    // SAFETY: as above.
    let wide = _mm512_cvtepu16_epi32(unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) });
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
}

/// The same operations in the same order as `widen::int8` has, so that the bits are the same.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn mixed_int8(bytes: &[u8; 16]) -> __m512 {
    // SAFETY: the array is 16 readable bytes, and this load asks for no alignment.
    let whole = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }));
    let steps = _mm512_mul_ps(_mm512_add_ps(whole, _mm512_set1_ps(128.0)), _mm512_set1_ps(INT8_STEP));
    _mm512_sub_ps(steps, _mm512_set1_ps(1.0))
}

/// Adds up a query and a stored vector with `step(sum, a, b)`, in the order in which the kernels for f32 add, so that the bits are the
/// same. `BYTES` is the size of as many elements as a register has floats.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn mixed<const BYTES: usize>(
    query: &[F32Le],
    stored: &[u8],
    widen: impl Fn(&[u8; BYTES]) -> __m512,
    step: impl Fn(__m512, __m512, __m512) -> __m512,
    _: impl Fn(&[F32Le], &[F32Le]) -> f32,
) -> f32 {
    let length = query.len().min(stored.len() * LANES / BYTES);
    let (a, a_tail) = query[..length].as_chunks::<LANES>();
    let (b, b_tail) = stored[..length * BYTES / LANES].as_chunks::<BYTES>();
    let (a_fours, a_rest) = a.as_chunks::<4>();
    let (b_fours, b_rest) = b.as_chunks::<4>();
    let mut sums = [_mm512_setzero_ps(); 4];
    for (a, b) in a_fours.iter().zip(b_fours) {
        for i in 0..4 {
            sums[i] = step(sums[i], load_floats(&a[i]), widen(&b[i]));
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum = step(*sum, load_floats(a), widen(b));
    }
    let [s0, s1, s2, mut s3] = sums;
    if !a_tail.is_empty() {
        let here = !(u32::MAX << a_tail.len()) as __mmask16;
        // An int8 of zero bits is not the number 0, so what was filled up is left out behind the widening.
        let b = _mm512_maskz_mov_ps(here, widen(&filled(b_tail)));
        s3 = step(s3, load_floats_tail(a_tail), b);
    }
    _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)))
}

/// The squares of a stored vector, in the same order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn squares<const BYTES: usize>(stored: &[u8], widen: impl Fn(&[u8; BYTES]) -> __m512) -> f32 {
    let length = stored.len() * LANES / BYTES;
    let (whole, tail) = stored[..length * BYTES / LANES].as_chunks::<BYTES>();
    let (fours, rest) = whole.as_chunks::<4>();
    let mut sums = [_mm512_setzero_ps(); 4];
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
    let [s0, s1, s2, mut s3] = sums;
    if !tail.is_empty() {
        let here = !(u32::MAX << (length % LANES)) as __mmask16;
        let x = _mm512_maskz_mov_ps(here, widen(&filled(tail)));
        s3 = multiplied(s3, x, x);
    }
    _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)))
}
