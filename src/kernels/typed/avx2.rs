//! 32 bytes at a time: sixteen elements of two bytes, or 32 of one.

use super::{filled, in_pieces, typed};
use crate::kernels::avx2::{Floats, LANES, absolute, ended, load as load_floats, multiplied, squared, total, zeros};
use crate::kernels::widen::INT8_STEP;
use crate::kernels::{F32Le, scalar};
use std::arch::x86_64::*;

type Bytes = __m256i;
const CHUNK: usize = 32;

typed!("avx2,fma,f16c");

/// The first and the second eight.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn f16(bytes: Bytes) -> [Floats; 2] {
    [_mm256_cvtph_ps(_mm256_castsi256_si128(bytes)), _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(bytes))]
}

/// Those at even and those at odd places: this is the same for both vectors, and no element has to move to another place.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn bf16(bytes: Bytes) -> [Floats; 2] {
    let upper = _mm256_set1_epi32(-0x1_0000);
    [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(bytes)), _mm256_castsi256_ps(_mm256_and_si256(bytes, upper))]
}

#[target_feature(enable = "avx2,fma,f16c")]
fn int8_dot(a: &[u8], b: &[u8]) -> i64 {
    sum_words(a, b, |a, b| _mm256_madd_epi16(a, b))
}

#[target_feature(enable = "avx2,fma,f16c")]
fn int8_l2_squared(a: &[u8], b: &[u8]) -> i64 {
    sum_words(a, b, |a, b| {
        let difference = _mm256_sub_epi16(a, b);
        _mm256_madd_epi16(difference, difference)
    })
}

/// Adds up the products of words, which `multiply` has added in pairs.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum_words(a: &[u8], b: &[u8], multiply: impl Fn(Bytes, Bytes) -> Bytes) -> i64 {
    in_pieces(a, b, |a, b| {
        let [low, high] = each_chunk(a, b, [_mm256_setzero_si256(); 2], |[low, high], a, b| {
            let ([a_low, a_high], [b_low, b_high]) = (words(a), words(b));
            [_mm256_add_epi32(low, multiply(a_low, b_low)), _mm256_add_epi32(high, multiply(a_high, b_high))]
        });
        let eight = _mm256_add_epi32(low, high);
        let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
        _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
    })
}

/// 32 whole numbers in 16 bits each.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn words(bytes: Bytes) -> [Bytes; 2] {
    [_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes)].map(|half| _mm256_cvtepi8_epi16(half))
}

#[target_feature(enable = "avx2,fma,f16c")]
fn int8_l1(a: &[u8], b: &[u8]) -> i64 {
    // With its highest bit turned over, a number from -128 to 127 becomes one from 0 to 255, and differences stay.
    let turned = |bytes| _mm256_xor_si256(bytes, _mm256_set1_epi8(-128));
    in_pieces(a, b, |a, b| {
        let sum = each_chunk(a, b, _mm256_setzero_si256(), |sum, a, b| {
            _mm256_add_epi64(sum, _mm256_sad_epu8(turned(a), turned(b)))
        });
        let two = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        _mm_cvtsi128_si32(_mm_add_epi64(two, _mm_shuffle_epi32::<0b01_00_11_10>(two)))
    })
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load(bytes: &[u8; CHUNK]) -> Bytes {
    // SAFETY: the array is 32 readable bytes, and this load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_tail(bytes: &[u8]) -> Bytes {
    load(&filled(bytes))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn mixed_f16(bytes: &[u8; 16]) -> Floats {
    // SAFETY: the array is 16 readable bytes, and this load asks for no alignment.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn mixed_bf16(bytes: &[u8; 16]) -> Floats {
    // SAFETY: as above.
    let wide = _mm256_cvtepu16_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) });
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
}

/// The same operations in the same order as `widen::int8` has, so that the bits are the same.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn mixed_int8(bytes: &[u8; 8]) -> Floats {
    // SAFETY: the array is 8 readable bytes, and this load asks for no alignment.
    let whole = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(unsafe { _mm_loadl_epi64(bytes.as_ptr().cast()) }));
    let steps = _mm256_mul_ps(_mm256_add_ps(whole, _mm256_set1_ps(128.0)), _mm256_set1_ps(INT8_STEP));
    _mm256_sub_ps(steps, _mm256_set1_ps(1.0))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn stored_floats(wide: Floats) -> [F32Le; LANES] {
    let mut floats = [F32Le::from(0.0); LANES];
    // SAFETY: the array is 32 writable bytes, and this call asks for no alignment.
    unsafe { _mm256_storeu_ps(floats.as_mut_ptr().cast(), wide) };
    floats
}
