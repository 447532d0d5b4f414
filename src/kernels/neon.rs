//! Four floats at a time: every 64-bit ARM CPU.

use std::arch::aarch64::*;

use super::{F32Le, codes, each_row, same_length, scalar, typed, widen};

const LANES: usize = 4;

table!("neon", "neon", std::arch::is_aarch64_feature_detected!("neon"), codes::neon::CODES, typed::neon::TYPED);

#[inline]
#[target_feature(enable = "neon")]
fn dot_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
    sum(a, b, |sum, a, b| vfmaq_f32(sum, a, b), scalar::dot_f32)
}

#[inline]
#[target_feature(enable = "neon")]
fn l2_squared_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
    let step = |sum, a, b| {
        let difference = vsubq_f32(a, b);
        vfmaq_f32(sum, difference, difference)
    };
    sum(a, b, step, scalar::l2_squared_f32)
}

#[inline]
#[target_feature(enable = "neon")]
fn l1_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
    sum(a, b, |sum, a, b| vaddq_f32(sum, vabdq_f32(a, b)), scalar::l1_f32)
}

// The vectors stay in the innermost cache for the second and the third product.
#[target_feature(enable = "neon")]
fn products_f32(a: &[F32Le], b: &[F32Le]) -> [f32; 3] {
    let (a, b) = same_length(a, b);
    [dot_f32(a, b), dot_f32(a, a), dot_f32(b, b)]
}

/// Adds up the vectors with `step(sum, a, b)`, then the tail. There are four sums, so that an addition need not wait
/// for the one before.
#[inline]
#[target_feature(enable = "neon")]
fn sum(
    a: &[F32Le],
    b: &[F32Le],
    step: impl Fn(float32x4_t, float32x4_t, float32x4_t) -> float32x4_t,
    tail: impl Fn(&[F32Le], &[F32Le]) -> f32,
) -> f32 {
    let (a, b) = same_length(a, b);
    let (a, a_tail) = a.as_chunks::<LANES>();
    let (b, b_tail) = b.as_chunks::<LANES>();
    let (a_fours, a_rest) = a.as_chunks::<4>();
    let (b_fours, b_rest) = b.as_chunks::<4>();

    let mut sums = [vdupq_n_f32(0.0); 4];
    for (a, b) in a_fours.iter().zip(b_fours) {
        for i in 0..4 {
            sums[i] = step(sums[i], load(&a[i]), load(&b[i]));
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum = step(*sum, load(a), load(b));
    }
    let [s0, s1, s2, s3] = sums;
    let total = vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)));
    if a_tail.is_empty() { total } else { total + tail(a_tail, b_tail) }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load(floats: &[F32Le; LANES]) -> float32x4_t {
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
