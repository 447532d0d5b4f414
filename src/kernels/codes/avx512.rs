//! Kernels on codes, 64 bytes at a time, which is one byte of every vector of a group. Byte shuffles need AVX-512BW.

use std::arch::x86_64::*;

use super::avx2::{WORDS_IN_16_BITS, crc32c, fetch_far, fetch_line};
use super::{
    AHEAD, GROUP, SMALL_SUMS_IN_16_BITS, SUMS_IN_8_BITS, SUMS_IN_16_BITS, same_length, scalar, shortest, tables_of_each,
};

const LANES: usize = 64;

// The checksum has its own instruction, for eight bytes at a time, on every CPU that has AVX2.
codes!("avx512f,avx512bw", codes!(@plain crc32c(before, bytes)));

#[target_feature(enable = "avx512f,avx512bw")]
fn sum_u1(tables: &[[u8; 16]], codes: &[[u8; GROUP]], sums: &mut [u32; GROUP]) {
    *sums = [0; GROUP];
    let (pairs, _) = tables.as_chunks::<2>();
    for (pairs, codes) in pairs.chunks(SUMS_IN_16_BITS).zip(codes.chunks(SUMS_IN_16_BITS)) {
        // Each 16-bit number of `both` is the sum of two vectors, with the upper one in its upper byte and carries
        // running into it. `upper` is the sum of the upper vector alone.
        let mut both = _mm512_setzero_si512();
        let mut upper = _mm512_setzero_si512();
        for ([low_table, high_table], code) in pairs.iter().zip(codes) {
            fetch_far(code.as_ptr().wrapping_add(AHEAD));
            let code = load(code);
            let low = _mm512_shuffle_epi8(load_table(low_table), low_nibbles(code));
            let high = _mm512_shuffle_epi8(load_table(high_table), low_nibbles(_mm512_srli_epi16::<4>(code)));
            let picked = _mm512_add_epi8(low, high);
            both = _mm512_add_epi16(both, picked);
            upper = _mm512_add_epi16(upper, _mm512_srli_epi16::<8>(picked));
        }
        let even = _mm512_sub_epi16(both, _mm512_slli_epi16::<8>(upper));
        add_pairs(even, upper, sums);
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn tile_u1(tables: &[[u8; 16]], groups: [&[[u8; GROUP]]; 2], sums: &mut [[[u32; GROUP]; 2]]) {
    const TOGETHER: usize = 4;
    let mut tables = tables_of_each(tables, groups);
    let (together, rest) = sums.as_chunks_mut::<TOGETHER>();
    for sums in together {
        let mut next = || tables.next().unwrap_or_default();
        sum([next(), next(), next(), next()], groups, sums.each_mut().map(|sums| sums.each_mut()));
    }
    for (tables, sums) in tables.zip(rest) {
        sum([tables], groups, [sums.each_mut()]);
    }
}

/// Some queries against some groups. With four queries and two groups, the sums and the values that they need fill the
/// registers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn sum<const Q: usize, const G: usize>(
    tables: [&[[u8; 16]]; Q],
    groups: [&[[u8; GROUP]]; G],
    mut sums: [[&mut [u32; GROUP]; G]; Q],
) {
    let bytes = shortest(tables, groups);
    let (tables, groups) = (tables.map(|tables| &tables[..2 * bytes]), groups.map(|codes| &codes[..bytes]));
    sums.iter_mut().flatten().for_each(|sums| **sums = [0; GROUP]);
    for start in (0..bytes).step_by(SMALL_SUMS_IN_16_BITS) {
        // As in `sum_u1`, but four bytes are added in 8 bits first.
        let mut both = [[_mm512_setzero_si512(); G]; Q];
        let mut upper = [[_mm512_setzero_si512(); G]; Q];
        let end = bytes.min(start + SMALL_SUMS_IN_16_BITS);
        for start in (start..end).step_by(SUMS_IN_8_BITS) {
            let mut near = [[_mm512_setzero_si512(); G]; Q];
            for at in start..end.min(start + SUMS_IN_8_BITS) {
                let codes = groups.map(|codes| load(&codes[at]));
                for odd in 0..2 {
                    let halves =
                        codes.map(|code| low_nibbles(if odd == 0 { code } else { _mm512_srli_epi16::<4>(code) }));
                    for query in 0..Q {
                        let table = load_table(&tables[query][2 * at + odd]);
                        for group in 0..G {
                            let picked = _mm512_shuffle_epi8(table, halves[group]);
                            near[query][group] = _mm512_add_epi8(near[query][group], picked);
                        }
                    }
                }
            }
            for query in 0..Q {
                for group in 0..G {
                    let near = near[query][group];
                    both[query][group] = _mm512_add_epi16(both[query][group], near);
                    upper[query][group] = _mm512_add_epi16(upper[query][group], _mm512_srli_epi16::<8>(near));
                }
            }
        }
        for query in 0..Q {
            for group in 0..G {
                let upper = upper[query][group];
                let even = _mm512_sub_epi16(both[query][group], _mm512_slli_epi16::<8>(upper));
                add_pairs(even, upper, sums[query][group]);
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn dot_u4(codes: &[u8], even: &[i8], odd: &[i8]) -> i32 {
    let (codes, even, odd) = same_length(codes, even, odd);
    let (codes, codes_rest) = codes.as_chunks::<LANES>();
    let (even, even_rest) = even.as_chunks::<LANES>();
    let (odd, odd_rest) = odd.as_chunks::<LANES>();
    let ones = _mm512_set1_epi16(1);
    let mut sum = _mm512_setzero_si512();
    for ((codes, even), odd) in codes.iter().zip(even).zip(odd) {
        let codes = load(codes);
        let low = _mm512_maddubs_epi16(low_nibbles(codes), load_signed(even));
        let high = _mm512_maddubs_epi16(low_nibbles(_mm512_srli_epi16::<4>(codes)), load_signed(odd));
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_add_epi16(low, high), ones));
    }
    _mm512_reduce_add_epi32(sum) + scalar::dot_u4(codes_rest, even_rest, odd_rest)
}

/// The instruction made for this (VNNI) came a little later than the others and takes half the time. To check for it
/// once for each tile costs nothing that can be measured.
#[target_feature(enable = "avx512f,avx512bw")]
fn tile_u4(codes: &[[u32; GROUP]], queries: &[[[i8; 4]; 2]], sums: &mut [[i32; GROUP]]) {
    sums.fill([0; GROUP]);
    if is_x86_feature_detected!("avx512vnni") {
        // SAFETY: the line above checked that the CPU has the features.
        unsafe { tiles_vnni(codes, queries, sums) }
    } else {
        tiles(codes, queries, sums);
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn tiles(codes: &[[u32; GROUP]], queries: &[[[i8; 4]; 2]], sums: &mut [[i32; GROUP]]) {
    let words = codes.len().max(1);
    for (query, sums) in queries.chunks_exact(words).zip(sums) {
        tile(query, codes, sums);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn tile(query: &[[[i8; 4]; 2]], codes: &[[u32; GROUP]], sums: &mut [i32; GROUP]) {
    let ones = _mm512_set1_epi16(1);
    let mut wide = [_mm512_setzero_si512(); 4];
    for (query, codes) in query.chunks(WORDS_IN_16_BITS).zip(codes.chunks(WORDS_IN_16_BITS)) {
        let mut near = [_mm512_setzero_si512(); 4];
        for (steps, code) in query.iter().zip(codes) {
            let [even, odd] = four_steps(steps);
            for (part, near) in near.iter_mut().enumerate() {
                let code = load(&quarters(code)[part]);
                let low = _mm512_maddubs_epi16(low_nibbles(code), even);
                let high = _mm512_maddubs_epi16(low_nibbles(_mm512_srli_epi16::<4>(code)), odd);
                *near = _mm512_add_epi16(*near, _mm512_add_epi16(low, high));
            }
        }
        for (wide, near) in wide.iter_mut().zip(near) {
            *wide = _mm512_add_epi32(*wide, _mm512_madd_epi16(near, ones));
        }
    }
    keep(wide, sums);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn tiles_vnni(codes: &[[u32; GROUP]], queries: &[[[i8; 4]; 2]], sums: &mut [[i32; GROUP]]) {
    const TOGETHER: usize = 5;
    let words = codes.len().max(1);
    let (together, rest) = sums.as_chunks_mut::<TOGETHER>();
    let mut queries = queries.chunks_exact(words);
    for sums in together {
        let mut next = || queries.next().unwrap_or_default();
        tile_vnni([next(), next(), next(), next(), next()], codes, sums);
    }
    for (query, sums) in queries.zip(rest) {
        tile_vnni([query], codes, std::array::from_mut(sums));
    }
}

/// Some queries against one group. With five queries, the sums and the values that they need fill the registers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn tile_vnni<const Q: usize>(queries: [&[[[i8; 4]; 2]]; Q], codes: &[[u32; GROUP]], sums: &mut [[i32; GROUP]; Q]) {
    let mut wide = [[_mm512_setzero_si512(); 4]; Q];
    let words = queries.iter().fold(codes.len(), |least, query| least.min(query.len()));
    let queries = queries.map(|query| &query[..words]);
    for (word, code) in codes[..words].iter().enumerate() {
        let (mut low, mut high) = ([_mm512_setzero_si512(); 4], [_mm512_setzero_si512(); 4]);
        for part in 0..4 {
            let code = load(&quarters(code)[part]);
            (low[part], high[part]) = (low_nibbles(code), low_nibbles(_mm512_srli_epi16::<4>(code)));
        }
        for query in 0..Q {
            let [even, odd] = four_steps(&queries[query][word]);
            for part in 0..4 {
                wide[query][part] = _mm512_dpbusd_epi32(wide[query][part], low[part], even);
            }
            for part in 0..4 {
                wide[query][part] = _mm512_dpbusd_epi32(wide[query][part], high[part], odd);
            }
        }
    }
    for query in 0..Q {
        keep(wide[query], &mut sums[query]);
    }
}

/// A word of the group as four vectors of 16 words each.
#[inline]
fn quarters(code: &[u32; GROUP]) -> &[[u8; LANES]; 4] {
    bytemuck::cast_ref(code)
}

/// The steps of a query for one word, at even and at odd positions, repeated for 16 vectors.
#[inline]
#[target_feature(enable = "avx512f")]
fn four_steps(steps: &[[i8; 4]; 2]) -> [__m512i; 2] {
    let [even, odd] = *steps;
    [
        _mm512_set1_epi32(i32::from_ne_bytes(bytemuck::cast(even))),
        _mm512_set1_epi32(i32::from_ne_bytes(bytemuck::cast(odd))),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn keep(wide: [__m512i; 4], sums: &mut [i32; GROUP]) {
    for (wide, sums) in wide.into_iter().zip(sums.as_chunks_mut::<16>().0) {
        // SAFETY: the array is 64 writable bytes, and this store asks for no alignment.
        unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), wide) };
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn low_nibbles(bytes: __m512i) -> __m512i {
    _mm512_and_si512(bytes, _mm512_set1_epi8(15))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; LANES]) -> __m512i {
    // SAFETY: the array is 64 readable bytes, and this load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_signed(bytes: &[i8; LANES]) -> __m512i {
    // SAFETY: the array is 64 readable bytes, and this load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// The table four times: a shuffle looks up in each quarter of the vector separately.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_table(table: &[u8; 16]) -> __m512i {
    // SAFETY: the array is 16 readable bytes, and this load asks for no alignment.
    _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
}

/// Adds 16-bit numbers to the sums: those of `even` at even places, those of `odd` at odd places.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add_pairs(even: __m512i, odd: __m512i, sums: &mut [u32; GROUP]) {
    // Each quarter of the vectors has 16 numbers: the first eight go to `near`, the others to `far`.
    let (near, far) = (_mm512_unpacklo_epi16(even, odd), _mm512_unpackhi_epi16(even, odd));
    let first = _mm512_permutex2var_epi64(near, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), far);
    let last = _mm512_permutex2var_epi64(near, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), far);
    let (sixteens, _) = sums.as_chunks_mut::<16>();
    for (sums, half) in sixteens.chunks_mut(2).zip([first, last]) {
        for (sums, more) in sums.iter_mut().zip([_mm512_castsi512_si256(half), _mm512_extracti64x4_epi64::<1>(half)]) {
            let pointer = sums.as_mut_ptr().cast();
            let more = _mm512_cvtepu16_epi32(more);
            // SAFETY: the array is 64 readable and writable bytes, and neither asks for alignment.
            unsafe { _mm512_storeu_si512(pointer, _mm512_add_epi32(_mm512_loadu_si512(pointer), more)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A CPU uses only one of the two ways, so the tests of the table see only that one.
    #[test]
    fn both_ways_to_products_agree() {
        if !is_x86_feature_detected!("avx512bw") || !is_x86_feature_detected!("avx512vnni") {
            return;
        }
        for words in 0..20 {
            let codes: Vec<[u32; GROUP]> =
                (0..words).map(|w| std::array::from_fn(|i| ((w * 64 + i) as u32).wrapping_mul(0x9E37_79B9))).collect();
            let byte = |i: usize| (i.wrapping_mul(0x9E37_79B9) >> 13) as i8;
            let queries: Vec<[[i8; 4]; 2]> = (0..7 * words)
                .map(|q| std::array::from_fn(|odd| std::array::from_fn(|at| byte(8 * q + 4 * odd + at))))
                .collect();
            let (mut one, mut other) = ([[0; GROUP]; 7], [[0; GROUP]; 7]);
            // SAFETY: the CPU was checked above.
            unsafe {
                tiles(&codes, &queries, &mut one);
                tiles_vnni(&codes, &queries, &mut other);
            }
            assert_eq!(one, other, "{words} words");
        }
    }
}
