//! Four floats at a time: every 64-bit ARM CPU.

use std::arch::aarch64::*;

use super::{F32Le, codes, each_row, same_length, scalar, typed, widen};

/// A register of floats.
pub(super) type Floats = float32x4_t;
/// How many floats it has.
pub(super) const LANES: usize = 4;

table!("neon", "neon", std::arch::is_aarch64_feature_detected!("neon"), codes::neon::CODES, typed::neon::TYPED);

sums!("neon");
scalar_tails!("neon");

// The vectors stay in the innermost cache for the second and the third product.
#[target_feature(enable = "neon")]
fn products_f32(a: &[F32Le], b: &[F32Le]) -> [f32; 3] {
    let (a, b) = same_length(a, b);
    [dot_f32(a, b), dot_f32(a, a), dot_f32(b, b)]
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn zeros() -> Floats {
    vdupq_n_f32(0.0)
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn multiplied(sum: Floats, a: Floats, b: Floats) -> Floats {
    vfmaq_f32(sum, a, b)
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn squared(sum: Floats, a: Floats, b: Floats) -> Floats {
    let difference = vsubq_f32(a, b);
    vfmaq_f32(sum, difference, difference)
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn absolute(sum: Floats, a: Floats, b: Floats) -> Floats {
    vaddq_f32(sum, vabdq_f32(a, b))
}

#[inline]
#[target_feature(enable = "neon")]
fn added(a: Floats, b: Floats) -> Floats {
    vaddq_f32(a, b)
}

#[inline]
#[target_feature(enable = "neon")]
fn add_lanes(v: Floats) -> f32 {
    vaddvq_f32(v)
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load(floats: &[F32Le; LANES]) -> Floats {
    // SAFETY: the array is 16 readable bytes, and a load of bytes asks for no alignment.
    unsafe { vreinterpretq_f32_u8(vld1q_u8(floats.as_ptr().cast())) }
}

#[target_feature(enable = "neon")]
fn widen_f16(bytes: &[u8], into: &mut [F32Le]) {
    widen::f16(bytes, into);
}

#[target_feature(enable = "neon")]
fn widen_bf16(bytes: &[u8], into: &mut [F32Le]) {
    widen::bf16(bytes, into);
}
