//! Sums over two vectors of one smaller type, read as they are stored. Nothing is widened into memory where an instruction set has
//! kernels of its own; the others take vectors piece by piece. `scalar` is the meaning.

use super::F32Le;

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
pub(super) mod neon;
pub(super) mod scalar;

/// From two vectors to one number. If one is longer, its end is ignored, and so is an incomplete element.
pub type BytesKernel<S> = fn(a: &[u8], b: &[u8]) -> S;

/// The sums over vectors of one type.
#[derive(Debug, Clone, Copy)]
pub struct TypeSums<S> {
    /// The dot product, sum of a·b.
    pub dot: BytesKernel<S>,
    /// The square of the Euclidean distance, sum of (a-b)².
    pub l2_squared: BytesKernel<S>,
    /// The Manhattan distance, sum of |a-b|.
    pub l1: BytesKernel<S>,
}

/// From a query of f32 and a vector as it is stored to one number. If one is longer, its end is ignored.
///
/// It has the same bits as the kernel of the same table for f32 gives for the widened vector.
pub type MixedKernel = fn(query: &[F32Le], stored: &[u8]) -> f32;

/// The sums over a query of f32 and a vector of a smaller type, which is widened in registers.
#[derive(Debug, Clone, Copy)]
pub struct MixedSums {
    /// The square of the length of the stored vector alone, sum of b². It has the bits of its dot product with itself in f32.
    pub square: fn(stored: &[u8]) -> f32,
    /// The dot product, sum of a·b.
    pub dot: MixedKernel,
    /// The square of the Euclidean distance, sum of (a-b)².
    pub l2_squared: MixedKernel,
    /// The Manhattan distance, sum of |a-b|.
    pub l1: MixedKernel,
}

/// The sums over a query of f32 and a vector of each type.
#[derive(Debug, Clone, Copy)]
pub struct MixedKernels {
    /// IEEE half precision.
    pub f16: MixedSums,
    /// The upper halves of f32.
    pub bf16: MixedSums,
    /// The numbers from -1 to 1 that int8 stands for.
    pub int8: MixedSums,
}

/// The sums over each type.
#[derive(Debug, Clone, Copy)]
pub struct TypedKernels {
    /// IEEE half precision. Sums are in f32, as those of f32 are.
    pub f16: TypeSums<f32>,
    /// The upper halves of f32.
    pub bf16: TypeSums<f32>,
    /// Whole numbers as they are stored, not what they stand for. The sums are exact.
    pub int8: TypeSums<i64>,
    /// Sums with a query of f32. Without them, a vector is widened first.
    pub mixed: Option<MixedKernels>,
}

/// Bytes of int8 that are summed at a time: so many terms fit 32 bits.
const PIECE: usize = 1 << 14;

/// Both vectors cut to the length of the shorter, in whole elements of so many bytes.
#[inline(always)]
fn same_length<'a>(a: &'a [u8], b: &'a [u8], bytes: usize) -> (&'a [u8], &'a [u8]) {
    let length = a.len().min(b.len()) / bytes * bytes;
    (&a[..length], &b[..length])
}

/// Adds up the pieces of two vectors of int8.
#[inline(always)]
fn in_pieces(a: &[u8], b: &[u8], sum: impl Fn(&[u8], &[u8]) -> i32) -> i64 {
    let (a, b) = same_length(a, b, 1);
    a.chunks(PIECE).zip(b.chunks(PIECE)).map(|(a, b)| i64::from(sum(a, b))).sum()
}

/// What is left of a vector, filled up with zeros. They add nothing to a sum of products or differences.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn filled<const N: usize>(tail: &[u8]) -> [u8; N] {
    let mut whole = [0; N];
    whole[..tail.len()].copy_from_slice(tail);
    whole
}

