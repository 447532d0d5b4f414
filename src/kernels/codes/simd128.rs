//! Kernels on codes, 16 bytes at a time.

#![allow(unused_unsafe, reason = "the macro calls kernels of every CPU, and those of WASM are safe to call")]

use std::arch::wasm32::*;

use super::{GROUP, SUMS_IN_16_BITS, same_length, scalar, tables_of_each};

const LANES: usize = 16;

// WASM has no instruction for the checksum.
codes!("simd128", scalar::crc32c);

#[target_feature(enable = "simd128")]
fn sum_u1(tables: &[[u8; 16]], codes: &[[u8; GROUP]], sums: &mut [u32; GROUP]) {
    *sums = [0; GROUP];
    let (pairs, _) = tables.as_chunks::<2>();
    for (pairs, codes) in pairs.chunks(SUMS_IN_16_BITS).zip(codes.chunks(SUMS_IN_16_BITS)) {
        let mut wide = [[u16x8_splat(0); 2]; GROUP / LANES];
        for ([low_table, high_table], codes) in pairs.iter().zip(codes) {
            let (low_table, high_table) = (load(low_table), load(high_table));
            for (wide, code) in wide.iter_mut().zip(codes.as_chunks::<LANES>().0) {
                let code = load(code);
                let low = u8x16_swizzle(low_table, v128_and(code, u8x16_splat(15)));
                let high = u8x16_swizzle(high_table, u8x16_shr(code, 4));
                let picked = u8x16_add(low, high);
                wide[0] = u16x8_add(wide[0], u16x8_extend_low_u8x16(picked));
                wide[1] = u16x8_add(wide[1], u16x8_extend_high_u8x16(picked));
            }
        }
        let (eights, _) = sums.as_chunks_mut::<8>();
        for (sums, wide) in eights.iter_mut().zip(wide.into_iter().flatten()) {
            for (sum, word) in sums.iter_mut().zip(words(wide)) {
                *sum += u32::from(word);
            }
        }
    }
}

#[target_feature(enable = "simd128")]
fn tile_u1(tables: &[[u8; 16]], groups: [&[[u8; GROUP]]; 2], sums: &mut [[[u32; GROUP]; 2]]) {
    for (tables, sums) in tables_of_each(tables, groups).zip(sums) {
        let [first, second] = sums.each_mut();
        sum_u1(tables, groups[0], first);
        sum_u1(tables, groups[1], second);
    }
}

#[target_feature(enable = "simd128")]
fn dot_u4(codes: &[u8], even: &[i8], odd: &[i8]) -> i32 {
    let (codes, even, odd) = same_length(codes, even, odd);
    let (codes, codes_rest) = codes.as_chunks::<LANES>();
    let (even, even_rest) = even.as_chunks::<LANES>();
    let (odd, odd_rest) = odd.as_chunks::<LANES>();
    let mut sum = i32x4_splat(0);
    for ((codes, even), odd) in codes.iter().zip(even).zip(odd) {
        let codes = load(codes);
        let (low, high) = (v128_and(codes, u8x16_splat(15)), u8x16_shr(codes, 4));
        let (even, odd) = (load_signed(even), load_signed(odd));
        // Each sum has four products of at most 15 * 128, so it fits in 16 bits.
        let near = i16x8_add(i16x8_extmul_low_i8x16(low, even), i16x8_extmul_low_i8x16(high, odd));
        let far = i16x8_add(i16x8_extmul_high_i8x16(low, even), i16x8_extmul_high_i8x16(high, odd));
        sum = i32x4_add(sum, i32x4_extadd_pairwise_i16x8(i16x8_add(near, far)));
    }
    total(sum) + scalar::dot_u4(codes_rest, even_rest, odd_rest)
}

#[target_feature(enable = "simd128")]
fn tile_u4(codes: &[[u32; GROUP]], queries: &[[[i8; 4]; 2]], sums: &mut [[i32; GROUP]]) {
    scalar::tile_u4(codes, queries, sums);
}

/// Does nothing, as WASM has no such instruction.
#[inline]
fn fetch_line(_address: *const u8) {}

#[inline]
fn fetch_far(_address: *const u8) {}

#[inline]
#[target_feature(enable = "simd128")]
fn total(v: v128) -> i32 {
    let near = i32x4_extract_lane::<0>(v) + i32x4_extract_lane::<1>(v);
    near + i32x4_extract_lane::<2>(v) + i32x4_extract_lane::<3>(v)
}

#[inline]
#[target_feature(enable = "simd128")]
fn load(bytes: &[u8; LANES]) -> v128 {
    // SAFETY: the array is 16 readable bytes, and a load asks for no alignment.
    unsafe { v128_load(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "simd128")]
fn load_signed(bytes: &[i8; LANES]) -> v128 {
    // SAFETY: the array is 16 readable bytes, and a load asks for no alignment.
    unsafe { v128_load(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "simd128")]
fn words(v: v128) -> [u16; 8] {
    let mut words = [0; 8];
    // SAFETY: the array is 16 writable bytes, and a store asks for no alignment.
    unsafe { v128_store(words.as_mut_ptr().cast(), v) };
    words
}
