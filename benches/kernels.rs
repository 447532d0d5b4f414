//! How fast the kernels are: against the `simsimd` crate while the vectors are in cache, against a plain read of as
//! much memory when they are not. `FAFCAS_KERNELS` picks the table; simsimd always takes its own best.
//!
//! The plain read compares half the vectors with a copy of them: the C library does that as fast as memory comes, and
//! faster than a sum of the words as the compiler writes it.

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use fafcas::kernels::{self, F32Le, Table};
use half::{bf16, f16};
use simsimd::{BinarySimilarity, SpatialSimilarity};

const DIMENSIONS: [usize; 4] = [128, 384, 768, 1536];
/// Bytes of vectors that stay in the first and in the second level cache of any CPU with AVX2.
const POOLS: [(&str, usize); 2] = [("L1", 24 << 10), ("L2", 192 << 10)];
/// Bytes of vectors far beyond the last level cache.
const MEMORY: usize = 300_000_000;
/// How far vectors lie from a cache line's start, in bytes. Blobs lie anywhere.
const OFFSETS: [usize; 2] = [0, 4];

fn main() {
    let table = kernels::table();
    println!("kernels {}, best of many rounds, times in ns per vector\n", table.name);
    let mut random = Random(0x5EED);
    in_cache(table, &mut random);
    of_types(table, &mut random);
    in_memory(table, &mut random);
}

fn in_cache(table: &Table, random: &mut Random) {
    println!("pool offset dims metric      fafcas simsimd  ratio    rows");
    for (cache, bytes) in POOLS {
        for (offset, dimensions) in OFFSETS.into_iter().flat_map(|offset| DIMENSIONS.map(|d| (offset, d))) {
            let pool = Pool::new(dimensions, bytes, offset, random);
            let compare = |metric, pair, rows, theirs| {
                print!("{cache:4} {offset:>6} {dimensions:>4} ");
                pool.compare(metric, pair, rows, theirs);
            };
            compare("dot", table.dot_f32, table.dot_f32_rows, Some(f32::dot));
            compare("l2_squared", table.l2_squared_f32, table.l2_squared_f32_rows, Some(f32::l2sq));
            compare("l1", table.l1_f32, table.l1_f32_rows, None);
        }
    }
}

