//! The index against a scan of the same vectors, in memory and in SQL: recall, size, and the time of each part.
//!
//! `cargo bench --bench index -- FILE DIMENSIONS` takes raw little-endian f32 from a file, the last 200 rows as queries.
//! Without a file it makes 100,000 vectors that behave a little like embeddings. `-- recall FILE DIMENSIONS` looks at recall
//! alone, and `-- sizes` compares index and scan through SQL for many sizes, dimensions and k. `record/index.md` has figures.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use fafcas::error::Result;
use fafcas::index::{Builder, FetchedRow, Index, Mean, MemoryStore, Outcome, Request, RowSource, Stats};
use fafcas::kernels::{self, F32Le};
use fafcas::parts::{Metric, Range, Rules, Scorer, Space};
use rusqlite::{Connection, Statement};
use std::borrow::Cow;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const QUERIES: usize = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let read = |file: &str, dimensions: &str| Data::read(file, dimensions.parse().unwrap());
    match arguments.as_slice() {
        ["sizes"] => sizes(),
        ["recall", file, dimensions] => recalls(&read(file, dimensions)),
        [file, dimensions] => speed(&read(file, dimensions)),
        _ => speed(&Data::made(100_000, 384)),
    }
}

fn recalls(data: &Data) {
    println!("{} vectors of {} dimensions", data.rows(), data.dimensions);
    let (mut store, index) = build(data);
    for metric in [Metric::Dot, Metric::Cosine, Metric::L2] {
        recall(data, &mut store, &index, metric);
    }
}

/// Every figure is a ratio to the first: the same vectors as plain f32 in memory, scored on one core.
fn speed(data: &Data) {
    let kernels = kernels::table();
    println!("{} vectors of {} dimensions, kernels {}", data.rows(), data.dimensions, kernels.name);
    let floats = in_memory(data, 1);
    println!("f32 in memory, 1 thread       {}", each(floats, data.rows()));
    let both = in_memory(data, 2);
    println!("f32 in memory, 2 threads      {}, {:.2} times as fast", each(both, data.rows()), ratio(floats, both));

    let (mut store, index) = build(data);
    // The limit for the bytes that a sweep reads, at the rate at which floats were read.
    let bytes = data.dimensions.div_ceil(8) + 12;
    let limit = floats.mul_f64(bytes as f64 / (4 * data.dimensions) as f64);
    let sweeps = [1, 2].map(|threads| sweep_time(data, &mut store, &index, threads));
    for (threads, sweep) in (1..).zip(sweeps) {
        println!(
            "codes in memory, {threads} threads    {}, {:.1} times as fast; {:.2} of the memory's limit on one core",
            each(sweep, data.rows()),
            ratio(floats, sweep),
            ratio(sweep, limit),
        );
    }
    println!("second thread                 {:.2} times as fast", ratio(sweeps[0], sweeps[1]));
    drop(store);
    in_sql(data, floats);
}

/// The fastest of some scans over the floats. Each thread scores its share of the rows.
fn in_memory(data: &Data, threads: usize) -> Duration {
    let kernels = kernels::table();
    let mut scores = vec![0.0; data.rows()];
    let share = data.rows().div_ceil(threads);
    best_of(7, || {
        std::thread::scope(|scope| {
            for (rows, scores) in data.base().chunks(share * data.dimensions).zip(scores.chunks_mut(share)) {
                let mut score = move || (kernels.dot_f32_rows)(data.query(0), rows, black_box(scores));
                if threads == 1 { score() } else { drop(scope.spawn(score)) }
            }
        });
    })
}

