//! 16 bytes at a time: eight elements of two bytes, or sixteen of one.
//!
//! Rust's names for conversions of half precision are newer than the oldest Rust that this crate builds with, and those for the products
//! of four bytes at once (dotprod) are not stable. The conversion is one instruction that every 64-bit ARM CPU has.

use super::{filled, in_pieces, same_length, typed};
use crate::kernels::neon::load as load_floats;
use crate::kernels::widen::INT8_STEP;
use crate::kernels::{F32Le, scalar};
use std::arch::aarch64::*;
use std::arch::asm;

/// Floats of a register.
const LANES: usize = 4;

typed!("neon");

#[inline]
#[target_feature(enable = "neon")]
fn multiplied(sum: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
    vfmaq_f32(sum, a, b)
}

#[inline]
#[target_feature(enable = "neon")]
fn squared(sum: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
    let difference = vsubq_f32(a, b);
    vfmaq_f32(sum, difference, difference)
}

#[inline]
#[target_feature(enable = "neon")]
fn absolute(sum: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
    vaddq_f32(sum, vabdq_f32(a, b))
}

/// Four numbers of half precision.
#[inline]
#[target_feature(enable = "neon")]
fn widened(halves: uint16x4_t) -> float32x4_t {
    let wide: float32x4_t;
    // SAFETY: the instruction reads one register and writes another.
    unsafe {
        asm!("fcvtl {wide:v}.4s, {halves:v}.4h", wide = lateout(vreg) wide, halves = in(vreg) halves, options(pure, nomem, nostack));
    }
    wide
}

/// The first and the second four.
#[inline]
#[target_feature(enable = "neon")]
fn f16(bytes: uint8x16_t) -> [float32x4_t; 2] {
    let halves = vreinterpretq_u16_u8(bytes);
    [widened(vget_low_u16(halves)), widened(vget_high_u16(halves))]
}

/// Those at even and those at odd places: this is the same for both vectors, and no element has to move to another place.
#[inline]
#[target_feature(enable = "neon")]
fn bf16(bytes: uint8x16_t) -> [float32x4_t; 2] {
    let pairs = vreinterpretq_u32_u8(bytes);
    let upper = vandq_u32(pairs, vdupq_n_u32(0xffff_0000));
    [vreinterpretq_f32_u32(vshlq_n_u32::<16>(pairs)), vreinterpretq_f32_u32(upper)]
}

/// Adds up the vectors with `step(sum, a, b)`. There are four sums, so that an addition need not wait for the one before.
#[inline]
#[target_feature(enable = "neon")]
fn sum(
    a: &[u8],
    b: &[u8],
    widen: impl Fn(uint8x16_t) -> [float32x4_t; 2],
    step: impl Fn(float32x4_t, float32x4_t, float32x4_t) -> float32x4_t,
) -> f32 {
    let (a, b) = same_length(a, b, 2);
    let (a, a_tail) = a.as_chunks::<16>();
    let (b, b_tail) = b.as_chunks::<16>();
    let mut sums = [vdupq_n_f32(0.0); 4];
    let mut add = |at: usize, a: &[u8; 16], b: &[u8; 16]| {
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
    vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)))
}

#[target_feature(enable = "neon")]
fn int8_dot(a: &[u8], b: &[u8]) -> i64 {
    in_pieces(a, b, |a, b| {
        let sum = each_chunk(a, b, vdupq_n_s32(0), |sum, a, b| {
            let (a, b) = (vreinterpretq_s8_u8(a), vreinterpretq_s8_u8(b));
            let low = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
            vpadalq_s16(low, vmull_high_s8(a, b))
        });
        vaddvq_s32(sum)
    })
}

#[target_feature(enable = "neon")]
fn int8_l2_squared(a: &[u8], b: &[u8]) -> i64 {
    in_pieces(a, b, |a, b| {
        let sum = each_chunk(a, b, vdupq_n_u32(0), |sum, a, b| {
            let apart = apart(a, b);
            let low = vpadalq_u16(sum, vmull_u8(vget_low_u8(apart), vget_low_u8(apart)));
            vpadalq_u16(low, vmull_high_u8(apart, apart))
        });
        vaddvq_u32(sum) as i32
    })
}

#[target_feature(enable = "neon")]
fn int8_l1(a: &[u8], b: &[u8]) -> i64 {
    in_pieces(a, b, |a, b| {
        let sum = each_chunk(a, b, vdupq_n_u32(0), |sum, a, b| vpadalq_u16(sum, vpaddlq_u8(apart(a, b))));
        vaddvq_u32(sum) as i32
    })
}

