//! The vectors, the tables made of them, and how times are taken.

use rusqlite::{Connection, params};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const QUERIES: usize = 500;

pub struct Data {
    pub dimensions: usize,
    floats: Vec<f32>,
}

impl Data {
    pub fn read(file: &str, dimensions: usize) -> Self {
        let bytes = std::fs::read(file).unwrap();
        let floats = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Self { dimensions, floats }
    }

    /// Loose clusters with a spectrum that falls off, at unit length.
    pub fn made(rows: usize, dimensions: usize) -> Self {
        let mut state = 7u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut normal = move |at: usize| (0..4).map(|_| uniform()).sum::<f32>() / (1.0 + at as f32).powf(0.4);
        let centres: Vec<f32> = (0..1000 * dimensions).map(|i| normal(i % dimensions)).collect();
        let mut floats: Vec<f32> = (0..(rows + QUERIES) * dimensions)
            .map(|i| {
                centres[(i / dimensions).wrapping_mul(7919) % 1000 * dimensions + i % dimensions]
                    + normal(i % dimensions)
            })
            .collect();
        for row in floats.chunks_mut(dimensions) {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter_mut().for_each(|x| *x /= norm);
        }
        Self { dimensions, floats }
    }

    /// Rows that are not queries.
    pub fn rows(&self) -> usize {
        self.floats.len() / self.dimensions - QUERIES
    }

    pub fn queries(&self) -> usize {
        QUERIES
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.floats[row * self.dimensions..][..self.dimensions]
    }

    /// A row as it is stored.
    pub fn blob(&self, row: usize) -> Vec<u8> {
        self.row(row).iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    /// A query that was not asked before: their number is limited, but each time round they are a little longer.
    pub fn query(&self) -> Vec<u8> {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let number = ASKED.fetch_add(1, Ordering::Relaxed);
        let length = 1.0 + (number / QUERIES) as f32 / 1000.0;
        self.row(self.rows() + number % QUERIES).iter().flat_map(|x| (x * length).to_le_bytes()).collect()
    }
}

/// A new database file of this name, with the library.
pub fn database(name: &str) -> Connection {
    let path = path(name);
    for ending in ["", "-wal", "-shm", "-journal"] {
        let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
    }
    Connection::open(path).unwrap()
}

/// The same with all rows in a table `t`, which has no index yet.
pub fn table(name: &str, data: &Data) -> Connection {
    let db = database(name);
    db.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); BEGIN").unwrap();
    for row in 0..data.rows() {
        db.execute("INSERT INTO t VALUES (?1, ?2)", params![row as i64 + 1, data.blob(row)]).unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
    db
}

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("search-{name}.db"))
}

pub fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// The middle one.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

pub fn ratio(of: Duration, to: Duration) -> f64 {
    of.as_secs_f64() / to.as_secs_f64()
}