/// Sums over vectors of smaller types, beside those of simsimd and the dot product of f32, which none should be slower than.
fn of_types(table: &Table, random: &mut Random) {
    println!("\ntype offset dims sum        fafcas simsimd  ratio  of f32 dot");
    for (offset, dimensions) in OFFSETS.into_iter().flat_map(|offset| DIMENSIONS.map(|d| (offset, d))) {
        let floats = Pool::new(dimensions, POOLS[0].1, offset, random);
        let numbers: Vec<f32> = (0..floats.floats.get().len()).map(|_| random.float()).collect();
        let halves = Bytes::new(numbers.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()), dimensions * 2, offset);
        let upper = Bytes::new(numbers.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()), dimensions * 2, offset);
        let whole = Bytes::new(numbers.iter().map(|x| (x * 127.0) as i8 as u8), dimensions, offset);
        let bits = Bytes::new(numbers.iter().map(|x| (x * 127.0) as i8 as u8), dimensions / 8, offset);
        let f32_dot = |a, b| {
            (table.dot_f32)(bytemuck::cast_slice(floats.row(a)), bytemuck::cast_slice(floats.row(b)));
        };
        let of = |bytes: &Bytes, what: &str, ours: BytesSum<'_>, theirs: Option<BytesSum<'_>>| {
            print!("{:4} {offset:>6} {dimensions:>4} {:10} ", &what[..4], &what[4..]);
            bytes.compare(&floats.pairs, ours, theirs, &f32_dot);
        };
        let wide = Bytes::new(numbers.iter().flat_map(|x| x.to_le_bytes()), dimensions * 4, offset);
        let cosine = |a: &[u8], b: &[u8]| {
            let [product, a, b] = (table.products_f32)(bytemuck::cast_slice(a), bytemuck::cast_slice(b)).map(f64::from);
            1.0 - product / (a * b).sqrt()
        };
        of(&wide, "f32 cosine", &cosine, Some(&|a, b| wide_of(a, b, SpatialSimilarity::cosine)));
        let typed = &table.typed;
        of(
            &halves,
            "f16 dot",
            &|a, b| (typed.f16.dot)(a, b).into(),
            Some(&|a, b| halves_of(a, b, SpatialSimilarity::dot)),
        );
        of(
            &halves,
            "f16 l2_squared",
            &|a, b| (typed.f16.l2_squared)(a, b).into(),
            Some(&|a, b| halves_of(a, b, SpatialSimilarity::l2sq)),
        );
        of(&halves, "f16 l1", &|a, b| (typed.f16.l1)(a, b).into(), None);
        of(
            &upper,
            "bf16dot",
            &|a, b| (typed.bf16.dot)(a, b).into(),
            Some(&|a, b| upper_of(a, b, SpatialSimilarity::dot)),
        );
        of(
            &upper,
            "bf16l2_squared",
            &|a, b| (typed.bf16.l2_squared)(a, b).into(),
            Some(&|a, b| upper_of(a, b, SpatialSimilarity::l2sq)),
        );
        of(&upper, "bf16l1", &|a, b| (typed.bf16.l1)(a, b).into(), None);
        of(
            &whole,
            "int8dot",
            &|a, b| (typed.int8.dot)(a, b) as f64,
            Some(&|a, b| whole_of(a, b, SpatialSimilarity::dot)),
        );
        of(
            &whole,
            "int8l2_squared",
            &|a, b| (typed.int8.l2_squared)(a, b) as f64,
            Some(&|a, b| whole_of(a, b, SpatialSimilarity::l2sq)),
        );
        of(&whole, "int8l1", &|a, b| (typed.int8.l1)(a, b) as f64, None);
        of(
            &bits,
            "bit hamming",
            &|a, b| (table.hamming)(a, b).into(),
            Some(&|a, b| u8::hamming(a, b).unwrap_or(f64::NAN)),
        );
    }
}

type BytesSum<'a> = &'a dyn Fn(&[u8], &[u8]) -> f64;

fn halves_of(a: &[u8], b: &[u8], sum: fn(&[simsimd::f16], &[simsimd::f16]) -> Option<f64>) -> f64 {
    sum(cast(a), cast(b)).unwrap_or(f64::NAN)
}

fn wide_of(a: &[u8], b: &[u8], sum: fn(&[f32], &[f32]) -> Option<f64>) -> f64 {
    sum(bytemuck::cast_slice(a), bytemuck::cast_slice(b)).unwrap_or(f64::NAN)
}

fn upper_of(a: &[u8], b: &[u8], sum: fn(&[simsimd::bf16], &[simsimd::bf16]) -> Option<f64>) -> f64 {
    sum(cast(a), cast(b)).unwrap_or(f64::NAN)
}

fn whole_of(a: &[u8], b: &[u8], sum: fn(&[i8], &[i8]) -> Option<f64>) -> f64 {
    sum(bytemuck::cast_slice(a), bytemuck::cast_slice(b)).unwrap_or(f64::NAN)
}

/// Bytes as elements of two bytes each. All offsets are even.
#[allow(unsafe_code)]
fn cast<T: Copy>(bytes: &[u8]) -> &[T] {
    assert!(size_of::<T>() == 2 && bytes.as_ptr().cast::<T>().is_aligned());
    // SAFETY: both types of two bytes are a u16 in the same layout, for which any bits are right, and the address was checked.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / 2) }
}

/// Vectors of a smaller type, at a chosen distance from a cache line's start.
struct Bytes {
    memory: Vec<u8>,
    start: usize,
    each: usize,
}

impl Bytes {
    fn new(bytes: impl Iterator<Item = u8>, each: usize, offset: usize) -> Self {
        let bytes: Vec<u8> = bytes.collect();
        let mut memory: Vec<u8> = Vec::with_capacity(bytes.len() + 128);
        let start = memory.as_ptr().align_offset(64) + offset;
        memory.resize(start, 0);
        memory.extend(bytes);
        Self { memory, start, each }
    }

