//! Kernels on codes, 32 bytes at a time.

use std::arch::x86_64::*;

use super::{
    AHEAD, GROUP, SMALL_SUMS_IN_16_BITS, SUMS_IN_8_BITS, SUMS_IN_16_BITS, same_length, scalar, shortest, tables_of_each,
};

const LANES: usize = 32;
/// How many words can be added in 16 bits: 4 words, each with two pairs of products of at most 15 times 128.
pub(super) const WORDS_IN_16_BITS: usize = 4;

codes!("avx2", codes!(@plain crc32c(before, bytes)));

#[target_feature(enable = "avx2")]
fn sum_u1(tables: &[[u8; 16]], codes: &[[u8; GROUP]], sums: &mut [u32; GROUP]) {
    *sums = [0; GROUP];
    let (pairs, _) = tables.as_chunks::<2>();
    for (pairs, codes) in pairs.chunks(SUMS_IN_16_BITS).zip(codes.chunks(SUMS_IN_16_BITS)) {
        // Each 16-bit number of `both` is the sum of two vectors, with the upper one in its upper byte and carries
        // running into it. `upper` is the sum of the upper vector alone.
        let mut both = [_mm256_setzero_si256(); 2];
        let mut upper = [_mm256_setzero_si256(); 2];
        for ([low_table, high_table], codes) in pairs.iter().zip(codes) {
            let (low_table, high_table) = (load_table(low_table), load_table(high_table));
            fetch_far(codes.as_ptr().wrapping_add(AHEAD));
            let (halves, _) = codes.as_chunks::<LANES>();
            for i in 0..2 {
                let code = load(&halves[i]);
                let low = _mm256_shuffle_epi8(low_table, low_nibbles(code));
                let high = _mm256_shuffle_epi8(high_table, low_nibbles(_mm256_srli_epi16::<4>(code)));
                let picked = _mm256_add_epi8(low, high);
                both[i] = _mm256_add_epi16(both[i], picked);
                upper[i] = _mm256_add_epi16(upper[i], _mm256_srli_epi16::<8>(picked));
            }
        }
        for (i, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let even = _mm256_sub_epi16(both[i], _mm256_slli_epi16::<8>(upper[i]));
            add_pairs(even, upper[i], sums);
        }
    }
}

#[target_feature(enable = "avx2")]
fn tile_u1(tables: &[[u8; 16]], groups: [&[[u8; GROUP]]; 2], sums: &mut [[[u32; GROUP]; 2]]) {
    for (group, codes) in groups.into_iter().enumerate() {
        let mut tables = tables_of_each(tables, groups);
        let (together, rest) = sums.as_chunks_mut::<2>();
        for sums in together {
            let mut next = || tables.next().unwrap_or_default();
            sum([next(), next()], codes, sums.each_mut().map(|sums| &mut sums[group]));
        }
        for (tables, sums) in tables.zip(rest) {
            sum([tables], codes, [&mut sums[group]]);
        }
    }
}

/// Some queries against one group. With two queries, the sums and the values that they need fill the registers.
#[inline]
#[target_feature(enable = "avx2")]
fn sum<const Q: usize>(tables: [&[[u8; 16]]; Q], codes: &[[u8; GROUP]], mut sums: [&mut [u32; GROUP]; Q]) {
    let bytes = shortest(tables, [codes]);
    let (tables, codes) = (tables.map(|tables| &tables[..2 * bytes]), &codes[..bytes]);
    sums.iter_mut().for_each(|sums| **sums = [0; GROUP]);
    for start in (0..bytes).step_by(SMALL_SUMS_IN_16_BITS) {
        // As in `sum_u1`, but four bytes are added in 8 bits first.
        let mut both = [[_mm256_setzero_si256(); 2]; Q];
        let mut upper = [[_mm256_setzero_si256(); 2]; Q];
        let end = bytes.min(start + SMALL_SUMS_IN_16_BITS);
        for start in (start..end).step_by(SUMS_IN_8_BITS) {
            let mut near = [[_mm256_setzero_si256(); 2]; Q];
            for at in start..end.min(start + SUMS_IN_8_BITS) {
                let (halves, _) = codes[at].as_chunks::<LANES>();
                for half in 0..2 {
                    let code = load(&halves[half]);
                    let (low, high) = (low_nibbles(code), low_nibbles(_mm256_srli_epi16::<4>(code)));
                    for query in 0..Q {
                        let [low_table, high_table] = [0, 1].map(|odd| load_table(&tables[query][2 * at + odd]));
                        let picked =
                            _mm256_add_epi8(_mm256_shuffle_epi8(low_table, low), _mm256_shuffle_epi8(high_table, high));
                        near[query][half] = _mm256_add_epi8(near[query][half], picked);
                    }
                }
            }
            for query in 0..Q {
                for half in 0..2 {
                    let near = near[query][half];
                    both[query][half] = _mm256_add_epi16(both[query][half], near);
                    upper[query][half] = _mm256_add_epi16(upper[query][half], _mm256_srli_epi16::<8>(near));
                }
            }
        }
        for query in 0..Q {
            for (half, sums) in sums[query].as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                let upper = upper[query][half];
                let even = _mm256_sub_epi16(both[query][half], _mm256_slli_epi16::<8>(upper));
                add_pairs(even, upper, sums);
            }
        }
    }
}

/// Adds 16-bit numbers to the sums: those of `even` at even places, those of `odd` at odd places.
#[inline]
#[target_feature(enable = "avx2")]
fn add_pairs(even: __m256i, odd: __m256i, sums: &mut [u32; LANES]) {
    for (pair, (even, odd)) in sums.as_chunks_mut::<2>().0.iter_mut().zip(words(even).into_iter().zip(words(odd))) {
        pair[0] += u32::from(even);
        pair[1] += u32::from(odd);
    }
}

