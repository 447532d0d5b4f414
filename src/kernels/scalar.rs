//! The kernels in plain Rust. They define the results that the tests compare with, and serve CPUs without wide vectors.

use super::{F32Le, Table, codes, each_row, same_length, typed, widen};

/// How many partial sums are kept. With one sum, each addition would wait for the one before. With eight, the compiler
/// uses vectors that every CPU of the target has (SSE2 on x86-64), which is about six times as fast.
const LANES: usize = 8;

pub(super) static TABLE: Table = Table {
    name: "scalar",
    dot_f32,
    l2_squared_f32,
    l1_f32,
    products_f32: |a, b| {
        let (a, b) = same_length(a, b);
        [dot_f32(a, b), dot_f32(a, a), dot_f32(b, b)]
    },
    dot_f32_rows: |query, rows, scores| each_row(query, rows, scores, dot_f32),
    l2_squared_f32_rows: |query, rows, scores| each_row(query, rows, scores, l2_squared_f32),
    l1_f32_rows: |query, rows, scores| each_row(query, rows, scores, l1_f32),
    widen_f16: |bytes, into| widen::f16(bytes, into),
    widen_bf16: |bytes, into| widen::bf16(bytes, into),
    widen_int8: |bytes, into| widen::int8(bytes, into),
    hamming: |a, b| widen::hamming(a, b),
    codes: codes::scalar::CODES,
    typed: typed::scalar::TYPED,
};

pub(super) fn dot_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
    sum(a, b, |a, b| a * b)
}

pub(super) fn l2_squared_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
    sum(a, b, |a, b| (a - b) * (a - b))
}

pub(super) fn l1_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
    sum(a, b, |a, b| (a - b).abs())
}

#[inline]
fn sum(a: &[F32Le], b: &[F32Le], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (a, b) = same_length(a, b);
    let (a, a_tail) = a.as_chunks::<LANES>();
    let (b, b_tail) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane].get(), b[lane].get());
        }
    }
    let tail = a_tail.iter().zip(b_tail).map(|(a, b)| term(a.get(), b.get()));
    sums.into_iter().chain(tail).fold(0.0, |sum, term| sum + term)
}
