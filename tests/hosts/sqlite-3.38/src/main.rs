//! The golden SQL files on SQLite 3.38, the oldest that fafcas takes, with the library named by `FAFCAS_LIBRARY`.

use rusqlite::config::DbConfig;
use rusqlite::Connection;
use std::path::{Path, PathBuf};

#[path = "../../../slt/runner.rs"]
mod runner;

fn main() {
    assert!(rusqlite::version().starts_with("3.38."), "this is SQLite {}", rusqlite::version());
    let library = PathBuf::from(std::env::var_os("FAFCAS_LIBRARY").expect("FAFCAS_LIBRARY names the library"));
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = std::env::temp_dir().join(format!("fafcas-{}", std::process::id()));
    let mut failures = Vec::new();
    for trusted in [true, false] {
        let open = |path: &Path| open(path, &library, trusted);
        let host = runner::Host { open: &open, trusted };
        failures.extend(runner::run_folder(&here.join("../../slt"), &scratch, &host));
    }
    let _ = std::fs::remove_dir_all(scratch);
    failures.iter().for_each(|failure| println!("{failure}"));
    assert!(failures.is_empty(), "{} failures", failures.len());
}

fn open(path: &Path, library: &Path, trusted: bool) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, trusted).unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, !trusted).unwrap();
    unsafe {
        connection.load_extension_enable().unwrap();
        connection.load_extension(library, None).unwrap();
    }
    connection
}
