//! 64 bytes at a time: 32 elements of two bytes, or 64 of one.

use super::{in_pieces, typed};
use crate::kernels::avx512::{Floats, LANES, absolute, ended, load as load_floats, multiplied, squared, total, zeros};
use crate::kernels::widen::INT8_STEP;
use crate::kernels::{F32Le, scalar};
use std::arch::x86_64::*;

type Bytes = __m512i;
const CHUNK: usize = 64;

typed!("avx512f,avx512bw");

/// The first and the second sixteen.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn f16(bytes: Bytes) -> [Floats; 2] {
    halves(bytes).map(|half| _mm512_cvtph_ps(half))
}

/// Those at even and those at odd places: this is the same for both vectors, and no element has to move to another place.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn bf16(bytes: Bytes) -> [Floats; 2] {
    let upper = _mm512_set1_epi32(-0x1_0000);
    [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bytes)), _mm512_castsi512_ps(_mm512_and_si512(bytes, upper))]
}

#[target_feature(enable = "avx512f,avx512bw")]
fn int8_dot(a: &[u8], b: &[u8]) -> i64 {
    sum_words(a, b, |a, b| _mm512_madd_epi16(a, b))
}

#[target_feature(enable = "avx512f,avx512bw")]
fn int8_l2_squared(a: &[u8], b: &[u8]) -> i64 {
    sum_words(a, b, |a, b| {
        let difference = _mm512_sub_epi16(a, b);
        _mm512_madd_epi16(difference, difference)
    })
}

/// Adds up the products of words, which `multiply` has added in pairs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn sum_words(a: &[u8], b: &[u8], multiply: impl Fn(Bytes, Bytes) -> Bytes) -> i64 {
    in_pieces(a, b, |a, b| {
        let [low, high] = each_chunk(a, b, [_mm512_setzero_si512(); 2], |[low, high], a, b| {
            let ([a_low, a_high], [b_low, b_high]) = (words(a), words(b));
            [_mm512_add_epi32(low, multiply(a_low, b_low)), _mm512_add_epi32(high, multiply(a_high, b_high))]
        });
        _mm512_reduce_add_epi32(_mm512_add_epi32(low, high))
    })
}

/// 64 whole numbers in 16 bits each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn words(bytes: Bytes) -> [Bytes; 2] {
    halves(bytes).map(|half| _mm512_cvtepi8_epi16(half))
}

#[target_feature(enable = "avx512f,avx512bw")]
fn int8_l1(a: &[u8], b: &[u8]) -> i64 {
    // With its highest bit turned over, a number from -128 to 127 becomes one from 0 to 255, and differences stay.
    let turned = |bytes| _mm512_xor_si512(bytes, _mm512_set1_epi8(-128));
    in_pieces(a, b, |a, b| {
        let sum = each_chunk(a, b, _mm512_setzero_si512(), |sum, a, b| {
            _mm512_add_epi64(sum, _mm512_sad_epu8(turned(a), turned(b)))
        });
        _mm512_reduce_add_epi64(sum) as i32
    })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(bytes: &[u8; CHUNK]) -> Bytes {
    // SAFETY: the array is 64 readable bytes, and this load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// What is left of a vector, and zeros after it. They add nothing to a sum of products or differences.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_tail(bytes: &[u8]) -> Bytes {
    let here = u64::MAX.checked_shr(64 - bytes.len().min(64) as u32).unwrap_or(0);
    // SAFETY: the mask has one bit for each byte of the slice, at most 64, and bytes without a bit are not read.
    unsafe { _mm512_maskz_loadu_epi8(here, bytes.as_ptr().cast()) }
}

/// The first and the second 32 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn halves(bytes: Bytes) -> [__m256i; 2] {
    [_mm512_castsi512_si256(bytes), _mm512_extracti64x4_epi64::<1>(bytes)]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn mixed_f16(bytes: &[u8; 32]) -> Floats {
    // SAFETY: the array is 32 readable bytes, and this load asks for no alignment.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn mixed_bf16(bytes: &[u8; 32]) -> Floats {
    // SAFETY: as above.
    let wide = _mm512_cvtepu16_epi32(unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) });
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
}

/// The same operations in the same order as `widen::int8` has, so that the bits are the same.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn mixed_int8(bytes: &[u8; 16]) -> Floats {
    // SAFETY: the array is 16 readable bytes, and this load asks for no alignment.
    let whole = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }));
    let steps = _mm512_mul_ps(_mm512_add_ps(whole, _mm512_set1_ps(128.0)), _mm512_set1_ps(INT8_STEP));
    _mm512_sub_ps(steps, _mm512_set1_ps(1.0))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn stored_floats(wide: Floats) -> [F32Le; LANES] {
    let mut floats = [F32Le::from(0.0); LANES];
    // SAFETY: the array is 64 writable bytes, and this call asks for no alignment.
    unsafe { _mm512_storeu_ps(floats.as_mut_ptr().cast(), wide) };
    floats
}
