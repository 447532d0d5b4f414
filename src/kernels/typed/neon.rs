//! 16 bytes at a time: eight elements of two bytes, or sixteen of one.
//!
//! Rust's names for conversions of half precision are newer than the oldest Rust that this crate builds with, and those for the products
//! of four bytes at once (dotprod) are not stable. The conversion is one instruction that every 64-bit ARM CPU has.

use super::{filled, in_pieces, typed};
use crate::kernels::neon::{Floats, LANES, absolute, ended, load as load_floats, multiplied, squared, total, zeros};
use crate::kernels::widen::INT8_STEP;
use crate::kernels::{F32Le, scalar};
use std::arch::aarch64::*;
use std::arch::asm;

type Bytes = uint8x16_t;
const CHUNK: usize = 16;

typed!("neon");

/// Four numbers of half precision.
#[inline]
#[target_feature(enable = "neon")]
fn widened(halves: uint16x4_t) -> Floats {
    let wide: Floats;
    // SAFETY: the instruction reads one register and writes another.
    unsafe {
        asm!("fcvtl {wide:v}.4s, {halves:v}.4h", wide = lateout(vreg) wide, halves = in(vreg) halves, options(pure, nomem, nostack));
    }
    wide
}

/// The first and the second four.
#[inline]
#[target_feature(enable = "neon")]
fn f16(bytes: Bytes) -> [Floats; 2] {
    let halves = vreinterpretq_u16_u8(bytes);
    [widened(vget_low_u16(halves)), widened(vget_high_u16(halves))]
}

/// Those at even and those at odd places: this is the same for both vectors, and no element has to move to another place.
#[inline]
#[target_feature(enable = "neon")]
fn bf16(bytes: Bytes) -> [Floats; 2] {
    let pairs = vreinterpretq_u32_u8(bytes);
    let upper = vandq_u32(pairs, vdupq_n_u32(0xffff_0000));
    [vreinterpretq_f32_u32(vshlq_n_u32::<16>(pairs)), vreinterpretq_f32_u32(upper)]
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
fn apart(a: Bytes, b: Bytes) -> Bytes {
    vreinterpretq_u8_s8(vabdq_s8(vreinterpretq_s8_u8(a), vreinterpretq_s8_u8(b)))
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; CHUNK]) -> Bytes {
    // SAFETY: the array is 16 readable bytes, and a load of bytes asks for no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_tail(bytes: &[u8]) -> Bytes {
    load(&filled(bytes))
}

#[inline]
#[target_feature(enable = "neon")]
fn load_eight(bytes: &[u8; 8]) -> uint8x8_t {
    // SAFETY: the array is 8 readable bytes, and a load of bytes asks for no alignment.
    unsafe { vld1_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn mixed_f16(bytes: &[u8; 8]) -> Floats {
    widened(vreinterpret_u16_u8(load_eight(bytes)))
}

#[inline]
#[target_feature(enable = "neon")]
fn mixed_bf16(bytes: &[u8; 8]) -> Floats {
    vreinterpretq_f32_u32(vshll_n_u16::<16>(vreinterpret_u16_u8(load_eight(bytes))))
}

/// The same operations in the same order as `widen::int8` has, so that the bits are the same.
#[inline]
#[target_feature(enable = "neon")]
fn mixed_int8(bytes: &[u8; 4]) -> Floats {
    let four = vreinterpret_s8_u32(vdup_n_u32(u32::from_le_bytes(*bytes)));
    let whole = vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(four))));
    let steps = vmulq_f32(vaddq_f32(whole, vdupq_n_f32(128.0)), vdupq_n_f32(INT8_STEP));
    vsubq_f32(steps, vdupq_n_f32(1.0))
}

#[inline]
#[target_feature(enable = "neon")]
fn stored_floats(wide: Floats) -> [F32Le; LANES] {
    let mut floats = [0.0; LANES];
    // SAFETY: the array is 16 writable bytes.
    unsafe { vst1q_f32(floats.as_mut_ptr(), wide) };
    floats.map(F32Le::from)
}
