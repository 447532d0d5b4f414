//! Sums over vectors of f16, bf16 and int8: every table this machine can run against sums in f64, at any address and length.

#![allow(clippy::unwrap_used)]

use crate::support::Random;
use fafcas::kernels::typed::{BytesKernel, TypeSums, TypedKernels};
use fafcas::kernels::{self, F32Le, Table};
use half::{bf16, f16};

const SEED: u64 = 0x7EED;

/// A sum: its terms, and which kernel it is.
struct Sum {
    name: &'static str,
    term: fn(f64, f64) -> f64,
}

const SUMS: [Sum; 3] = [
    Sum { name: "dot", term: |a, b| a * b },
    Sum { name: "l2_squared", term: |a, b| (a - b) * (a - b) },
    Sum { name: "l1", term: |a, b| (a - b).abs() },
];

/// A type of floats: its kernels, how a number is stored in it, and what the stored bytes mean.
struct Floats {
    name: &'static str,
    sums: fn(&TypedKernels) -> &TypeSums<f32>,
    bytes: fn(f32) -> [u8; 2],
    meaning: fn([u8; 2]) -> f32,
}

const FLOATS: [Floats; 2] = [
    Floats {
        name: "f16",
        sums: |typed| &typed.f16,
        bytes: |x| f16::from_f32(x).to_le_bytes(),
        meaning: |bytes| f16::from_le_bytes(bytes).to_f32(),
    },
    Floats {
        name: "bf16",
        sums: |typed| &typed.bf16,
        bytes: |x| bf16::from_f32(x).to_le_bytes(),
        meaning: |bytes| bf16::from_le_bytes(bytes).to_f32(),
    },
];

fn lengths() -> impl Iterator<Item = usize> {
    (0..=140).chain([255, 384, 513, 1000, 1536, 4099, 16_383, 16_385, 65_535, 65_536])
}

fn each<S>(sums: &TypeSums<S>) -> [&BytesKernel<S>; 3] {
    [&sums.dot, &sums.l2_squared, &sums.l1]
}

fn each_table(check: impl Fn(&Table)) {
    kernels::tables().into_iter().for_each(check);
}

/// Bytes behind so many others, and others after them that would show in any sum.
fn placed(bytes: &[u8], offset: usize) -> Vec<u8> {
    let mut memory = vec![0x7f; offset];
    memory.extend_from_slice(bytes);
    memory.extend_from_slice(&[0x7f; 64]);
    memory
}

fn pairs(floats: &Floats, a: &[u8], b: &[u8]) -> Vec<(f64, f64)> {
    let number = |bytes: &[u8; 2]| f64::from((floats.meaning)(*bytes));
    let (a, b) = (a.as_chunks::<2>().0, b.as_chunks::<2>().0);
    a.iter().zip(b).map(|(a, b)| (number(a), number(b))).collect()
}

#[test]
fn floats_are_summed_within_rounding() {
    let mut random = Random(SEED);
    for (length, floats) in lengths().flat_map(|length| FLOATS.iter().map(move |floats| (length, floats))) {
        let mut draw = || -> Vec<u8> { (0..length).flat_map(|_| (floats.bytes)(random.real() as f32)).collect() };
        let (a, b) = (draw(), draw());
        let pairs = pairs(floats, &a, &b);
        let offset = length % 5;
        let (placed_a, placed_b) = (placed(&a, offset), placed(&b, 3));
        let (at_a, at_b) = (&placed_a[offset..][..a.len()], &placed_b[3..][..b.len()]);
        each_table(|table| {
            for (sum, kernel) in SUMS.iter().zip(each((floats.sums)(&table.typed))) {
                let terms = || pairs.iter().map(|(a, b)| (sum.term)(*a, *b));
                let bound = (length as f64 + 2.0) * f64::from(f32::EPSILON) * terms().map(f64::abs).sum::<f64>();
                let (got, expected) = (f64::from(kernel(at_a, at_b)), terms().sum::<f64>());
                let case = format!("{} {} {}, length {length}, seed {SEED}", table.name, floats.name, sum.name);
                assert!((got - expected).abs() <= bound, "{case}: {got}, not {expected}");
                assert_eq!(kernel(at_a, at_b).to_bits(), kernel(&a, &b).to_bits(), "{case}");
            }
        });
    }
}

#[test]
fn whole_numbers_are_summed_exactly() {
    let mut random = Random(SEED);
    for length in lengths() {
        let mut draw = |extreme: bool| -> Vec<u8> {
            (0..length).map(|_| if extreme { random.pick(&[0x80, 0x7f]) } else { random.next() as u8 }).collect()
        };
        for extreme in [false, true] {
            let (a, b) = (draw(extreme), draw(extreme));
            let (placed_a, placed_b) = (placed(&a, 1), placed(&b, length % 7));
            let (at_a, at_b) = (&placed_a[1..][..length], &placed_b[length % 7..][..length]);
            let number = |byte: &u8| f64::from(*byte as i8);
            each_table(|table| {
                for (sum, kernel) in SUMS.iter().zip(each(&table.typed.int8)) {
                    let expected: f64 = a.iter().zip(&b).map(|(a, b)| (sum.term)(number(a), number(b))).sum();
                    let case = format!("{} {}, length {length}, seed {SEED}", table.name, sum.name);
                    assert_eq!(kernel(at_a, at_b) as f64, expected, "{case}");
                }
            });
        }
        let (least, most) = (vec![0x80; length], vec![0x7f; length]);
        each_table(|table| {
            assert_eq!((table.typed.int8.l2_squared)(&least, &most), 255 * 255 * length as i64, "{}", table.name);
            assert_eq!((table.typed.int8.dot)(&least, &least), 128 * 128 * length as i64, "{}", table.name);
        });
    }
}

