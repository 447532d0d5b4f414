//! The index against a scan of the same vectors in memory, on one core and on all: recall, and time of each part.
//!
//! `cargo bench --bench index -- FILE DIMENSIONS` takes raw little-endian f32 from a file, the last 200 rows as queries.
//! Without a file it makes 100,000 vectors that behave a little like embeddings.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use fafcas::codec::Space;
use fafcas::error::Result;
use fafcas::index::{Builder, Index, Mean, Memory, Outcome, Request, Row, Rows, Stats};
use fafcas::kernels::{self, F32Le};
use fafcas::metric::{Metric, Scorer};
use fafcas::scan::{Range, Rules};
use rusqlite::Connection;
use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const QUERIES: usize = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let data = match arguments.as_slice() {
        [file, dimensions] => Data::read(file, dimensions.parse().unwrap()),
        _ => Data::made(100_000, 384),
    };
    let kernels = kernels::table();
    println!("{} vectors of {} dimensions, kernels {}", data.rows(), data.dimensions, kernels.name);

    let floats = best_of(5, || {
        let mut scores = vec![0.0; data.rows()];
        (kernels.dot_f32_rows)(data.query(0), data.base(), black_box(&mut scores));
    });
    println!("f32 scan in memory, 1 thread  {}", each(floats, data.rows()));

    let (mut store, index) = build(&data);
    for metric in [Metric::Dot, Metric::Cosine, Metric::L2] {
        recall(&data, &mut store, &index, metric);
    }
    let sqlite = table(&data);
    for threads in [1, 2] {
        let sweep = sweep_time(&data, &mut store, &index, threads);
        println!(
            "sweep over codes, {threads} threads     {}, {:.1} times as fast",
            each(sweep, data.rows()),
            floats.as_secs_f64() / sweep.as_secs_f64()
        );
        for limit in [10, 100] {
            let times = search_times(&data, &mut store, &index, &sqlite, limit, threads);
            let (median, worst) = (times[times.len() / 2], times[times.len() * 99 / 100]);
            println!(
                "search, k = {limit:3}, {threads} threads    p50 {median:?}, p99 {worst:?}, {:.1} times as fast",
                floats.as_secs_f64() / median.as_secs_f64()
            );
        }
    }
}

struct Data {
    dimensions: usize,
    floats: Vec<F32Le>,
}

impl Data {
    fn read(file: &str, dimensions: usize) -> Self {
        let bytes = std::fs::read(file).unwrap();
        Self { dimensions, floats: bytemuck::cast_slice(&bytes).to_vec() }
    }

    /// Loose clusters with a spectrum that falls off.
    fn made(rows: usize, dimensions: usize) -> Self {
        let mut state = 7u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut normal = move |at: usize| (0..4).map(|_| uniform()).sum::<f32>() / (1.0 + at as f32).powf(0.4);
        let centres: Vec<f32> = (0..1000 * dimensions).map(|i| normal(i % dimensions)).collect();
        let floats = (0..(rows + QUERIES) * dimensions)
            .map(|i| {
                let cluster = (i / dimensions).wrapping_mul(7919) % 1000;
                (centres[cluster * dimensions + i % dimensions] + normal(i % dimensions)).into()
            })
            .collect();
        Self { dimensions, floats }
    }

    fn rows(&self) -> usize {
        self.floats.len() / self.dimensions - QUERIES
    }

    fn base(&self) -> &[F32Le] {
        &self.floats[..self.rows() * self.dimensions]
    }

    fn row(&self, row: usize) -> &[F32Le] {
        &self.floats[row * self.dimensions..][..self.dimensions]
    }

    fn query(&self, number: usize) -> &[F32Le] {
        self.row(self.rows() + number)
    }
}

impl Rows for &Data {
    fn fetch(&mut self, rowid: i64) -> Result<Row<'_>> {
        Ok(Row::Vector(Cow::Borrowed(self.row(rowid as usize))))
    }

    fn describe(&self, rowid: i64) -> String {
        rowid.to_string()
    }
}

fn build(data: &Data) -> (Memory, Index) {
    let mut space_only = Duration::MAX;
    let space = Arc::new(Space::new(vec![0.0; data.dimensions], 1));
    let sample = data.rows().min(20_000);
    for _ in 0..3 {
        let start = Instant::now();
        let mut encoder = fafcas::codec::Encoder::new(&space);
        (0..sample).for_each(|row| encoder.encode(black_box(data.row(row))));
        space_only = space_only.min(start.elapsed());
    }
    println!("encoding, 1 thread            {:.0} vectors a second", sample as f64 / space_only.as_secs_f64());

    let start = Instant::now();
    let mut mean = Mean::default();
    (0..data.rows()).for_each(|row| mean.add(data.row(row)));
    let mut store = Memory::default();
    let mut builder = Builder::new(&mut store, 1, &mean, 7, fafcas::config::threads());
    (0..data.rows()).for_each(|row| builder.push(row as i64, data.row(row)).unwrap());
    let index = builder.finish().unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let bytes = |odd: i64| -> usize {
        store.blobs.iter().filter(|(id, _)| **id > 1 && **id % 2 == odd).map(|(_, blob)| blob.len()).sum()
    };
    let share = |bytes: usize| bytes as f64 / (4 * data.rows() * data.dimensions) as f64;
    println!(
        "building, {} threads           {:.0} vectors a second; codes {:.4} of the vectors, fine codes {:.4}",
        fafcas::config::threads(),
        data.rows() as f64 / seconds,
        share(bytes(0)),
        share(bytes(1))
    );
    (store, index)
}

