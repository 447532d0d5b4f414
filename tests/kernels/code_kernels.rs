//! Every table of kernels gives on codes what the scalar one gives.

#![allow(clippy::unwrap_used)]

use fafcas::kernels::codes::{
    Bounds, CodeKernels, Factors, Formula, GROUP, LimitTerms, Limits, MAX_ENTRY, MAX_SMALL_ENTRY, Terms, Weights,
};
use fafcas::kernels::{self, F32Le};

const SEED: u64 = 0xC0DE5;

struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % end
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    fn float(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0
    }
}

fn others() -> impl Iterator<Item = (&'static str, &'static CodeKernels, &'static CodeKernels)> {
    let tables = kernels::tables();
    let scalar = *tables.last().unwrap();
    assert_eq!(scalar.name, "scalar");
    tables.into_iter().map(move |table| (table.name, &table.codes, &scalar.codes))
}

/// The meaning of `sum_u1`, vector by vector.
fn sum(tables: &[[u8; 16]], codes: &[[u8; GROUP]], vector: usize) -> u32 {
    let halves = codes.iter().flat_map(|bytes| [bytes[vector] & 15, bytes[vector] >> 4]);
    tables.iter().zip(halves).map(|(table, half)| u32::from(table[usize::from(half)])).sum()
}

#[test]
fn sums_are_the_same_to_the_last_bit() {
    let mut random = Random(SEED);
    for bytes in (0..40).chain([48, 96, 192, 255, 256, 257, 511, 513, 8192]) {
        for most in [0, 1, u32::from(MAX_ENTRY)] {
            let mut entry = |_| if most == 127 { 127 - random.below(2) as u8 } else { random.below(most + 1) as u8 };
            let tables: Vec<[u8; 16]> = (0..2 * bytes).map(|_| std::array::from_fn(&mut entry)).collect();
            let codes: Vec<[u8; GROUP]> = (0..bytes).map(|_| std::array::from_fn(|_| random.byte())).collect();
            for (name, table, _) in others() {
                let mut sums = [u32::MAX; GROUP];
                (table.sum_u1)(&tables, &codes, &mut sums);
                for (vector, got) in sums.into_iter().enumerate() {
                    assert_eq!(got, sum(&tables, &codes, vector), "{name}, {bytes} bytes, vector {vector}");
                }
            }
        }
    }
}

#[test]
fn tiles_of_queries_are_sums_one_by_one() {
    let mut random = Random(SEED);
    for bytes in (1..10).chain([48, 1025]) {
        let mut codes = || -> Vec<[u8; GROUP]> { (0..bytes).map(|_| std::array::from_fn(|_| random.byte())).collect() };
        let groups = [codes(), codes()];
        for queries in 0..11 {
            let mut entry = |_| MAX_SMALL_ENTRY - random.below(2) as u8;
            let tables: Vec<[u8; 16]> = (0..queries * 2 * bytes).map(|_| std::array::from_fn(&mut entry)).collect();
            for (name, table, scalar) in others() {
                let mut sums = vec![[[7; GROUP]; 2]; queries];
                (table.tile_u1)(&tables, [&groups[0], &groups[1]], &mut sums);
                for (query, sums) in sums.iter().enumerate() {
                    let tables = &tables[query * 2 * bytes..][..2 * bytes];
                    for (sums, codes) in sums.iter().zip(&groups) {
                        let mut expected = [0; GROUP];
                        (scalar.sum_u1)(tables, codes, &mut expected);
                        assert_eq!(*sums, expected, "{name}, {bytes} bytes, {query} of {queries}");
                    }
                }
            }
        }
    }
}