/// Every number of two bytes, and every pair of one: subnormals are not taken for zero, and no digit is lost.
#[test]
fn each_number_counts_for_what_it_is() {
    for floats in &FLOATS {
        for stored in 0..=u16::MAX {
            let bytes = stored.to_le_bytes();
            let number = (floats.meaning)(bytes);
            if !number.is_finite() {
                continue;
            }
            for at in [0, 1, 40] {
                let mut a = vec![0; 2 * 41];
                a[2 * at..][..2].copy_from_slice(&bytes);
                let ones: Vec<u8> = (0..41).flat_map(|_| (floats.bytes)(1.0)).collect();
                each_table(|table| {
                    let sums = (floats.sums)(&table.typed);
                    let case = format!("{} {} {stored:#06x} at {at}", table.name, floats.name);
                    assert_eq!((sums.dot)(&a, &ones), number + 0.0, "{case}");
                    assert_eq!((sums.l1)(&a, &[0; 82]), number.abs(), "{case}");
                });
            }
        }
    }
    for (a, b) in (0..=u8::MAX).flat_map(|a| (0..=u8::MAX).map(move |b| (a, b))) {
        let (x, y) = (i64::from(a as i8), i64::from(b as i8));
        each_table(|table| {
            let sums = &table.typed.int8;
            assert_eq!((sums.dot)(&[a], &[b]), x * y);
            assert_eq!((sums.l2_squared)(&[a], &[b]), (x - y) * (x - y));
            assert_eq!((sums.l1)(&[a], &[b]), (x - y).abs());
        });
    }
}

#[test]
fn infinities_and_nan_are_kept() {
    for floats in &FLOATS {
        let stored = |numbers: &[f32]| -> Vec<u8> { numbers.iter().flat_map(|x| (floats.bytes)(*x)).collect() };
        for length in [1, 16, 33, 64, 70] {
            let mut odd = vec![1.0; length];
            for special in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                odd[length - 1] = special;
                let (a, b) = (stored(&odd), stored(&vec![1.0; length]));
                each_table(|table| {
                    let got = ((floats.sums)(&table.typed).dot)(&a, &b);
                    assert!(got == special || got.is_nan() && special.is_nan(), "{} {got} {special}", table.name);
                });
            }
        }
    }
}

#[test]
fn the_longer_vector_is_read_no_further_than_the_shorter() {
    let (one, nan) = (f16::ONE.to_le_bytes(), f16::NAN.to_le_bytes());
    each_table(|table| {
        for (short, long) in [(0, 1), (1, 8), (7, 9), (31, 33), (32, 130), (63, 64), (65, 140)] {
            let a: Vec<u8> = (0..short).flat_map(|_| one).collect();
            let b: Vec<u8> = (0..long).flat_map(|at| if at < short { one } else { nan }).collect();
            assert_eq!((table.typed.f16.dot)(&a, &b), short as f32, "{} {short} {long}", table.name);
            assert_eq!((table.typed.f16.dot)(&b, &a), short as f32, "{} {short} {long}", table.name);
            // Half an element at the end is none.
            assert_eq!((table.typed.f16.dot)(&b[..2 * short + 1], &b[..2 * short + 1]), short as f32);
            assert_eq!((table.typed.int8.dot)(&vec![1; short], &vec![1; long]), short as i64);
        }
    });
}

/// A query of f32 against what is stored gives the bits that the kernel of the same table gives for the widened vector: a scan, which
/// does the one, and an index, which does the other, must not differ.
#[test]
fn a_query_scores_stored_vectors_as_their_widened_copies_to_the_bit() {
    let mut random = Random(SEED);
    for length in lengths() {
        let query: Vec<F32Le> = (0..length + 1).map(|_| F32Le::from(random.real() as f32)).collect();
        let halves = |one: fn(f32) -> [u8; 2], random: &mut Random| -> Vec<u8> {
            (0..length).flat_map(|_| one(random.real() as f32)).collect()
        };
        let of_f16 = halves(FLOATS[0].bytes, &mut random);
        let of_bf16 = halves(FLOATS[1].bytes, &mut random);
        let of_int8: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        each_table(|table| {
            let Some(mixed) = &table.typed.mixed else { return };
            let cases = [
                ("f16", &mixed.f16, &of_f16, table.widen_f16),
                ("bf16", &mixed.bf16, &of_bf16, table.widen_bf16),
                ("int8", &mixed.int8, &of_int8, table.widen_int8),
            ];
            for (name, sums, stored, widen) in cases {
                let mut wide = vec![F32Le::from(0.0); length];
                widen(stored, &mut wide);
                let own = table.dot_f32;
                assert_eq!(
                    (sums.square)(stored).to_bits(),
                    own(&wide, &wide).to_bits(),
                    "{} {name} {length}",
                    table.name
                );
                let placed = placed(stored, 1);
                let stored = &placed[1..][..stored.len()];
                for (sum, narrow, kernel) in [
                    ("dot", sums.dot, table.dot_f32),
                    ("l2_squared", sums.l2_squared, table.l2_squared_f32),
                    ("l1", sums.l1, table.l1_f32),
                ] {
                    let expected = kernel(&query, &wide).to_bits();
                    let case = format!("{} {name} {sum}, length {length}, seed {SEED}", table.name);
                    assert_eq!(narrow(&query[..length], stored).to_bits(), expected, "{case}");
                    assert_eq!(narrow(&query, stored).to_bits(), expected, "{case}, a longer query");
                    assert_eq!(narrow(&query[..length], &placed[1..]).to_bits(), expected, "{case}, a longer row");
                }
            }
        });
    }
}
