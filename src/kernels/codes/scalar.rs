//! The kernels on codes in plain Rust. They define the results.

use super::{Bounds, CodeKernels, Factors, Formula, GROUP, bounds, limits, reach, tables_of_each};

pub(in crate::kernels) const CODES: CodeKernels = CodeKernels {
    sum_u1,
    tile_u1,
    estimate,
    dot_u4,
    tile_u4,
    within: limits::within,
    reach: reach::reach,
    crc32c,
    fetch: |_| (),
};

pub(super) fn sum_u1(tables: &[[u8; 16]], codes: &[[u8; GROUP]], sums: &mut [u32; GROUP]) {
    *sums = [0; GROUP];
    let (pairs, _) = tables.as_chunks::<2>();
    for ([lower, upper], codes) in pairs.iter().zip(codes) {
        for (sum, code) in sums.iter_mut().zip(codes) {
            *sum += u32::from(lower[usize::from(code & 15)]) + u32::from(upper[usize::from(code >> 4)]);
        }
    }
}

pub(super) fn tile_u1(tables: &[[u8; 16]], groups: [&[[u8; GROUP]]; 2], sums: &mut [[[u32; GROUP]; 2]]) {
    for (group, codes) in groups.into_iter().enumerate() {
        for (tables, sums) in tables_of_each(tables, groups).zip(&mut *sums) {
            sum_u1(tables, codes, &mut sums[group]);
        }
    }
}

fn estimate(formula: &Formula, sums: &[u32; GROUP], factors: &Factors, threshold: f32, bounds: &mut Bounds) -> u64 {
    bounds::estimate(formula, sums, factors, threshold, bounds)
}

pub(super) fn dot_u4(codes: &[u8], even: &[i8], odd: &[i8]) -> i32 {
    let term = |((code, even), odd): ((&u8, &i8), &i8)| {
        i32::from(code & 15) * i32::from(*even) + i32::from(code >> 4) * i32::from(*odd)
    };
    codes.iter().zip(even).zip(odd).map(term).sum()
}

/// Always inlined: the compiler then uses the vectors that the calling function has enabled.
#[inline(always)]
pub(super) fn tile_u4(codes: &[[u32; GROUP]], queries: &[[[i8; 4]; 2]], sums: &mut [[i32; GROUP]]) {
    sums.fill([0; GROUP]);
    for (query, sums) in queries.chunks_exact(codes.len().max(1)).zip(sums) {
        for (word, steps) in codes.iter().zip(query) {
            for at in 0..4 {
                let [even, odd] = steps.map(|steps| i32::from(steps[at]));
                for (sum, word) in sums.iter_mut().zip(word) {
                    let byte = word >> (8 * at);
                    *sum += (byte & 15) as i32 * even + (byte >> 4 & 15) as i32 * odd;
                }
            }
        }
    }
}

pub(super) fn crc32c(before: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut crc = !before;
    for word in words {
        let word = u64::from_le_bytes(*word) ^ u64::from(crc);
        crc = (0..8).fold(0, |crc, i| crc ^ SLICES[7 - i][usize::from((word >> (8 * i)) as u8)]);
    }
    for byte in rest {
        crc = SLICES[0][usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    }
    !crc
}

/// `SLICES[n][byte]` is the remainder of `byte` followed by `n` zero bytes. So eight look-ups serve eight bytes at
/// once.
static SLICES: [[u32; 256]; 8] = slices();

const fn slices() -> [[u32; 256]; 8] {
    /// Castagnoli's polynomial, bits reversed.
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    let mut slices = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        slices[0][byte] = crc;
        byte += 1;
    }
    let mut n = 1;
    while n < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before: u32 = slices[n - 1][byte];
            slices[n][byte] = slices[0][(before & 255) as usize] ^ (before >> 8);
            byte += 1;
        }
        n += 1;
    }
    slices
}
