//! Every table of kernels this machine can run gives what the definition of its metric gives, on any length, at any
//! address, and reads nothing else.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::process::Command;

use fafcas::kernels::{self, F32Le, PairKernel, RowsKernel, Table};

const SEED: u64 = 0xFAFCA5;
/// Byte offsets from an aligned address: aligned, within a float, one float on, within a vector.
const OFFSETS: [usize; 6] = [0, 1, 2, 3, 4, 39];

struct Metric {
    name: &'static str,
    term: fn(f64, f64) -> f64,
    pair: fn(&Table) -> PairKernel,
    rows: fn(&Table) -> RowsKernel,
}

const METRICS: [Metric; 3] = [
    Metric { name: "dot", term: |a, b| a * b, pair: |table| table.dot_f32, rows: |table| table.dot_f32_rows },
    Metric {
        name: "l2_squared",
        term: |a, b| (a - b) * (a - b),
        pair: |table| table.l2_squared_f32,
        rows: |table| table.l2_squared_f32_rows,
    },
    Metric { name: "l1", term: |a, b| (a - b).abs(), pair: |table| table.l1_f32, rows: |table| table.l1_f32_rows },
];

impl Metric {
    fn terms<'a>(&self, a: &'a [f32], b: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        let term = self.term;
        a.iter().zip(b).map(move |(&a, &b)| term(f64::from(a), f64::from(b)))
    }
}

/// Calls `check` with every table and metric, and a name for messages.
fn each_kernel(check: impl Fn(&str, &Table, &Metric)) {
    for table in kernels::tables() {
        for metric in &METRICS {
            check(&format!("{} {}", table.name, metric.name), table, metric);
        }
    }
}

fn lengths() -> impl Iterator<Item = usize> {
    (0..=130).chain([255, 384, 1000, 1536, 4099, 65_535, 65_536])
}

/// Floats at a chosen distance from an aligned address, with NaN on both sides: a kernel that reads beyond its slice
/// gives NaN.
struct Placed {
    bytes: Vec<u64>,
    offset: usize,
    length: usize,
}

impl Placed {
    fn new(floats: &[f32], offset: usize) -> Self {
        let mut bytes = vec![u64::MAX; floats.len() / 2 + 24];
        let raw: &mut [u8] = bytemuck::cast_slice_mut(&mut bytes);
        raw[64 + offset..][..4 * floats.len()].copy_from_slice(bytemuck::cast_slice(floats));
        Self { bytes, offset, length: floats.len() }
    }

    fn get(&self) -> &[F32Le] {
        let raw: &[u8] = bytemuck::cast_slice(&self.bytes);
        bytemuck::cast_slice(&raw[64 + self.offset..][..4 * self.length])
    }
}

fn score(pair: PairKernel, a: &[f32], b: &[f32]) -> f32 {
    pair(bytemuck::cast_slice(a), bytemuck::cast_slice(b))
}

/// A linear congruential generator.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % end
    }

    fn whole(&mut self) -> f32 {
        self.below(17) as f32 - 8.0
    }

    fn unit(&mut self) -> f32 {
        self.below(1 << 24) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Of either sign and of any size whose square is still a float.
    fn wide(&mut self) -> f32 {
        self.unit() * 10.0f32.powi(self.below(32) as i32 - 16)
    }

    fn vector(&mut self, length: usize, draw: fn(&mut Self) -> f32) -> Vec<f32> {
        (0..length).map(|_| draw(self)).collect()
    }
}

#[test]
fn every_table_has_a_name_and_the_last_is_scalar() {
    let names: Vec<_> = kernels::tables().iter().map(|table| table.name).collect();
    println!("kernels here: {names:?}");
    assert!(names.iter().all(|name| ["avx512", "avx2", "neon", "scalar"].contains(name)), "{names:?}");
    assert_eq!(names.last(), Some(&"scalar"));
}

/// Sums of small whole numbers have no rounding in any order, so one element too many or too few shows at any length.
#[test]
fn whole_numbers_are_summed_exactly() {
    let mut random = Random(SEED);
    for length in lengths() {
        let (a, b) = (random.vector(length, Random::whole), random.vector(length, Random::whole));
        for (i, offset) in OFFSETS.into_iter().enumerate() {
            let placed_a = Placed::new(&a, offset);
            let placed_b = Placed::new(&b, OFFSETS[(i * 5 + 2) % OFFSETS.len()]);
            each_kernel(|name, table, metric| {
                let expected: f64 = metric.terms(&a, &b).sum();
                let got = (metric.pair)(table)(placed_a.get(), placed_b.get());
                assert_eq!(f64::from(got), expected, "{name}, length {length}, offset {offset}, seed {SEED}");
            });
        }
    }
}

