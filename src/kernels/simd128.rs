//! Four floats at a time: WASM with its feature `simd128`, which a module has as a whole or not at all.

#![allow(unused_unsafe, reason = "the macro calls kernels of every CPU, and those of WASM are safe to call")]

use std::arch::wasm32::*;

use super::{F32Le, codes, each_row, same_length, scalar, typed, widen};

/// A register of floats.
type Floats = v128;
/// How many floats it has.
const LANES: usize = 4;

table!("simd128", "simd128", true, codes::simd128::CODES, typed::scalar::TYPED);

sums!("simd128");
scalar_tails!("simd128");

// The vectors stay in the innermost cache for the second and the third product.
#[target_feature(enable = "simd128")]
fn products_f32(a: &[F32Le], b: &[F32Le]) -> [f32; 3] {
    let (a, b) = same_length(a, b);
    [dot_f32(a, b), dot_f32(a, a), dot_f32(b, b)]
}

#[inline]
#[target_feature(enable = "simd128")]
fn zeros() -> Floats {
    f32x4_splat(0.0)
}

#[inline]
#[target_feature(enable = "simd128")]
fn multiplied(sum: Floats, a: Floats, b: Floats) -> Floats {
    f32x4_add(sum, f32x4_mul(a, b))
}

#[inline]
#[target_feature(enable = "simd128")]
fn squared(sum: Floats, a: Floats, b: Floats) -> Floats {
    let difference = f32x4_sub(a, b);
    f32x4_add(sum, f32x4_mul(difference, difference))
}

#[inline]
#[target_feature(enable = "simd128")]
fn absolute(sum: Floats, a: Floats, b: Floats) -> Floats {
    f32x4_add(sum, f32x4_abs(f32x4_sub(a, b)))
}

#[inline]
#[target_feature(enable = "simd128")]
fn added(a: Floats, b: Floats) -> Floats {
    f32x4_add(a, b)
}

#[inline]
#[target_feature(enable = "simd128")]
fn add_lanes(v: Floats) -> f32 {
    let near = f32x4_extract_lane::<0>(v) + f32x4_extract_lane::<1>(v);
    near + (f32x4_extract_lane::<2>(v) + f32x4_extract_lane::<3>(v))
}

#[inline]
#[target_feature(enable = "simd128")]
fn load(floats: &[F32Le; LANES]) -> Floats {
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