/// As a user has it: a table in a file, its index, and statements.
fn in_sql(data: &Data, floats: Duration) {
    fafcas::register_auto_extension().unwrap();
    let path = database("speed");
    let db = Connection::open(&path).unwrap();
    fill(&db, data, data.rows());
    configure(&db, 1);
    let start = Instant::now();
    db.execute_batch(CREATE).unwrap();
    let built = start.elapsed().as_secs_f64();
    println!("CREATE in SQL, 1 thread       {:.0} vectors a second", data.rows() as f64 / built);

    // Another connection of another process would read every block, once; so does this one under another name.
    let copy = path.with_extension("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    let reopened = Connection::open(&copy).unwrap();
    let start = Instant::now();
    let first = search_times(&mut search(&reopened), data, 10, 1);
    println!("first search after opening    {:.2} ms, opening included", start.elapsed().as_secs_f64() * 1e3);
    drop((first, reopened));
    std::fs::remove_file(&copy).unwrap();

    for threads in [1, 2] {
        configure(&db, threads);
        for limit in [10, 100] {
            search_times(&mut search(&db), data, limit, QUERIES);
            let times = search_times(&mut search(&db), data, limit, QUERIES);
            println!(
                "search, k = {limit:3}, {threads} threads    p50 {:.3} ms, p99 {:.3} ms, {:.1} times as fast",
                times[times.len() / 2].as_secs_f64() * 1e3,
                times[times.len() * 99 / 100].as_secs_f64() * 1e3,
                ratio(floats, times[times.len() / 2])
            );
        }
    }
    assert_eq!(path_taken(&db), "index");
    std::fs::remove_file(&path).unwrap();
}

/// An index must never make searches slower: what `sqlite::index_reader` leaves to the scan is settled by this table.
fn sizes() {
    fafcas::register_auto_extension().unwrap();
    println!("dims rows       k      scan us    with index us   ratio  path");
    for dimensions in [2, 3, 4, 8, 16, 17, 24, 32, 48, 64, 128, 384, 768, 1536] {
        let most = if matches!(dimensions, 3 | 16 | 64) { 1_000_000 } else { 60_000 };
        for rows in [100, 1000, 2000, 5000, 20_000, 60_000, 1_000_000].into_iter().filter(|rows| *rows <= most) {
            let data = Data::made(rows, dimensions);
            let db = Connection::open_in_memory().unwrap();
            fill(&db, &data, rows);
            db.execute_batch(CREATE).unwrap();
            for limit in [1, 10, 100, 1000].into_iter().filter(|limit| *limit < rows) {
                let queries = (200_000_000 / (rows * (dimensions + 200))).clamp(5, QUERIES);
                let [scan, index] = [&mut plain(&db), &mut search(&db)].map(|statement| {
                    search_times(statement, &data, limit, 3);
                    search_times(statement, &data, limit, queries)[queries / 2]
                });
                println!(
                    "{dimensions:4} {rows:8} {limit:5} {:11.1} {:12.1} {:9.2}  {}",
                    scan.as_secs_f64() * 1e6,
                    index.as_secs_f64() * 1e6,
                    ratio(scan, index),
                    path_taken(&db)
                );
            }
        }
    }
}

const CREATE: &str = "CREATE VIRTUAL TABLE t_vec USING vec_index(t, v)";

fn search(db: &Connection) -> Statement<'_> {
    db.prepare("SELECT rowid, score FROM vec_topk('t', 'v', ?1, ?2)").unwrap()
}

fn plain(db: &Connection) -> Statement<'_> {
    db.prepare("SELECT rowid, score FROM vec_topk('t', 'v', ?1, ?2, '{\"index\":false}')").unwrap()
}

/// Answers are kept, so each round asks anew: by queries of another length, which changes no order.
fn search_times(statement: &mut Statement<'_>, data: &Data, limit: usize, queries: usize) -> Vec<Duration> {
    static ROUND: AtomicU32 = AtomicU32::new(0);
    let length = 1.0 + ROUND.fetch_add(1, Ordering::Relaxed) as f32 / 4096.0;
    let mut time = |query: usize| {
        let query: Vec<F32Le> = data.query(query).iter().map(|x| (x.get() * length).into()).collect();
        let start = Instant::now();
        let mut rows = statement.query((bytemuck::cast_slice::<_, u8>(&query), limit as i64)).unwrap();
        while let Some(row) = rows.next().unwrap() {
            black_box(row.get::<_, f64>(1).unwrap());
        }
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..queries).map(&mut time).collect();
    times.sort_unstable();
    times
}