/// Makes the kernels of an instruction set from functions of these names in the file that uses it. The caller of the macro looks for
/// the features.
#[allow(unused_macros, reason = "other CPUs have the scalar kernels alone")]
macro_rules! typed {
    ($features:literal) => {
        pub(in crate::kernels) const TYPED: $crate::kernels::typed::TypedKernels = $crate::kernels::typed::TypedKernels {
            f16: typed!(@sums f16_dot, f16_l2_squared, f16_l1),
            bf16: typed!(@sums bf16_dot, bf16_l2_squared, bf16_l1),
            int8: typed!(@sums int8_dot, int8_l2_squared, int8_l1),
            mixed: Some($crate::kernels::typed::MixedKernels {
                f16: typed!(@mixed f16_square, f16_mixed_dot, f16_mixed_l2_squared, f16_mixed_l1),
                bf16: typed!(@mixed bf16_square, bf16_mixed_dot, bf16_mixed_l2_squared, bf16_mixed_l1),
                int8: typed!(@mixed int8_square, int8_mixed_dot, int8_mixed_l2_squared, int8_mixed_l1),
            }),
        };
        typed!(@pairs $features, f16_dot, f16_l2_squared, f16_l1, f16);
        typed!(@pairs $features, bf16_dot, bf16_l2_squared, bf16_l1, bf16);
        typed!(@each $features, f16_square, f16_mixed_dot, f16_mixed_l2_squared, f16_mixed_l1, mixed_f16);
        typed!(@each $features, bf16_square, bf16_mixed_dot, bf16_mixed_l2_squared, bf16_mixed_l1, mixed_bf16);
        typed!(@each $features, int8_square, int8_mixed_dot, int8_mixed_l2_squared, int8_mixed_l1, mixed_int8);
    };
    // `sum` of that file adds up by a step; `$widen` widens a register into two of floats.
    (@pairs $features:literal, $dot:ident, $l2_squared:ident, $l1:ident, $widen:ident) => {
        #[target_feature(enable = $features)]
        fn $dot(a: &[u8], b: &[u8]) -> f32 {
            sum(a, b, |bytes| $widen(bytes), |sum, a, b| multiplied(sum, a, b))
        }

        #[target_feature(enable = $features)]
        fn $l2_squared(a: &[u8], b: &[u8]) -> f32 {
            sum(a, b, |bytes| $widen(bytes), |sum, a, b| squared(sum, a, b))
        }

        #[target_feature(enable = $features)]
        fn $l1(a: &[u8], b: &[u8]) -> f32 {
            sum(a, b, |bytes| $widen(bytes), |sum, a, b| absolute(sum, a, b))
        }
    };
    // `mixed` of that file adds up by a step; `$widen` widens as many elements as a register has floats.
    (@each $features:literal, $square:ident, $dot:ident, $l2_squared:ident, $l1:ident, $widen:ident) => {
        #[target_feature(enable = $features)]
        fn $square(stored: &[u8]) -> f32 {
            squares(stored, |bytes| $widen(bytes))
        }

        #[target_feature(enable = $features)]
        fn $dot(query: &[F32Le], stored: &[u8]) -> f32 {
            mixed(query, stored, |bytes| $widen(bytes), |sum, a, b| multiplied(sum, a, b), scalar::dot_f32)
        }

        #[target_feature(enable = $features)]
        fn $l2_squared(query: &[F32Le], stored: &[u8]) -> f32 {
            mixed(query, stored, |bytes| $widen(bytes), |sum, a, b| squared(sum, a, b), scalar::l2_squared_f32)
        }

        #[target_feature(enable = $features)]
        fn $l1(query: &[F32Le], stored: &[u8]) -> f32 {
            mixed(query, stored, |bytes| $widen(bytes), |sum, a, b| absolute(sum, a, b), scalar::l1_f32)
        }
    };
    (@mixed $square:ident, $dot:ident, $l2_squared:ident, $l1:ident) => {
        $crate::kernels::typed::MixedSums {
            // SAFETY: as for the sums below.
            square: |stored| unsafe { $square(stored) },
            // SAFETY: as for the sums below.
            dot: |query, stored| unsafe { $dot(query, stored) },
            // SAFETY: as above.
            l2_squared: |query, stored| unsafe { $l2_squared(query, stored) },
            // SAFETY: as above.
            l1: |query, stored| unsafe { $l1(query, stored) },
        }
    };
    (@sums $dot:ident, $l2_squared:ident, $l1:ident) => {
        $crate::kernels::typed::TypeSums {
            // SAFETY: these kernels are in the table of their instruction set alone, which is given only where the CPU has
            // all features that they enable.
            dot: |a, b| unsafe { $dot(a, b) },
            // SAFETY: as above.
            l2_squared: |a, b| unsafe { $l2_squared(a, b) },
            // SAFETY: as above.
            l1: |a, b| unsafe { $l1(a, b) },
        }
    };
}
#[allow(unused_imports, reason = "as the macro")]
use typed;