#[test]
fn real_numbers_are_summed_within_rounding() {
    let mut random = Random(SEED);
    for (length, draw) in
        lengths().flat_map(|length| [(length, Random::unit as fn(&mut _) -> _), (length, Random::wide)])
    {
        let (a, b) = (random.vector(length, draw), random.vector(length, draw));
        each_kernel(|name, table, metric| {
            let expected: f64 = metric.terms(&a, &b).sum();
            let got = f64::from(score((metric.pair)(table), &a, &b));
            let bound = rounding(length, metric.terms(&a, &b).map(f64::abs).sum());
            let error = (got - expected).abs();
            assert!(error <= bound, "{name}, length {length}: {got} is {error} from {expected}, seed {SEED}");
        });
    }
}

/// The farthest a sum of n terms in f32 can be from the true one, whatever the order of the additions. A rounding
/// changes a number by at most half an epsilon of it. A term goes through three at most ((a-b)², whose subtraction
/// counts twice) and then through n-1 additions: (n+2)·epsilon/2 of the sum of all |terms|, and less than twice that
/// with the products of these small factors. A product near zero loses at most half the smallest subnormal besides.
fn rounding(length: usize, sum_of_sizes: f64) -> f64 {
    let n = length as f64;
    (n + 2.0) * f64::from(f32::EPSILON) * sum_of_sizes + n * f64::from(f32::from_bits(1))
}

#[test]
fn a_score_has_the_same_bits_in_a_block_and_at_any_address() {
    let mut random = Random(SEED);
    let dimensions = (0..=130).chain([384, 1000, 1537]);
    for (dimensions, offset) in dimensions.flat_map(|dimensions| OFFSETS.map(|offset| (dimensions, offset))) {
        let count = 1 + random.below(6) as usize;
        let query = random.vector(dimensions, Random::unit);
        let rows = random.vector(dimensions * count, Random::unit);
        let placed_query = Placed::new(&query, 0);
        let placed_rows = Placed::new(&rows, offset);
        each_kernel(|name, table, metric| {
            let mut scores = vec![f32::NAN; count];
            (metric.rows)(table)(placed_query.get(), placed_rows.get(), &mut scores);
            for (i, in_block) in scores.into_iter().enumerate() {
                let alone = score((metric.pair)(table), &query, &rows[i * dimensions..][..dimensions]);
                let place = format!("{dimensions} dimensions, row {i}, offset {offset}, seed {SEED}");
                assert_eq!(in_block.to_bits(), alone.to_bits(), "{name}, {place}");
            }
        });
    }
}

#[test]
fn the_products_of_a_cosine_have_the_bits_of_each_alone() {
    let mut random = Random(SEED);
    for (length, offset) in lengths().zip(OFFSETS.into_iter().cycle()) {
        let mut draw = || Placed::new(&random.vector(length, Random::unit), offset);
        let (a, b) = (draw(), draw());
        for table in kernels::tables() {
            let (a, b, dot) = (a.get(), b.get(), table.dot_f32);
            let expected = [dot(a, b), dot(a, a), dot(b, b)].map(f32::to_bits);
            let got = |a, b| (table.products_f32)(a, b).map(f32::to_bits);
            assert_eq!(got(a, b), expected, "{}, length {length}, seed {SEED}", table.name);
            if let Some((_, shorter)) = b.split_last() {
                let a_shorter = &a[..shorter.len()];
                assert_eq!(got(a, shorter), got(a_shorter, shorter), "{}, length {length}", table.name);
                assert_eq!(got(shorter, a), got(shorter, a_shorter), "{}, length {length}", table.name);
            }
        }
    }
}

