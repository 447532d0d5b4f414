//! Sums over vectors of f16, bf16 and int8: each table against its own sums over the same numbers in f32, and whole numbers exactly.

use super::{Draws, near, same};
use crate::error::Result;
use crate::kernels::typed::{MixedSums, TypeSums};
use crate::kernels::{F32Le, PairKernel, Table};
use crate::vector::{ElementType, widen};

/// Below, at and above the steps of each kernel, and some usual dimensions.
const LENGTHS: [usize; 14] = [0, 1, 7, 8, 15, 16, 17, 31, 33, 63, 65, 127, 384, 1000];

/// What was checked, or the first thing that is wrong.
pub fn check(table: &Table) -> Result<String> {
    let mut draws = Draws::new();
    for length in LENGTHS {
        let query = draws.vector(length);
        let [a, b] = [draws.vector(length), draws.vector(length)];
        for (element, sums) in [(ElementType::F16, &table.typed.f16), (ElementType::Bf16, &table.typed.bf16)] {
            check_floats(table, sums, [&narrow(&a, element), &narrow(&b, element)], element)?;
        }
        let [a, b]: [Vec<u8>; 2] = std::array::from_fn(|_| (0..length).map(|_| draws.byte()).collect());
        check_whole(&table.typed.int8, &a, &b)?;
        let Some(mixed) = &table.typed.mixed else { continue };
        for (element, sums) in
            [(ElementType::F16, &mixed.f16), (ElementType::Bf16, &mixed.bf16), (ElementType::Int8, &mixed.int8)]
        {
            let stored = if element == ElementType::Int8 { b.clone() } else { narrow(&query, element) };
            check_mixed(table, sums, &query, &stored, element)?;
        }
    }
    Ok(format!("dot, l2, l1 of {} lengths up to 1000 of f16, bf16 and int8", LENGTHS.len()))
}

/// Numbers in two bytes each, cut off after the digits that they have room for.
fn narrow(vector: &[F32Le], element: ElementType) -> Vec<u8> {
    let bytes = |x: &F32Le| match element {
        ElementType::F16 => half::f16::from_f32(x.get()).to_le_bytes(),
        _ => half::bf16::from_f32(x.get()).to_le_bytes(),
    };
    vector.iter().flat_map(bytes).collect()
}

fn widened(stored: &[u8], element: ElementType) -> Vec<F32Le> {
    let mut wide = vec![F32Le::from(0.0); element.dimensions(stored.len()).unwrap_or(0)];
    widen(stored, element, &mut wide);
    wide
}

fn check_floats(table: &Table, sums: &TypeSums<f32>, [a, b]: [&[u8]; 2], element: ElementType) -> Result<()> {
    let (wide_a, wide_b) = (widened(a, element), widened(b, element));
    let size: f64 = wide_a.iter().zip(&wide_b).map(|(a, b)| f64::from(a.get().abs() + b.get().abs()).powi(2)).sum();
    let rounding = 2.0 * f64::from(f32::EPSILON) * (wide_a.len() as f64 + 2.0) * (size + wide_a.len() as f64);
    for (name, kernel, wide) in [
        ("dot", sums.dot, table.dot_f32 as PairKernel),
        ("l2", sums.l2_squared, table.l2_squared_f32),
        ("l1", sums.l1, table.l1_f32),
    ] {
        let what = format!("{name} of {} {}", wide_a.len(), element.name());
        near(&what, kernel(a, b), f64::from(wide(&wide_a, &wide_b)), rounding)?;
    }
    Ok(())
}

fn check_whole(sums: &TypeSums<i64>, a: &[u8], b: &[u8]) -> Result<()> {
    let sum = |term: fn(i64, i64) -> i64| -> i64 {
        a.iter().zip(b).map(|(&a, &b)| term((a as i8).into(), (b as i8).into())).sum()
    };
    same(&format!("dot of {} int8", a.len()), (sums.dot)(a, b), sum(|a, b| a * b))?;
    same(&format!("l2 of {} int8", a.len()), (sums.l2_squared)(a, b), sum(|a, b| (a - b) * (a - b)))?;
    same(&format!("l1 of {} int8", a.len()), (sums.l1)(a, b), sum(|a, b| (a - b).abs()))
}

/// A query against what is stored gives the bits of the query against the widened copy.
fn check_mixed(table: &Table, sums: &MixedSums, query: &[F32Le], stored: &[u8], element: ElementType) -> Result<()> {
    let wide = widened(stored, element);
    for (name, kernel, wide_kernel) in [
        ("dot", sums.dot, table.dot_f32 as PairKernel),
        ("l2", sums.l2_squared, table.l2_squared_f32),
        ("l1", sums.l1, table.l1_f32),
    ] {
        let what = format!("{name} of {} numbers and as many {}", query.len(), element.name());
        same(&what, kernel(query, stored).to_bits(), wide_kernel(query, &wide).to_bits())?;
    }
    Ok(())
}