#[test]
fn products_of_nibbles_are_the_same_to_the_last_bit() {
    let mut random = Random(SEED);
    for length in (0..=130).chain([192, 767, 768, 32_768]) {
        for extreme in [false, true] {
            let mut signed = |_| if extreme { -128 } else { random.byte() as i8 };
            let even: Vec<i8> = (0..length).map(&mut signed).collect();
            let odd: Vec<i8> = (0..length).map(&mut signed).collect();
            let codes: Vec<u8> = (0..length).map(|_| if extreme { 255 } else { random.byte() }).collect();
            let product = |half: fn(u8) -> u8, steps: &[i8]| -> i64 {
                codes.iter().zip(steps).map(|(code, step)| i64::from(half(*code)) * i64::from(*step)).sum()
            };
            let expected = product(|code| code & 15, &even) + product(|code| code >> 4, &odd);
            for (name, table, _) in others() {
                assert_eq!(i64::from((table.dot_u4)(&codes, &even, &odd)), expected, "{name}, {length} bytes");
                let short = length / 2;
                let cut = (table.dot_u4)(&codes, &even[..short], &odd);
                assert_eq!(cut, (table.dot_u4)(&codes[..short], &even[..short], &odd[..short]), "{name}, {length}");
            }
        }
    }
}

/// In tiles of any number of queries, each product is that of [`CodeKernels::dot_u4`].
#[test]
fn tiles_of_queries_are_products_one_by_one() {
    let mut random = Random(SEED);
    for (words, extreme) in (0..20).chain([48, 96, 8192]).flat_map(|words| [(words, false), (words, true)]) {
        let mut word = || if extreme { u32::MAX } else { u32::from_le_bytes([(); 4].map(|()| random.byte())) };
        let codes: Vec<[u32; GROUP]> = (0..words).map(|_| std::array::from_fn(|_| word())).collect();
        let most = if words > 100 { 3 } else { 13 };
        for queries in 0..most {
            let mut step = || if extreme { -128 } else { random.byte() as i8 };
            let steps: Vec<[[i8; 4]; 2]> =
                (0..queries * words).map(|_| [(); 2].map(|()| [(); 4].map(|()| step()))).collect();
            let expected = |query: usize, vector: usize| {
                let steps = &steps[query * words..][..words];
                let half = |odd: usize| steps.iter().flat_map(|word| word[odd]).collect::<Vec<i8>>();
                let code: Vec<u8> = codes.iter().flat_map(|word| word[vector].to_le_bytes()).collect();
                let scalar = &kernels::tables().pop().unwrap().codes;
                (scalar.dot_u4)(&code, &half(0), &half(1))
            };
            for (name, table, _) in others() {
                let mut sums = vec![[7; GROUP]; queries];
                (table.tile_u4)(&codes, &steps, &mut sums);
                for (query, sums) in sums.iter().enumerate() {
                    for vector in [0, 1, 15, 16, 31, 32, 63] {
                        assert_eq!(
                            sums[vector],
                            expected(query, vector),
                            "{name}, {words} words, {query} of {queries}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn reaching_is_being_not_below() {
    let mut random = Random(SEED);
    for round in 0..200 {
        let mut floats = || std::array::from_fn(|_| random.float());
        let mut terms = Terms { unit: floats(), offset: floats(), scale: floats(), error: floats(), rest: floats() };
        terms.rest[round % GROUP] = [f32::NEG_INFINITY, f32::INFINITY, f32::NAN][round % 3];
        let [unit, offset, step, base, error] = floats()[..5].try_into().unwrap();
        let weights = Weights { unit, offset, step: step / 100.0, base, error };
        let sums: [u32; GROUP] = std::array::from_fn(|_| random.below(300));
        let threshold = [f32::NEG_INFINITY, -0.5, 0.5, 2.0, 100.0][round % 5];
        for (name, table, _) in others() {
            let bits = (table.reach)(&weights, &sums, &terms, threshold);
            for (at, sum) in sums.into_iter().enumerate() {
                let product = terms.scale[at] * (weights.step * sum as f32 + weights.base);
                let known = weights.unit * terms.unit[at] + weights.offset * terms.offset[at] + product;
                let bound = known + weights.error * terms.error[at] + terms.rest[at];
                let expected = !matches!(bound.partial_cmp(&threshold), Some(std::cmp::Ordering::Less));
                let is_near = (bound - threshold).abs() < 1e-5;
                assert!(is_near || (bits >> at & 1 == 1) == expected, "{name}, round {round}, vector {at}: {bound}");
            }
        }
    }
}

#[test]
fn limits_are_those_of_the_formula() {
    let mut random = Random(SEED);
    for round in 0..200 {
        let mut known = LimitTerms::default();
        let floats = |random: &mut Random| std::array::from_fn(|_| random.float().abs());
        known.scale = floats(&mut random);
        known.error = floats(&mut random);
        known.length = floats(&mut random);
        known.square = floats(&mut random);
        known.offset = std::array::from_fn(|_| random.float());
        known.inverse = floats(&mut random);
        known.doubt = floats(&mut random);
        known.offset[5] = f32::NEG_INFINITY;
        known.length[6] = f32::INFINITY;
        let limits = Limits {
            constant: random.float(),
            offset_weight: random.float(),
            square_weight: (round % 2) as f32,
            step: random.float() / 1e5,
            middle: random.below(20_000) as i32,
            reach: random.float().abs(),
            slack: random.float().abs(),
            square_slack: random.float().abs() * (round % 2) as f32,
            is_cosine: round % 3 == 0,
        };
        let sums: [i32; GROUP] = std::array::from_fn(|_| random.below(100_000) as i32);
        let exact = |i: usize| {
            let n = f64::from;
            let product = n(known.scale[i]) * n(limits.step) * f64::from(2 * sums[i] - limits.middle);
            let length = n(known.length[i]);
            let upper = n(limits.constant) + n(limits.offset_weight) * n(known.offset[i])
                - n(limits.square_weight) * n(known.square[i])
                + product
                + n(known.error[i]) * n(limits.reach)
                + length * (n(limits.slack) + length * n(limits.square_slack));
            if limits.is_cosine { upper * n(known.inverse[i]) + n(known.doubt[i]) } else { upper }
        };
        let threshold = random.float();
        for (name, table, _) in others() {
            let mut upper = [0.0; GROUP];
            let bits = (table.within)(&limits, &sums, &known, threshold, &mut upper);
            for i in (0..GROUP).filter(|i| ![5, 6].contains(i)) {
                assert!((f64::from(upper[i]) - exact(i)).abs() < 1e-5, "{name}, {i}: {} and {}", upper[i], exact(i));
                assert_eq!(bits >> i & 1 == 1, upper[i] >= threshold, "{name}, {i}");
            }
            assert_eq!(bits >> 5 & 3, 0b10, "{name}: there is no vector; nothing is known of one");
        }
    }
}

#[test]
fn checksums_are_those_of_the_standard() {
    let mut random = Random(SEED);
    let bytes: Vec<u8> = (0..3000).map(|_| random.byte()).collect();
    for (name, table, scalar) in others() {
        assert_eq!((table.crc32c)(0, b"123456789"), 0xE306_9283, "{name}: the check value of CRC-32C");
        assert_eq!((table.crc32c)(0, &[0; 32]), 0x8A91_36AA, "{name}: the example of RFC 3720");
        for length in (0..70).chain([1000, 2999, 3000]) {
            let whole = (scalar.crc32c)(0, &bytes[..length]);
            assert_eq!((table.crc32c)(0, &bytes[..length]), whole, "{name}, {length} bytes");
            let (start, rest) = bytes[..length].split_at(length / 3);
            assert_eq!((table.crc32c)((table.crc32c)(0, start), rest), whole, "{name}, {length} bytes in two parts");
        }
    }
}

/// The numbers of one vector, as the formula has them.
fn estimate(f: &Formula, sum: u32, [scale, error, offset]: [f64; 3]) -> (f64, f64) {
    let n = f64::from;
    let largest = n(f.dimensions) * scale * scale;
    let square = largest - error * error;
    let product = scale * (n(f.step) * f64::from(sum) + n(f.base));
    let doubt = n(f.chance) * error * error / square;
    let estimate = n(f.constant) + n(f.offset_weight) * offset - n(f.square_weight) * square + product / (1.0 + doubt);
    let variance = (error * n(f.spread)).powi(2) * (1.0 + doubt) - doubt * product * product;
    let size =
        n(f.constant_size) + (n(f.offset_weight) * offset).abs() + n(f.square_weight) * largest + scale * n(f.reach);
    let error = (variance.max(0.0) + (scale * n(f.rounding)).powi(2)).sqrt() / (1.0 + doubt) + n(f.slack) * size;
    let length = f.centre.map_or(1.0, |centre| (n(centre) + 2.0 * offset + square).sqrt());
    (estimate / length, error / length)
}

#[test]
fn estimates_are_those_of_the_formula() {
    let mut random = Random(SEED);
    for centre in [None, Some(0.5)] {
        for _ in 0..100 {
            let mut positive = |most: f32| random.float().abs() * most;
            let formula = Formula {
                dimensions: 384.0,
                constant: positive(1.0),
                constant_size: positive(1.0),
                offset_weight: positive(2.0) - 1.0,
                square_weight: positive(1.0),
                step: positive(1e-3),
                base: -positive(1.0),
                spread: positive(1.0),
                chance: positive(0.05),
                rounding: positive(0.1),
                reach: positive(1.0),
                slack: 1e-3,
                centre,
            };
            let factors: Vec<[f32; 3]> =
                (0..GROUP).map(|_| [0.03 + positive(0.1), 0.1 + positive(0.3), positive(0.2)]).collect();
            let column = |i: usize| std::array::from_fn(|vector: usize| F32Le::from(factors[vector][i]));
            let stored = Factors { scale: column(0), error: column(1), offset: column(2) };
            let sums = std::array::from_fn(|_| random.below(12_000));
            for (name, table, _) in others() {
                let mut bounds = Bounds::default();
                let all = (table.estimate)(&formula, &sums, &stored, f32::NEG_INFINITY, &mut bounds);
                assert_eq!(all, u64::MAX, "{name}");
                for vector in 0..GROUP {
                    let (estimate, error) = estimate(&formula, sums[vector], factors[vector].map(f64::from));
                    let got = (f64::from(bounds.estimate[vector]), f64::from(bounds.error[vector]));
                    // Sums of a handful of terms of at most 3, each with a few roundings; the root of a difference of
                    // such terms keeps half of the digits.
                    assert!((got.0 - estimate).abs() < 1e-5, "{name}: {} is not {estimate}", got.0);
                    let extra = if centre.is_some() { 1.0 / 4096.0 } else { 0.0 };
                    assert!((got.1 - error - extra).abs() < 1e-3, "{name}: {} is not {error}", got.1);
                }
                let threshold = bounds.estimate[7] + bounds.error[7];
                let reached = (table.estimate)(&formula, &sums, &stored, threshold, &mut bounds);
                for vector in 0..GROUP {
                    let reaches = bounds.estimate[vector] + bounds.error[vector] >= threshold;
                    assert_eq!(reached >> vector & 1 == 1, reaches, "{name}, vector {vector}");
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_told_passes_and_what_is_not_there_does_not() {
    let formula = Formula { dimensions: 8.0, spread: 1.0, chance: 0.1, offset_weight: 1.0, ..Formula::default() };
    let of = |number: f32| [F32Le::from(number); GROUP];
    let mut factors = Factors { scale: of(0.0), error: of(0.0), offset: of(0.0) };
    factors.error[3] = f32::INFINITY.into();
    factors.scale[4] = f32::NAN.into();
    factors.offset[5] = f32::NEG_INFINITY.into();
    factors.error[6] = f32::INFINITY.into();
    factors.offset[6] = f32::NEG_INFINITY.into();
    // A length of 0.01, made of numbers around 1.
    factors.offset[7] = (-0.49995).into();
    for (name, table, _) in others() {
        for (centre, unknown) in [(None, 0b1_1000), (Some(1.0), 0b1001_1000)] {
            let formula = Formula { centre, ..formula.clone() };
            let passing =
                |threshold| (table.estimate)(&formula, &[0; GROUP], &factors, threshold, &mut Bounds::default());
            assert_eq!(passing(1e30), unknown, "{name}");
            assert_eq!(passing(f32::NEG_INFINITY), !0b110_0000, "{name}");
        }
    }
}
