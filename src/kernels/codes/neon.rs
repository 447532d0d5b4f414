//! Kernels on codes, 16 bytes at a time.

use std::arch::aarch64::*;

use super::{GROUP, SUMS_IN_16_BITS, same_length, scalar, tables_of_each};

const LANES: usize = 16;

// The instruction for the checksum is a feature of its own. Early 64-bit ARM CPUs do not have it.
codes!("neon", scalar::crc32c);

#[target_feature(enable = "neon")]
fn sum_u1(tables: &[[u8; 16]], codes: &[[u8; GROUP]], sums: &mut [u32; GROUP]) {
    *sums = [0; GROUP];
    let (pairs, _) = tables.as_chunks::<2>();
    for (pairs, codes) in pairs.chunks(SUMS_IN_16_BITS).zip(codes.chunks(SUMS_IN_16_BITS)) {
        let mut wide = [[vdupq_n_u16(0); 2]; GROUP / LANES];
        for ([low_table, high_table], codes) in pairs.iter().zip(codes) {
            let (low_table, high_table) = (load(low_table), load(high_table));
            for (wide, code) in wide.iter_mut().zip(codes.as_chunks::<LANES>().0) {
                let code = load(code);
                let low = vqtbl1q_u8(low_table, vandq_u8(code, vdupq_n_u8(15)));
                let high = vqtbl1q_u8(high_table, vshrq_n_u8::<4>(code));
                let picked = vaddq_u8(low, high);
                wide[0] = vaddw_u8(wide[0], vget_low_u8(picked));
                wide[1] = vaddw_high_u8(wide[1], picked);
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

#[target_feature(enable = "neon")]
fn tile_u1(tables: &[[u8; 16]], groups: [&[[u8; GROUP]]; 2], sums: &mut [[[u32; GROUP]; 2]]) {
    for (tables, sums) in tables_of_each(tables, groups).zip(sums) {
        let [first, second] = sums.each_mut();
        sum_u1(tables, groups[0], first);
        sum_u1(tables, groups[1], second);
    }
}

#[target_feature(enable = "neon")]
fn dot_u4(codes: &[u8], even: &[i8], odd: &[i8]) -> i32 {
    let (codes, even, odd) = same_length(codes, even, odd);
    let (codes, codes_rest) = codes.as_chunks::<LANES>();
    let (even, even_rest) = even.as_chunks::<LANES>();
    let (odd, odd_rest) = odd.as_chunks::<LANES>();
    let mut sum = vdupq_n_s32(0);
    for ((codes, even), odd) in codes.iter().zip(even).zip(odd) {
        let codes = load(codes);
        let low = vreinterpretq_s8_u8(vandq_u8(codes, vdupq_n_u8(15)));
        let high = vreinterpretq_s8_u8(vshrq_n_u8::<4>(codes));
        let (even, odd) = (load_signed(even), load_signed(odd));
        // Each sum has four products of at most 15 * 128, so it fits in 16 bits.
        let near = vmlal_s8(vmull_s8(vget_low_s8(low), vget_low_s8(even)), vget_low_s8(high), vget_low_s8(odd));
        let far = vmlal_high_s8(vmull_high_s8(low, even), high, odd);
        sum = vpadalq_s16(sum, vaddq_s16(near, far));
    }
    vaddvq_s32(sum) + scalar::dot_u4(codes_rest, even_rest, odd_rest)
}

#[target_feature(enable = "neon")]
fn tile_u4(codes: &[[u32; GROUP]], queries: &[[[i8; 4]; 2]], sums: &mut [[i32; GROUP]]) {
    scalar::tile_u4(codes, queries, sums);
}

/// Does nothing, as Rust has no stable name for this instruction. The CPU prefetches by itself.
#[inline]
fn fetch_line(_address: *const u8) {}

#[inline]
fn fetch_far(_address: *const u8) {}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; LANES]) -> uint8x16_t {
    // SAFETY: the array is 16 readable bytes, and a load of bytes asks for no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_signed(bytes: &[i8; LANES]) -> int8x16_t {
    // SAFETY: the array is 16 readable bytes, and a load of bytes asks for no alignment.
    unsafe { vld1q_s8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn words(v: uint16x8_t) -> [u16; 8] {
    let mut words = [0; 8];
    // SAFETY: the array is 16 writable bytes.
    unsafe { vst1q_u16(words.as_mut_ptr(), v) };
    words
}
