//! Four floats at a time: WASM with its feature `simd128`, which a module has as a whole or not at all.

#![allow(unused_unsafe, reason = "the macro calls kernels of every CPU, and those of WASM are safe to call")]

use std::arch::wasm32::*;

use super::{F32Le, codes, each_row, same_length, scalar, typed, widen};

const LANES: usize = 4;

table!("simd128", "simd128", true, codes::simd128::CODES, typed::scalar::TYPED);

#[inline]
#[target_feature(enable = "simd128")]
fn dot_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
    sum(a, b, |sum, a, b| f32x4_add(sum, f32x4_mul(a, b)), scalar::dot_f32)
}

#[inline]
#[target_feature(enable = "simd128")]
fn l2_squared_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
    let step = |sum, a, b| {
        let difference = f32x4_sub(a, b);
        f32x4_add(sum, f32x4_mul(difference, difference))
    };
    sum(a, b, step, scalar::l2_squared_f32)
}

#[inline]
#[target_feature(enable = "simd128")]
fn l1_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
    sum(a, b, |sum, a, b| f32x4_add(sum, f32x4_abs(f32x4_sub(a, b))), scalar::l1_f32)
}

// The vectors stay in the innermost cache for the second and the third product.
#[target_feature(enable = "simd128")]
fn products_f32(a: &[F32Le], b: &[F32Le]) -> [f32; 3] {
    let (a, b) = same_length(a, b);
    [dot_f32(a, b), dot_f32(a, a), dot_f32(b, b)]
}

/// Adds up the vectors with `step(sum, a, b)`, then the tail. There are four sums, so that an addition need not wait
/// for the one before.
#[inline]
#[target_feature(enable = "simd128")]
fn sum(
    a: &[F32Le],
    b: &[F32Le],
    step: impl Fn(v128, v128, v128) -> v128,
    tail: impl Fn(&[F32Le], &[F32Le]) -> f32,
) -> f32 {
    let (a, b) = same_length(a, b);
    let (a, a_tail) = a.as_chunks::<LANES>();
    let (b, b_tail) = b.as_chunks::<LANES>();
    let (a_fours, a_rest) = a.as_chunks::<4>();
    let (b_fours, b_rest) = b.as_chunks::<4>();

    let mut sums = [f32x4_splat(0.0); 4];
    for (a, b) in a_fours.iter().zip(b_fours) {
        for i in 0..4 {
            sums[i] = step(sums[i], load(&a[i]), load(&b[i]));
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum = step(*sum, load(a), load(b));
    }
    let [s0, s1, s2, s3] = sums;
    let total = total(f32x4_add(f32x4_add(s0, s1), f32x4_add(s2, s3)));
    if a_tail.is_empty() { total } else { total + tail(a_tail, b_tail) }
}

#[inline]
#[target_feature(enable = "simd128")]
fn total(v: v128) -> f32 {
    let near = f32x4_extract_lane::<0>(v) + f32x4_extract_lane::<1>(v);
    near + (f32x4_extract_lane::<2>(v) + f32x4_extract_lane::<3>(v))
}

#[inline]
#[target_feature(enable = "simd128")]
fn load(floats: &[F32Le; LANES]) -> v128 {
    // SAFETY: the array is 16 readable bytes, and a load asks for no alignment.
    unsafe { v128_load(floats.as_ptr().cast()) }
}

#[target_feature(enable = "simd128")]
fn widen_f16(bytes: &[u8], into: &mut [F32Le]) {
    widen::f16(bytes, into);
}

#[target_feature(enable = "simd128")]
fn widen_bf16(bytes: &[u8], into: &mut [F32Le]) {
    widen::bf16(bytes, into);
}
