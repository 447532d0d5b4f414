//! How fast the kernels are: against the `simsimd` crate while the vectors are in cache, against a plain read of as
//! much memory when they are not. `FAFCAS_KERNELS` picks the table; simsimd always takes its own best.
//!
//! The plain read compares half the vectors with a copy of them: the C library does that as fast as memory comes, and
//! faster than a sum of the words as the compiler writes it.

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use fafcas::kernels::{self, F32Le, Table};
use simsimd::SpatialSimilarity;

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