#[test]
fn the_longer_vector_is_read_no_further_than_the_shorter() {
    let ones = vec![1.0; 140];
    each_kernel(|name, table, metric| {
        let pair = (metric.pair)(table);
        for (short, long) in [(0, 1), (1, 8), (7, 9), (15, 33), (16, 130), (40, 64), (65, 140), (128, 129)] {
            let mut b = vec![3.0; short];
            b.resize(long, f32::NAN);
            let expected = score(pair, &ones[..short], &b[..short]);
            assert_eq!(score(pair, &ones[..short], &b), expected, "{name}, {short} against {long}");
            assert_eq!(score(pair, &b, &ones[..short]), expected, "{name}, {long} against {short}");
        }
    });
}

#[test]
fn a_block_is_scored_as_far_as_rows_and_scores_reach() {
    let (query, rows) = (vec![1.0f32; 20], vec![2.0f32; 75]);
    each_kernel(|name, table, metric| {
        let expected = score((metric.pair)(table), &query, &rows[..20]);
        let block = |query: &[f32], rows: &[f32], count| {
            let mut scores = vec![-1.0; count];
            (metric.rows)(table)(bytemuck::cast_slice(query), bytemuck::cast_slice(rows), &mut scores);
            scores
        };
        assert_eq!(block(&query, &rows, 5), [expected, expected, expected, -1.0, -1.0], "{name}, too few rows");
        assert_eq!(block(&query, &rows, 2), [expected, expected], "{name}, too few scores");
        assert_eq!(block(&query, &rows, 0), [0.0; 0], "{name}, no scores");
        assert_eq!(block(&query, &[], 2), [-1.0, -1.0], "{name}, no rows");
        assert_eq!(block(&[], &rows, 2), [0.0, 0.0], "{name}, no dimensions");
    });
}

#[test]
fn extremes_give_what_scalar_gives() {
    let (tiny, huge) = (f32::from_bits(1), 1e38);
    let cases: [(&str, [f32; 2], [f32; 2]); 8] = [
        ("subnormals count", [tiny, tiny], [1.0, 1.0]),
        ("subnormals differ", [tiny, 0.0], [0.0, tiny]),
        ("subnormal times subnormal is zero", [tiny, -tiny], [tiny, tiny]),
        ("a normal product of a subnormal", [tiny, f32::MIN_POSITIVE], [huge, huge]),
        ("terms beyond the range", [huge, huge], [huge, huge]),
        ("terms beyond the range on both sides", [huge, -huge], [huge, huge]),
        ("differences beyond the range", [f32::MAX, -f32::MAX], [-f32::MAX, f32::MAX]),
        ("negative zero", [-0.0, 0.0], [0.0, -0.0]),
    ];
    let scalar = kernels::tables().pop().unwrap();
    for (case, a, b) in cases {
        for length in 1..=130 {
            let repeat = |pair: [f32; 2]| pair.into_iter().cycle().take(length).collect::<Vec<f32>>();
            let (a, b) = (repeat(a), repeat(b));
            each_kernel(|name, table, metric| {
                let got = score((metric.pair)(table), &a, &b);
                let expected = score((metric.pair)(scalar), &a, &b);
                let sizes = metric.terms(&a, &b).map(f64::abs).sum();
                let same = got == expected
                    || got.is_nan() && expected.is_nan()
                    || f64::from((got - expected).abs()) <= rounding(length, sizes);
                assert!(same, "{name}, {case}, length {length}: {got}, scalar {expected}");
            });
        }
    }
}

#[test]
fn overflow_is_infinite_and_subnormals_are_kept() {
    each_kernel(|name, table, metric| {
        let pair = (metric.pair)(table);
        for length in 2..=130 {
            let (up, down) = (vec![f32::MAX; length], vec![-f32::MAX; length]);
            let expected = if metric.name == "dot" { f32::NEG_INFINITY } else { f32::INFINITY };
            assert_eq!(score(pair, &up, &down), expected, "{name}, length {length}");
        }
    });
    for table in kernels::tables() {
        let tiny = vec![f32::from_bits(1); 100];
        assert_eq!(score(table.dot_f32, &tiny, &[1.0; 100]), f32::from_bits(100), "{}", table.name);
        assert_eq!(score(table.l1_f32, &tiny, &[0.0; 100]), f32::from_bits(100), "{}", table.name);
    }
}

#[test]
fn one_nan_anywhere_shows() {
    each_kernel(|name, table, metric| {
        for length in 1..=130 {
            for position in 0..length {
                let mut a = vec![0.5; length];
                a[position] = f32::NAN;
                let got = score((metric.pair)(table), &a, &vec![0.25; length]);
                assert!(got.is_nan(), "{name}, length {length}, NaN at {position}: {got}");
            }
        }
    });
}

