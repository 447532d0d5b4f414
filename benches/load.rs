//! What it costs a connection to load the library: every connection of a pool pays it.
//!
//!     cargo build --release && cargo bench --bench load

#![allow(unsafe_code)]

use rusqlite::{Connection, LoadExtensionGuard};
use std::path::PathBuf;
use std::time::Instant;

const RUNS: usize = 200;

fn main() {
    let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("release").join("libfafcas");
    let mut times: Vec<f64> = (0..=RUNS).map(|_| load(&library)).collect();
    let first = times.remove(0);
    times.sort_by(f64::total_cmp);
    println!("first load in the process {first:.3} ms, further connections {:.3} ms (median)", times[RUNS / 2]);
}

/// Milliseconds to load the library into a new connection.
fn load(library: &PathBuf) -> f64 {
    let host = Connection::open_in_memory().unwrap();
    let start = Instant::now();
    // SAFETY: the library is this project's own.
    unsafe {
        let _guard = LoadExtensionGuard::new(&host).unwrap();
        host.load_extension(library, None::<&str>).unwrap();
    }
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    assert!(host.query_row("SELECT vec_dot('[2]', '[3]') = 6", [], |row| row.get::<_, bool>(0)).unwrap());
    milliseconds
}
