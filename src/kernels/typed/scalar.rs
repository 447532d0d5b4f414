//! The sums in plain Rust. They define the results that the tests compare with, and serve CPUs without kernels of their own here.

use super::{TypeSums, TypedKernels, in_pieces, same_length};
use crate::kernels::widen::{WidenKernel, bf16, f16};
use crate::kernels::{F32Le, PairKernel, scalar};

pub(in crate::kernels) const TYPED: TypedKernels = TypedKernels {
    f16: TypeSums {
        dot: |a, b| widened(a, b, f16, scalar::dot_f32),
        l2_squared: |a, b| widened(a, b, f16, scalar::l2_squared_f32),
        l1: |a, b| widened(a, b, f16, scalar::l1_f32),
    },
    bf16: TypeSums {
        dot: |a, b| widened(a, b, bf16, scalar::dot_f32),
        l2_squared: |a, b| widened(a, b, bf16, scalar::l2_squared_f32),
        l1: |a, b| widened(a, b, bf16, scalar::l1_f32),
    },
    mixed: None,
    int8: TypeSums {
        dot: |a, b| in_pieces(a, b, |a, b| int8(a, b, |a, b| a * b)),
        l2_squared: |a, b| in_pieces(a, b, |a, b| int8(a, b, |a, b| (a - b) * (a - b))),
        l1: |a, b| in_pieces(a, b, |a, b| int8(a, b, |a, b| (a - b).abs())),
    },
};

/// Widens piece by piece, so that the copy stays in the innermost cache.
fn widened(a: &[u8], b: &[u8], widen: WidenKernel, kernel: PairKernel) -> f32 {
    const PIECE: usize = 512;
    let (a, b) = same_length(a, b, 2);
    let mut wide = [[F32Le::from(0.0); PIECE]; 2];
    let [wide_a, wide_b] = &mut wide;
    let mut sum = 0.0;
    for (a, b) in a.chunks(2 * PIECE).zip(b.chunks(2 * PIECE)) {
        widen(a, wide_a);
        widen(b, wide_b);
        sum += kernel(&wide_a[..a.len() / 2], &wide_b[..b.len() / 2]);
    }
    sum
}

#[inline(always)]
pub(super) fn int8(a: &[u8], b: &[u8], term: impl Fn(i32, i32) -> i32) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| term((a as i8).into(), (b as i8).into())).sum()
}