#[test]
fn stored_floats_are_read_at_odd_addresses() {
    let bytes = [9, 0, 0, 0xC0, 0x3F, 0, 0, 0x20, 0xC0, 9];
    let floats: &[F32Le] = bytemuck::cast_slice(&bytes[1..9]);
    assert_eq!(floats.iter().map(|float| float.get()).collect::<Vec<_>>(), [1.5, -2.5]);
    assert_eq!(bytemuck::bytes_of(&F32Le::from(-2.5)), &bytes[5..9]);
    assert!(bytemuck::try_cast_slice::<u8, F32Le>(&bytes[1..8]).is_err(), "seven bytes are no floats");
}

/// Asks in a process of its own, since a process chooses once.
#[test]
fn the_environment_chooses_the_table() {
    let names: Vec<_> = kernels::tables().iter().map(|table| table.name).collect();
    let best = names[0];
    for (wanted, expected) in names.iter().map(|&name| (name, name)).chain([("sse9", best), ("", best), ("AVX2", best)])
    {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kernels::the_chosen_table_is_the_expected_one"])
            .env("FAFCAS_KERNELS", wanted)
            .env("EXPECTED_KERNELS", expected)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "asked for {wanted:?}: {said}");
    }
}

/// The other half of `the_environment_chooses_the_table`, and a check of the table in use when run with the rest.
#[test]
fn the_chosen_table_is_the_expected_one() {
    let chosen = kernels::table().name;
    match std::env::var("EXPECTED_KERNELS") {
        Ok(expected) => assert_eq!(chosen, expected),
        Err(_) => assert!(kernels::tables().iter().any(|table| table.name == chosen)),
    }
}

/// Every value of two bytes, and of one, at each address and each length.
#[test]
fn elements_are_widened_to_the_numbers_they_mean() {
    let pairs: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let f16: Vec<f32> = (0..=u16::MAX).map(|bits| half::f16::from_bits(bits).to_f32()).collect();
    let bf16: Vec<f32> = (0..=u16::MAX).map(|bits| half::bf16::from_bits(bits).to_f32()).collect();
    let int8: Vec<f32> = bytes.iter().map(|&byte| (f32::from(byte as i8) + 128.0) * (2.0 / 255.0) - 1.0).collect();
    for table in kernels::tables() {
        for (name, kernel, stored, expected) in [
            ("f16", table.widen_f16, &pairs, &f16),
            ("bf16", table.widen_bf16, &pairs, &bf16),
            ("int8", table.widen_int8, &bytes, &int8),
        ] {
            let size = stored.len() / expected.len();
            for length in (0..=70).chain([expected.len()]) {
                for skipped in [0, 1, 3] {
                    // The bytes begin at another address each time. Memory beyond the length stays as it was.
                    let placed = [&vec![0; skipped][..], &stored[..length * size]].concat();
                    let mut wide = vec![F32Le::from(7.5); length + 1];
                    kernel(&placed[skipped..], &mut wide);
                    let bits = |x: f32| if x.is_nan() { None } else { Some(x.to_bits()) };
                    let got: Vec<_> = wide[..length].iter().map(|x| bits(x.get())).collect();
                    let wanted: Vec<_> = expected[..length].iter().map(|x| bits(*x)).collect();
                    assert!(got == wanted, "{} {name}, {length} from {skipped}", table.name);
                    assert_eq!(wide[length].get(), 7.5, "{} {name}", table.name);
                }
            }
        }
    }
}

#[test]
fn differing_bits_are_counted() {
    let (a, b): (Vec<u8>, Vec<u8>) = (0..2000u32).map(|at| ((at * 37) as u8, (at * at * 11) as u8)).unzip();
    for table in kernels::tables() {
        for length in (0..200).chain([1999]) {
            for from in [0, 1, 5] {
                let (a, b) = (&a[from..length.max(from)], &b[from..length.max(from)]);
                let expected: u32 = a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum();
                assert_eq!((table.hamming)(a, b), expected, "{} {length} from {from}", table.name);
                assert_eq!((table.hamming)(a, &[b, &[0xff; 9]].concat()), expected, "{}", table.name);
            }
        }
    }
}