fn path_taken(db: &Connection) -> String {
    db.query_row("SELECT path FROM vec_stats WHERE source = 'main.t'", [], |row| row.get(0)).unwrap()
}

fn configure(db: &Connection, threads: i64) {
    db.query_row("SELECT fafcas_config('threads', ?1)", [threads], |_| Ok(())).unwrap();
}

fn database(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-index-{name}.db"));
    let _ = std::fs::remove_file(&path);
    path
}

fn fill(db: &Connection, data: &Data, rows: usize) {
    let schema = "PRAGMA page_size = 16384; CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); BEGIN";
    db.execute_batch(schema).unwrap();
    let mut insert = db.prepare("INSERT INTO t(v) VALUES (?1)").unwrap();
    for row in 0..rows {
        insert.execute([bytemuck::cast_slice::<_, u8>(data.row(row))]).unwrap();
    }
    drop(insert);
    db.execute_batch("COMMIT").unwrap();
}

fn threads() -> usize {
    fafcas::config::threads()
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
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

impl RowSource for &Data {
    fn fetch(&mut self, rowid: i64) -> Result<FetchedRow<'_>> {
        Ok(FetchedRow::Vector(Cow::Borrowed(self.row(rowid as usize))))
    }

    fn describe(&self, rowid: i64) -> String {
        rowid.to_string()
    }
}

fn build(data: &Data) -> (MemoryStore, Index) {
    let mut space_only = Duration::MAX;
    let space = Arc::new(Space::new(vec![0.0; data.dimensions], 1));
    let sample = data.rows().min(20_000);
    for _ in 0..3 {
        let start = Instant::now();
        let mut encoder = fafcas::parts::Encoder::new(&space);
        (0..sample).for_each(|row| encoder.encode(black_box(data.row(row))));
        space_only = space_only.min(start.elapsed());
    }
    println!("encoding, 1 thread            {:.0} vectors a second", sample as f64 / space_only.as_secs_f64());

    let start = Instant::now();
    let mut mean = Mean::default();
    (0..data.rows()).for_each(|row| mean.add(data.row(row)));
    let mut store = MemoryStore::default();
    let mut builder = Builder::new(&mut store, 1, &mean, 7, threads());
    (0..data.rows()).for_each(|row| builder.push(row as i64, data.row(row)).unwrap());
    let index = builder.finish().unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let bytes = |odd: i64| -> usize {
        store.blobs.iter().filter(|(id, _)| **id > 1 && **id % 2 == odd).map(|(_, blob)| blob.len()).sum()
    };
    let share = |bytes: usize| bytes as f64 / (4 * data.rows() * data.dimensions) as f64;
    println!(
        "building, {} threads           {:.0} vectors a second; codes {:.4} of the vectors, fine codes {:.4}",
        threads(),
        data.rows() as f64 / seconds,
        share(bytes(0)),
        share(bytes(1))
    );
    (store, index)
}

fn find<R: RowSource>(
    index: &Index,
    store: &mut MemoryStore,
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
        trial: None,
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

fn recall(data: &Data, store: &mut MemoryStore, index: &Index, metric: Metric) {
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
fn sweep_time(data: &Data, store: &mut MemoryStore, index: &Index, threads: usize) -> Duration {
    let scorer = Scorer::new(Metric::Dot, data.query(0).to_vec()).unwrap();
    let rules = Rules { score: Range { min: Some((1e6, true)), max: None }, ..Rules::default() };
    let request = Request {
        scorer: &scorer,
        limit: 10,
        rules: &rules,
        source: 0,
        floor: None,
        accept: None,
        trial: None,
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
