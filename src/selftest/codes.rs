//! Sums and products of stored codes: they are whole numbers, so each table must give those of the scalar one.

use super::{Draws, all_same, same};
use crate::error::Result;
use crate::kernels::Table;
use crate::kernels::codes::{CodeKernels, GROUP, MAX_ENTRY, MAX_SMALL_ENTRY};

/// Bytes of a code, for 8 to 1000 dimensions and beyond what adds up in 16 bits.
const LENGTHS: [usize; 9] = [1, 2, 3, 12, 48, 125, 192, 257, 1025];
const QUERIES: usize = 5;

/// What was checked, or the first thing that is wrong.
pub fn check(table: &Table, scalar: &Table) -> Result<String> {
    let (kernels, expected) = (&table.codes, &scalar.codes);
    let mut draws = Draws::new();
    for bytes in LENGTHS {
        check_sums(kernels, expected, bytes, &mut draws)?;
        check_sum_tiles(kernels, expected, bytes, &mut draws)?;
        check_products(kernels, expected, bytes, &mut draws)?;
        check_product_tiles(kernels, expected, bytes, &mut draws)?;
        check_checksums(kernels, expected, bytes, &mut draws)?;
    }
    // The check value of CRC-32C, and the example of RFC 3720.
    same("CRC-32C of 123456789", (kernels.crc32c)(0, b"123456789"), 0xE306_9283)?;
    same("CRC-32C of 32 zeros", (kernels.crc32c)(0, &[0; 32]), 0x8A91_36AA)?;
    Ok(format!("sums, products and checksums of {} lengths up to 1025 bytes", LENGTHS.len()))
}

/// Entries near the greatest, where sums in few bits would overflow.
fn entries(count: usize, most: u8, draws: &mut Draws) -> Vec<[u8; 16]> {
    (0..count).map(|_| std::array::from_fn(|_| most - draws.below(3) as u8)).collect()
}

fn group(bytes: usize, draws: &mut Draws) -> Vec<[u8; GROUP]> {
    (0..bytes).map(|_| std::array::from_fn(|_| draws.byte())).collect()
}

fn check_sums(kernels: &CodeKernels, expected: &CodeKernels, bytes: usize, draws: &mut Draws) -> Result<()> {
    let (tables, codes) = (entries(2 * bytes, MAX_ENTRY, draws), group(bytes, draws));
    let (mut got, mut wanted) = ([7; GROUP], [8; GROUP]);
    (kernels.sum_u1)(&tables, &codes, &mut got);
    (expected.sum_u1)(&tables, &codes, &mut wanted);
    all_same(&format!("sums of 1-bit codes of {bytes} bytes"), &got, &wanted)
}

fn check_sum_tiles(kernels: &CodeKernels, expected: &CodeKernels, bytes: usize, draws: &mut Draws) -> Result<()> {
    let tables = entries(QUERIES * 2 * bytes, MAX_SMALL_ENTRY, draws);
    let groups = [group(bytes, draws), group(bytes, draws)];
    let [first, second] = &groups;
    let (mut got, mut wanted) = ([[[7; GROUP]; 2]; QUERIES], [[[8; GROUP]; 2]; QUERIES]);
    (kernels.tile_u1)(&tables, [first, second], &mut got);
    (expected.tile_u1)(&tables, [first, second], &mut wanted);
    let flat = |sums: &[[[u32; GROUP]; 2]]| sums.as_flattened().as_flattened().to_vec();
    all_same(&format!("sums of {QUERIES} queries over codes of {bytes} bytes"), &flat(&got), &flat(&wanted))
}

fn check_products(kernels: &CodeKernels, expected: &CodeKernels, bytes: usize, draws: &mut Draws) -> Result<()> {
    let mut steps = || -> Vec<i8> { (0..bytes).map(|_| draws.byte() as i8).collect() };
    let (even, odd) = (steps(), steps());
    let codes: Vec<u8> = (0..bytes).map(|_| draws.byte()).collect();
    let what = format!("the product with a 4-bit code of {bytes} bytes");
    same(&what, (kernels.dot_u4)(&codes, &even, &odd), (expected.dot_u4)(&codes, &even, &odd))
}

fn check_product_tiles(kernels: &CodeKernels, expected: &CodeKernels, words: usize, draws: &mut Draws) -> Result<()> {
    let codes: Vec<[u32; GROUP]> = (0..words).map(|_| std::array::from_fn(|_| draws.below(u32::MAX))).collect();
    let queries: Vec<[[i8; 4]; 2]> =
        (0..QUERIES * words).map(|_| [(); 2].map(|()| [(); 4].map(|()| draws.byte() as i8))).collect();
    let (mut got, mut wanted) = ([[7; GROUP]; QUERIES], [[8; GROUP]; QUERIES]);
    (kernels.tile_u4)(&codes, &queries, &mut got);
    (expected.tile_u4)(&codes, &queries, &mut wanted);
    let what = format!("products of {QUERIES} queries with codes of {words} words");
    all_same(&what, got.as_flattened(), wanted.as_flattened())
}

fn check_checksums(kernels: &CodeKernels, expected: &CodeKernels, length: usize, draws: &mut Draws) -> Result<()> {
    let bytes: Vec<u8> = (0..length).map(|_| draws.byte()).collect();
    let before = draws.below(u32::MAX);
    let what = format!("the checksum of {length} bytes");
    same(&what, (kernels.crc32c)(before, &bytes), (expected.crc32c)(before, &bytes))
}