    fn row(&self, row: usize) -> &[u8] {
        &self.memory[self.start + row * self.each..][..self.each]
    }

    fn compare(
        &self,
        pairs: &[(usize, usize)],
        ours: BytesSum<'_>,
        theirs: Option<BytesSum<'_>>,
        f32_dot: &dyn Fn(usize, usize),
    ) {
        if let Some(theirs) = theirs {
            for &(a, b) in pairs {
                let (ours, theirs) = (ours(self.row(a), self.row(b)), theirs(self.row(a), self.row(b)));
                // simsimd adds products of bf16 with fewer digits.
                let bound = 1e-2 * (1.0 + self.each as f64).max(ours.abs());
                assert!((ours - theirs).abs() <= bound, "{ours} is not {theirs}");
            }
        }
        let time_of = |sum: BytesSum<'_>| {
            time(|| {
                for &(a, b) in pairs {
                    black_box(sum(self.row(a), self.row(b)));
                }
            })
        };
        let [mut t_ours, mut t_theirs, mut t_f32] = [Duration::MAX; 3];
        for _ in 0..200 {
            t_ours = t_ours.min(time_of(ours));
            t_theirs = theirs.map_or(t_theirs, |theirs| t_theirs.min(time_of(theirs)));
            t_f32 = t_f32.min(time(|| pairs.iter().for_each(|&(a, b)| f32_dot(a, b))));
        }
        let [ours, their_time, wide] = [t_ours, t_theirs, t_f32].map(|best| nanoseconds_each(best, pairs.len()));
        let (theirs, ratio) = match theirs {
            Some(_) => (format!("{their_time:.1}"), format!("{:.2}", ours / their_time)),
            None => ("-".into(), "-".into()),
        };
        println!("{ours:>7.1} {theirs:>7} {ratio:>6} {:>7.2}", ours / wide);
    }
}

/// Random floats at a chosen distance from a cache line's start.
struct Floats {
    memory: Vec<f32>,
    start: usize,
}

impl Floats {
    fn new(count: usize, offset: usize, random: &mut Random) -> Self {
        let mut memory: Vec<f32> = Vec::with_capacity(count + 32);
        let start = memory.as_ptr().align_offset(64) + offset / 4;
        memory.extend((0..start + count).map(|_| random.float()));
        Self { memory, start }
    }

    fn get(&self) -> &[f32] {
        &self.memory[self.start..]
    }
}

type Theirs = fn(&[f32], &[f32]) -> Option<f64>;

/// Vectors that stay in cache, and which of them to take in pairs.
struct Pool {
    dimensions: usize,
    floats: Floats,
    pairs: Vec<(usize, usize)>,
}

impl Pool {
    fn new(dimensions: usize, bytes: usize, offset: usize, random: &mut Random) -> Self {
        let rows = bytes / (4 * dimensions);
        let floats = Floats::new(rows * dimensions, offset, random);
        let pairs = (0..2048).map(|_| (random.below(rows), random.below(rows))).collect();
        Self { dimensions, floats, pairs }
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.floats.get()[row * self.dimensions..][..self.dimensions]
    }

    fn compare(&self, metric: &str, pair: kernels::PairKernel, rows: kernels::RowsKernel, theirs: Option<Theirs>) {
        let ours = |a, b| f64::from(pair(bytemuck::cast_slice(self.row(a)), bytemuck::cast_slice(self.row(b))));
        let theirs = theirs.map(|theirs| move |a, b| theirs(self.row(a), self.row(b)).unwrap_or(f64::NAN));
        if let Some(theirs) = &theirs {
            self.assert_same(ours, theirs);
        }
        let mut scores = vec![0.0; self.floats.get().len() / self.dimensions];
        let [mut t_ours, mut t_theirs, mut t_rows] = [Duration::MAX; 3];
        // Taken in turn, so that whatever else the machine does falls on all of them.
        for _ in 0..200 {
            t_ours = t_ours.min(self.time_pairs(ours));
            t_theirs = theirs.as_ref().map_or(t_theirs, |theirs| t_theirs.min(self.time_pairs(theirs)));
            t_rows = t_rows.min(time(|| {
                rows(
                    bytemuck::cast_slice(self.row(0)),
                    bytemuck::cast_slice(self.floats.get()),
                    black_box(&mut scores),
                );
            }));
        }
        let ours = nanoseconds_each(t_ours, self.pairs.len());
        let rows = nanoseconds_each(t_rows, scores.len());
        let (theirs, ratio) = match theirs {
            Some(_) => {
                let theirs = nanoseconds_each(t_theirs, self.pairs.len());
                (format!("{theirs:.1}"), format!("{:.2}", ours / theirs))
            }
            None => ("-".into(), "-".into()),
        };
        println!("{metric:10} {ours:>7.1} {theirs:>7} {ratio:>6} {rows:>7.1}");
    }