#[target_feature(enable = "avx2")]
fn dot_u4(codes: &[u8], even: &[i8], odd: &[i8]) -> i32 {
    let (codes, even, odd) = same_length(codes, even, odd);
    let (codes, codes_rest) = codes.as_chunks::<LANES>();
    let (even, even_rest) = even.as_chunks::<LANES>();
    let (odd, odd_rest) = odd.as_chunks::<LANES>();
    let ones = _mm256_set1_epi16(1);
    let mut sum = _mm256_setzero_si256();
    for ((codes, even), odd) in codes.iter().zip(even).zip(odd) {
        let codes = load(codes);
        let low = _mm256_maddubs_epi16(low_nibbles(codes), load_signed(even));
        let high = _mm256_maddubs_epi16(low_nibbles(_mm256_srli_epi16::<4>(codes)), load_signed(odd));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_add_epi16(low, high), ones));
    }
    add_lanes(sum) + scalar::dot_u4(codes_rest, even_rest, odd_rest)
}

#[target_feature(enable = "avx2")]
fn tile_u4(codes: &[[u32; GROUP]], queries: &[[[i8; 4]; 2]], sums: &mut [[i32; GROUP]]) {
    sums.fill([0; GROUP]);
    let words = codes.len().max(1);
    for (queries, sums) in queries.chunks(2 * words).zip(sums.chunks_mut(2)) {
        match (queries.len() / words, sums) {
            (2, [first, second]) => tile([&queries[..words], &queries[words..]], codes, [first, second]),
            (1.., [first, ..]) => tile([&queries[..words]], codes, [first]),
            _ => {}
        }
    }
}

/// A few queries against one group, 16 of its vectors at a time.
#[inline]
#[target_feature(enable = "avx2")]
fn tile<const Q: usize>(queries: [&[[[i8; 4]; 2]]; Q], codes: &[[u32; GROUP]], mut sums: [&mut [i32; GROUP]; Q]) {
    let ones = _mm256_set1_epi16(1);
    for part in 0..GROUP / 16 {
        let mut wide = [[_mm256_setzero_si256(); 2]; Q];
        for (first, codes) in (0..).step_by(WORDS_IN_16_BITS).zip(codes.chunks(WORDS_IN_16_BITS)) {
            let mut near = [[_mm256_setzero_si256(); 2]; Q];
            for (word, code) in (first..).zip(codes) {
                for half in 0..2 {
                    let code = load(&bytemuck::cast_ref::<_, [[u8; LANES]; 8]>(code)[2 * part + half]);
                    let (low, high) = (low_nibbles(code), low_nibbles(_mm256_srli_epi16::<4>(code)));
                    for (near, query) in near.iter_mut().zip(&queries) {
                        let [even, odd] =
                            query[word].map(|steps| _mm256_set1_epi32(i32::from_ne_bytes(bytemuck::cast(steps))));
                        let products =
                            _mm256_add_epi16(_mm256_maddubs_epi16(low, even), _mm256_maddubs_epi16(high, odd));
                        near[half] = _mm256_add_epi16(near[half], products);
                    }
                }
            }
            for (wide, near) in wide.iter_mut().zip(near) {
                for half in 0..2 {
                    wide[half] = _mm256_add_epi32(wide[half], _mm256_madd_epi16(near[half], ones));
                }
            }
        }
        for (sums, wide) in sums.iter_mut().zip(wide) {
            for (half, wide) in wide.into_iter().enumerate() {
                let eight: &mut [i32; 8] = &mut sums.as_chunks_mut().0[2 * part + half];
                // SAFETY: the array is 32 writable bytes, and this store asks for no alignment.
                unsafe { _mm256_storeu_si256(eight.as_mut_ptr().cast(), wide) };
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn low_nibbles(bytes: __m256i) -> __m256i {
    _mm256_and_si256(bytes, _mm256_set1_epi8(15))
}

#[inline]
#[target_feature(enable = "avx2")]
fn add_lanes(v: __m256i) -> i32 {
    let four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
}

/// Three streams at once would be faster still, but a block has only a few hundred kilobytes and is read once.
#[target_feature(enable = "sse4.2")]
pub(super) fn crc32c(before: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let crc = words.iter().fold(u64::from(!before), |crc, word| _mm_crc32_u64(crc, u64::from_le_bytes(*word)));
    !rest.iter().fold(crc as u32, |crc, byte| _mm_crc32_u8(crc, *byte))
}

/// Prefetches a line into the second-level cache only. The first level can wait for only a few lines at a time, too few
/// to keep the memory busy.
#[inline]
pub(super) fn fetch_far(address: *const u8) {
    // SAFETY: as in `fetch_line`.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) };
}

#[inline]
pub(super) fn fetch_line(address: *const u8) {
    // SAFETY: a prefetch is a hint, which may point anywhere: it neither faults nor changes anything.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; LANES]) -> __m256i {
    // SAFETY: the array is 32 readable bytes, and this load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_signed(bytes: &[i8; LANES]) -> __m256i {
    // SAFETY: the array is 32 readable bytes, and this load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// The table twice: a shuffle looks up in each half of the vector separately.
#[inline]
#[target_feature(enable = "avx2")]
fn load_table(table: &[u8; 16]) -> __m256i {
    // SAFETY: the array is 16 readable bytes, and this load asks for no alignment.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn words(v: __m256i) -> [u16; 16] {
    let mut words = [0; 16];
    // SAFETY: the array is 32 writable bytes, and this store asks for no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), v) };
    words
}
