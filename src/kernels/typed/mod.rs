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

/// Makes the kernels of an instruction set from what the file that uses it has: `Bytes`, a register of `CHUNK` bytes; `load` and
/// `load_tail`, which fills up with zeros; `f16` and `bf16`, which widen it into two registers of floats; `mixed_f16`, `mixed_bf16` and
/// `mixed_int8`, which widen into one; `stored_floats`; the sums of int8; and what the kernels for f32 have. The caller of the macro
/// looks for the features.
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
        typed!(@loops $features);
    };
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
    (@loops $features:literal) => {
        /// Adds up the vectors with `step(sum, a, b)`. There are four sums, so that an addition need not wait for the one before.
        #[inline]
        #[target_feature(enable = $features)]
        fn sum(
            a: &[u8],
            b: &[u8],
            widen: impl Fn(Bytes) -> [Floats; 2],
            step: impl Fn(Floats, Floats, Floats) -> Floats,
        ) -> f32 {
            let (a, b) = $crate::kernels::typed::same_length(a, b, 2);
            let (a, a_tail) = a.as_chunks::<CHUNK>();
            let (b, b_tail) = b.as_chunks::<CHUNK>();
            let (a_pairs, a_rest) = a.as_chunks::<2>();
            let (b_pairs, b_rest) = b.as_chunks::<2>();
            let mut sums = [zeros(); 4];
            let mut add = |at: usize, a: Bytes, b: Bytes| {
                let (a, b) = (widen(a), widen(b));
                sums[at] = step(sums[at], a[0], b[0]);
                sums[at + 1] = step(sums[at + 1], a[1], b[1]);
            };
            for (a, b) in a_pairs.iter().zip(b_pairs) {
                add(0, load(&a[0]), load(&b[0]));
                add(2, load(&a[1]), load(&b[1]));
            }
            for (a, b) in a_rest.iter().zip(b_rest) {
                add(0, load(a), load(b));
            }
            if !a_tail.is_empty() {
                add(2, load_tail(a_tail), load_tail(b_tail));
            }
            total(sums)
        }

        /// Goes through both vectors with `step(sum, a, b)`, a register at a time.
        #[inline]
        #[target_feature(enable = $features)]
        fn each_chunk<S>(a: &[u8], b: &[u8], mut sum: S, step: impl Fn(S, Bytes, Bytes) -> S) -> S {
            let (a, a_tail) = a.as_chunks::<CHUNK>();
            let (b, b_tail) = b.as_chunks::<CHUNK>();
            for (a, b) in a.iter().zip(b) {
                sum = step(sum, load(a), load(b));
            }
            if a_tail.is_empty() { sum } else { step(sum, load_tail(a_tail), load_tail(b_tail)) }
        }

        /// Adds up a query and a stored vector with `step(sum, a, b)`, in the order in which the kernels for f32 add, so that the bits
        /// are the same. `BYTES` is the size of as many elements as a register has floats.
        #[inline]
        #[target_feature(enable = $features)]
        fn mixed<const BYTES: usize>(
            query: &[F32Le],
            stored: &[u8],
            widen: impl Fn(&[u8; BYTES]) -> Floats,
            step: impl Fn(Floats, Floats, Floats) -> Floats,
            scalar_sum: impl Fn(&[F32Le], &[F32Le]) -> f32,
        ) -> f32 {
            let length = query.len().min(stored.len() * LANES / BYTES);
            let (a, a_tail) = query[..length].as_chunks::<LANES>();
            let (b, b_tail) = stored[..length * BYTES / LANES].as_chunks::<BYTES>();
            let (a_fours, a_rest) = a.as_chunks::<4>();
            let (b_fours, b_rest) = b.as_chunks::<4>();
            let mut sums = [zeros(); 4];
            for (a, b) in a_fours.iter().zip(b_fours) {
                for i in 0..4 {
                    sums[i] = step(sums[i], load_floats(&a[i]), widen(&b[i]));
                }
            }
            for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
                *sum = step(*sum, load_floats(a), widen(b));
            }
            if a_tail.is_empty() {
                return total(sums);
            }
            let wide = stored_floats(widen(&$crate::kernels::typed::filled(b_tail)));
            ended(sums, a_tail, &wide[..a_tail.len()], step, scalar_sum)
        }

        /// The squares of a stored vector, in the same order.
        #[inline]
        #[target_feature(enable = $features)]
        fn squares<const BYTES: usize>(stored: &[u8], widen: impl Fn(&[u8; BYTES]) -> Floats) -> f32 {
            let length = stored.len() * LANES / BYTES;
            let (whole, tail) = stored[..length * BYTES / LANES].as_chunks::<BYTES>();
            let (fours, rest) = whole.as_chunks::<4>();
            let mut sums = [zeros(); 4];
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
            if tail.is_empty() {
                return total(sums);
            }
            let wide = &stored_floats(widen(&$crate::kernels::typed::filled(tail)))[..length % LANES];
            ended(sums, wide, wide, |sum, a, b| multiplied(sum, a, b), scalar::dot_f32)
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