fn find<R: Rows>(
    index: &Index,
    store: &mut Memory,
    rows: &mut R,
    scorer: &Scorer,
    limit: usize,
    threads: usize,
) -> (Vec<f64>, Stats) {
    let rules = Rules::default();
    let request = Request {
        scorer,
        limit,
        rules: &rules,
        source: 0,
        floor: None,
        accept: None,
        overlay: None,
        tail: None,
        threads,
    };
    let mut stats = Stats::default();
    match index.search(store, &request, rows, &mut stats).unwrap() {
        Outcome::Found(places) => (places.into_iter().map(|place| place.score).collect(), stats),
        _ => unreachable!("the index belongs to these rows"),
    }
}

fn recall(data: &Data, store: &mut Memory, index: &Index, metric: Metric) {
    let queries = QUERIES.min(4_000_000 / data.rows().max(1)).max(24);
    let mut found = [0usize; 2];
    let mut total = [Stats::default(); 2];
    for query in 0..queries {
        let scorer = Scorer::new(metric, data.query(query).to_vec()).unwrap();
        let mut scores: Vec<f64> = (0..data.rows()).map(|row| scorer.score(data.row(row)).unwrap()).collect();
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        for (i, limit) in [10, 100].into_iter().enumerate() {
            let (hits, stats) = find(index, store, &mut &*data, &scorer, limit, 1);
            found[i] += hits.iter().filter(|score| **score >= scores[limit - 1]).count();
            total[i].candidates += stats.candidates;
            total[i].looked += stats.looked;
            total[i].fetched += stats.fetched;
            total[i].sweeps += stats.sweeps;
        }
    }
    for (i, limit) in [10, 100].into_iter().enumerate() {
        let share = found[i] as f64 / (limit * queries) as f64;
        let mean = |sum: u64| sum as f64 / queries as f64;
        println!(
            "{metric:?}: recall@{limit} {share:.5}; a query: {:.0} candidates, {:.0} fine codes, {:.1} rows, {:.2} sweeps",
            mean(total[i].candidates),
            mean(total[i].looked),
            mean(total[i].fetched),
            mean(total[i].sweeps)
        );
        assert!(share >= 0.999, "recall is too low");
    }
}

/// A search whose least score no row has does nothing but sweep.
fn sweep_time(data: &Data, store: &mut Memory, index: &Index, threads: usize) -> Duration {
    let scorer = Scorer::new(Metric::Dot, data.query(0).to_vec()).unwrap();
    let rules = Rules { score: Range { min: Some((1e6, true)), max: None }, ..Rules::default() };
    let request = Request {
        scorer: &scorer,
        limit: 10,
        rules: &rules,
        source: 0,
        floor: None,
        accept: None,
        overlay: None,
        tail: None,
        threads,
    };
    best_of(20, || {
        let mut stats = Stats::default();
        black_box(index.search(store, &request, &mut &*data, &mut stats).is_ok());
        assert_eq!(stats.candidates, 0);
    })
}

/// A table of the vectors in SQLite, whose rows are what a search fetches.
fn table(data: &Data) -> Connection {
    let path = std::env::temp_dir().join("fafcas-bench-index.db");
    let _ = std::fs::remove_file(&path);
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode=off; PRAGMA synchronous=off; CREATE TABLE t(id INTEGER PRIMARY KEY, v); BEGIN",
    )
    .unwrap();
    let mut insert = db.prepare("INSERT INTO t VALUES (?, ?)").unwrap();
    for row in 0..data.rows() {
        let vector: &[u8] = bytemuck::cast_slice(data.row(row));
        insert.execute((row as i64, vector)).unwrap();
    }
    drop(insert);
    db.execute_batch("COMMIT").unwrap();
    std::fs::remove_file(&path).unwrap();
    db
}

struct Fetch<'a> {
    statement: rusqlite::Statement<'a>,
    vector: Vec<F32Le>,
}

impl Rows for Fetch<'_> {
    fn fetch(&mut self, rowid: i64) -> Result<Row<'_>> {
        let vector = &mut self.vector;
        vector.clear();
        self.statement
            .query_row([rowid], |row| {
                vector.extend_from_slice(bytemuck::cast_slice(row.get_ref(0)?.as_blob()?));
                Ok(())
            })
            .unwrap();
        Ok(Row::Vector(Cow::Borrowed(&self.vector)))
    }

    fn describe(&self, rowid: i64) -> String {
        rowid.to_string()
    }
}

fn search_times(
    data: &Data,
    store: &mut Memory,
    index: &Index,
    db: &Connection,
    limit: usize,
    threads: usize,
) -> Vec<Duration> {
    let statement = db.prepare("SELECT v FROM t WHERE id = ?").unwrap();
    let mut rows = Fetch { statement, vector: Vec::new() };
    db.execute_batch("BEGIN").unwrap();
    let mut times: Vec<Duration> = (0..QUERIES)
        .map(|query| {
            let scorer = Scorer::new(Metric::Dot, data.query(query).to_vec()).unwrap();
            let start = Instant::now();
            black_box(find(index, store, &mut rows, &scorer, limit, threads));
            start.elapsed()
        })
        .collect();
    db.execute_batch("COMMIT").unwrap();
    times.sort_unstable();
    times
}

fn best_of(rounds: usize, mut work: impl FnMut()) -> Duration {
    let mut time = || {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..rounds).map(|_| time()).min().unwrap_or_default()
}

fn each(total: Duration, count: usize) -> String {
    format!("{:.2} ms, {:.2} ns a vector", total.as_secs_f64() * 1e3, total.as_secs_f64() * 1e9 / count as f64)
}