/// How far apart whole numbers are: 0 to 255, which the instruction gives in the bits of a signed byte.
#[inline]
#[target_feature(enable = "neon")]
fn apart(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
    vreinterpretq_u8_s8(vabdq_s8(vreinterpretq_s8_u8(a), vreinterpretq_s8_u8(b)))
}

/// Goes through both vectors, 16 bytes at a time.
#[inline]
#[target_feature(enable = "neon")]
fn each_chunk<S>(a: &[u8], b: &[u8], mut sum: S, step: impl Fn(S, uint8x16_t, uint8x16_t) -> S) -> S {
    let (a, a_tail) = a.as_chunks::<16>();
    let (b, b_tail) = b.as_chunks::<16>();
    for (a, b) in a.iter().zip(b) {
        sum = step(sum, load(a), load(b));
    }
    if a_tail.is_empty() { sum } else { step(sum, load(&filled(a_tail)), load(&filled(b_tail))) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: the array is 16 readable bytes, and a load of bytes asks for no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_eight(bytes: &[u8; 8]) -> uint8x8_t {
    // SAFETY: the array is 8 readable bytes, and a load of bytes asks for no alignment.
    unsafe { vld1_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn mixed_f16(bytes: &[u8; 8]) -> float32x4_t {
    widened(vreinterpret_u16_u8(load_eight(bytes)))
}

#[inline]
#[target_feature(enable = "neon")]
fn mixed_bf16(bytes: &[u8; 8]) -> float32x4_t {
    vreinterpretq_f32_u32(vshll_n_u16::<16>(vreinterpret_u16_u8(load_eight(bytes))))
}

/// The same operations in the same order as `widen::int8` has, so that the bits are the same.
#[inline]
#[target_feature(enable = "neon")]
fn mixed_int8(bytes: &[u8; 4]) -> float32x4_t {
    let four = vreinterpret_s8_u32(vdup_n_u32(u32::from_le_bytes(*bytes)));
    let whole = vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(four))));
    let steps = vmulq_f32(vaddq_f32(whole, vdupq_n_f32(128.0)), vdupq_n_f32(INT8_STEP));
    vsubq_f32(steps, vdupq_n_f32(1.0))
}

/// Adds up a query and a stored vector with `step(sum, a, b)`, in the order in which the kernels for f32 add, so that the bits are the
/// same. `BYTES` is the size of as many elements as a register has floats.
#[inline]
#[target_feature(enable = "neon")]
fn mixed<const BYTES: usize>(
    query: &[F32Le],
    stored: &[u8],
    widen: impl Fn(&[u8; BYTES]) -> float32x4_t,
    step: impl Fn(float32x4_t, float32x4_t, float32x4_t) -> float32x4_t,
    scalar_tail: impl Fn(&[F32Le], &[F32Le]) -> f32,
) -> f32 {
    let length = query.len().min(stored.len() * LANES / BYTES);
    let (a, a_tail) = query[..length].as_chunks::<LANES>();
    let (b, b_tail) = stored[..length * BYTES / LANES].as_chunks::<BYTES>();
    let (a_fours, a_rest) = a.as_chunks::<4>();
    let (b_fours, b_rest) = b.as_chunks::<4>();
    let mut sums = [vdupq_n_f32(0.0); 4];
    for (a, b) in a_fours.iter().zip(b_fours) {
        for i in 0..4 {
            sums[i] = step(sums[i], load_floats(&a[i]), widen(&b[i]));
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum = step(*sum, load_floats(a), widen(b));
    }
    let [s0, s1, s2, s3] = sums;
    let total = vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)));
    if a_tail.is_empty() {
        return total;
    }
    let wide = stored_floats(widen(&filled(b_tail)));
    total + scalar_tail(a_tail, &wide[..a_tail.len()])
}

/// The squares of a stored vector, in the same order.
#[inline]
#[target_feature(enable = "neon")]
fn squares<const BYTES: usize>(stored: &[u8], widen: impl Fn(&[u8; BYTES]) -> float32x4_t) -> f32 {
    let length = stored.len() * LANES / BYTES;
    let (whole, tail) = stored[..length * BYTES / LANES].as_chunks::<BYTES>();
    let (fours, rest) = whole.as_chunks::<4>();
    let mut sums = [vdupq_n_f32(0.0); 4];
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
    let total = vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)));
    if tail.is_empty() {
        return total;
    }
    let wide = &stored_floats(widen(&filled(tail)))[..length % LANES];
    total + scalar::dot_f32(wide, wide)
}

#[inline]
#[target_feature(enable = "neon")]
fn stored_floats(wide: float32x4_t) -> [F32Le; LANES] {
    let mut floats = [0.0; LANES];
    // SAFETY: the array is 16 writable bytes.
    unsafe { vst1q_f32(floats.as_mut_ptr(), wide) };
    floats.map(F32Le::from)
}
