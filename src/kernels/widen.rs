//! Elements of smaller types, widened to f32, and the bits in which two vectors differ. The loops are plain Rust without branches, and
//! they are the meaning. Most instruction sets compile copies of their own, in which the compiler uses the widest registers; for two-byte
//! floats AVX2 and AVX-512 have faster instructions.

use super::F32Le;

/// How far apart two neighbours of int8 are, where -128 stands for -1.
pub const INT8_STEP: f32 = 2.0 / 255.0;

/// From stored elements to as many floats as there is room for.
pub type WidenKernel = fn(bytes: &[u8], into: &mut [F32Le]);

/// IEEE half precision.
#[inline(always)]
pub(super) fn f16(bytes: &[u8], into: &mut [F32Le]) {
    each_pair(bytes, into, |half| {
        // The exponent of f32 begins 112 below that of half: the product makes up for it, and is exact for subnormals too.
        const SHIFT: f32 = f32::from_bits((112 + 127) << 23);
        let magnitude = f32::from_bits((half & 0x7fff) << 13) * SHIFT;
        let special = u32::from(half & 0x7c00 == 0x7c00) * 0x7f80_0000;
        f32::from_bits(magnitude.to_bits() | special | (half & 0x8000) << 16)
    });
}

/// The upper half of an f32.
#[inline(always)]
pub(super) fn bf16(bytes: &[u8], into: &mut [F32Le]) {
    each_pair(bytes, into, |half| f32::from_bits(half << 16));
}

/// Whole numbers from -128 to 127, which stand for numbers from -1 to 1.
#[inline(always)]
pub(super) fn int8(bytes: &[u8], into: &mut [F32Le]) {
    for (wide, &byte) in into.iter_mut().zip(bytes) {
        *wide = F32Le::from((f32::from(byte as i8) + 128.0) * INT8_STEP - 1.0);
    }
}

#[inline(always)]
fn each_pair(bytes: &[u8], into: &mut [F32Le], widen: impl Fn(u32) -> f32) {
    for (wide, pair) in into.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *wide = F32Le::from(widen(u16::from_le_bytes(*pair).into()));
    }
}

/// In how many bits two vectors differ. If one is longer, its end is ignored.
#[inline(always)]
pub(super) fn hamming(a: &[u8], b: &[u8]) -> u32 {
    let length = a.len().min(b.len());
    let ((a, a_tail), (b, b_tail)) = (a[..length].as_chunks::<8>(), b[..length].as_chunks::<8>());
    let words = a.iter().zip(b).map(|(a, b)| (u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)).count_ones());
    let tail = a_tail.iter().zip(b_tail).map(|(a, b)| (a ^ b).count_ones());
    words.sum::<u32>() + tail.sum::<u32>()
}