    fn assert_same(&self, ours: impl Fn(usize, usize) -> f64, theirs: impl Fn(usize, usize) -> f64) {
        for &(a, b) in &self.pairs {
            let (ours, theirs) = (ours(a, b), theirs(a, b));
            // Both add numbers of at most 4 in f32.
            let bound = 4.0 * (self.dimensions * self.dimensions) as f64 * f64::from(f32::EPSILON);
            assert!((ours - theirs).abs() <= bound, "{ours} is not {theirs}");
        }
    }

    fn time_pairs(&self, score: impl Fn(usize, usize) -> f64) -> Duration {
        time(|| {
            for &(a, b) in &self.pairs {
                black_box(score(a, b));
            }
        })
    }
}

fn in_memory(table: &Table, random: &mut Random) {
    println!("\noffset dims memory          ns   GB/s");
    for (offset, dimensions) in OFFSETS.into_iter().flat_map(|offset| DIMENSIONS.map(|d| (offset, d))) {
        let count = MEMORY / (4 * dimensions);
        let floats = Floats::new(count * dimensions, offset, random);
        for (what, best) in time_in_memory(table, dimensions, floats.get(), random) {
            let speed = size_of_val(floats.get()) as f64 / best.as_nanos() as f64;
            println!("{offset:>6} {dimensions:>4} {what:10} {:>7.1} {speed:>6.1}", nanoseconds_each(best, count));
        }
    }
}

fn time_in_memory(
    table: &Table,
    dimensions: usize,
    floats: &[f32],
    random: &mut Random,
) -> [(&'static str, Duration); 4] {
    let query = Floats::new(dimensions, 0, random);
    let (query, rows): (&[F32Le], &[F32Le]) = (bytemuck::cast_slice(query.get()), bytemuck::cast_slice(floats));
    let mut scores = vec![0.0; floats.len() / dimensions];
    (table.dot_f32_rows)(query, rows, &mut scores);
    for (row, score) in rows.chunks_exact(dimensions).zip(&scores) {
        assert_eq!(score.to_bits(), (table.dot_f32)(query, row).to_bits());
    }

    let bytes: &[u8] = bytemuck::cast_slice(floats);
    let copy = bytes[..bytes.len() / 2].to_vec();
    let mut best =
        [("read", Duration::MAX), ("dot", Duration::MAX), ("l2_squared", Duration::MAX), ("l1", Duration::MAX)];
    for _ in 0..8 {
        let times = [
            time(|| assert!(bytes[..copy.len()] == *black_box(&copy))),
            time(|| (table.dot_f32_rows)(query, rows, black_box(&mut scores))),
            time(|| (table.l2_squared_f32_rows)(query, rows, black_box(&mut scores))),
            time(|| (table.l1_f32_rows)(query, rows, black_box(&mut scores))),
        ];
        for ((_, best), time) in best.iter_mut().zip(times) {
            *best = time.min(*best);
        }
    }
    best
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn nanoseconds_each(total: Duration, count: usize) -> f64 {
    total.as_nanos() as f64 / count as f64
}

/// A small linear congruential generator: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    /// From -1 to 1.
    fn float(&mut self) -> f32 {
        self.next() as f32 / (1u32 << 30) as f32 - 1.0
    }
}
