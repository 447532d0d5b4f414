//! Products and distances of vectors: each table against sums in f64, at any address, and rows against pairs.

use super::{Draws, near, same};
use crate::error::Result;
use crate::kernels::{F32Le, PairKernel, RowsKernel, Table};

/// Below, at and above the steps of each kernel, and some usual dimensions.
const LENGTHS: [usize; 16] = [0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 100, 127, 384, 1000];
/// How many rows are scored at once.
const ROWS: usize = 5;

struct Sum {
    name: &'static str,
    term: fn(f64, f64) -> f64,
    pair: PairKernel,
    rows: RowsKernel,
}

/// What was checked, or the first thing that is wrong.
pub fn check(table: &Table) -> Result<String> {
    let sums = [
        Sum { name: "dot", term: |a, b| a * b, pair: table.dot_f32, rows: table.dot_f32_rows },
        Sum { name: "l2", term: |a, b| (a - b) * (a - b), pair: table.l2_squared_f32, rows: table.l2_squared_f32_rows },
        Sum { name: "l1", term: |a, b| (a - b).abs(), pair: table.l1_f32, rows: table.l1_f32_rows },
    ];
    let mut draws = Draws::new();
    for length in LENGTHS {
        let (query, rows) = (draws.vector(length), draws.vector(length * ROWS));
        check_products(table, &query, rows.get(..length).unwrap_or_default())?;
        for sum in &sums {
            check_sum(sum, &query, &rows)?;
        }
    }
    Ok(format!("dot, l2, l1 of {} lengths up to 1000", LENGTHS.len()))
}

/// The products of a cosine are those of the dot product.
fn check_products(table: &Table, a: &[F32Le], b: &[F32Le]) -> Result<()> {
    let together = (table.products_f32)(a, b);
    for ((a, b), product) in [(a, b), (a, a), (b, b)].into_iter().zip(together) {
        let what = format!("dot of {} numbers, one of 3 products,", a.len());
        same(&what, product.to_bits(), (table.dot_f32)(a, b).to_bits())?;
    }
    Ok(())
}

fn check_sum(sum: &Sum, query: &[F32Le], rows: &[F32Le]) -> Result<()> {
    let mut scores = [0.0; ROWS];
    (sum.rows)(query, rows, &mut scores);
    let mut rest = rows;
    for score in scores {
        let Some((row, after)) = rest.split_at_checked(query.len()) else { break };
        let what = format!("{} of {} numbers", sum.name, query.len());
        let terms = || query.iter().zip(row).map(|(a, b)| (sum.term)(f64::from(a.get()), f64::from(b.get())));
        let size: f64 = terms().map(f64::abs).sum();
        // Each term and each addition is rounded once.
        let rounding = f64::from(f32::EPSILON) * (query.len() as f64 + 2.0) * size;
        let product = (sum.pair)(query, row);
        near(&what, product, terms().sum(), rounding)?;
        same(&format!("{what}, one of {ROWS} rows,"), score.to_bits(), product.to_bits())?;
        rest = after;
    }
    check_places(sum, query, rows)
}

/// Bytes of a BLOB may begin at any address.
fn check_places(sum: &Sum, query: &[F32Le], rows: &[F32Le]) -> Result<()> {
    let row = rows.get(..query.len()).unwrap_or_default();
    let expected = (sum.pair)(query, row).to_bits();
    for place in 1..4 {
        let bytes: Vec<u8> = [0; 4].into_iter().take(place).chain(bytemuck::cast_slice(row).iter().copied()).collect();
        let Ok(moved) = bytemuck::try_cast_slice(bytes.get(place..).unwrap_or_default()) else { continue };
        let what = format!("{} of {} numbers, {place} bytes on,", sum.name, query.len());
        same(&what, (sum.pair)(query, moved).to_bits(), expected)?;
    }
    Ok(())
}
