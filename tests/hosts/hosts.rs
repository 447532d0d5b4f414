//! The built library in the programs that people load it into.
//!
//! Each host runs the golden SQL files, trusting and not. A host that is absent is skipped with a message, unless
//! `FAFCAS_REQUIRE_HOSTS=1`. `FAFCAS_PYTHON` names the Python that has `scripts/requirements.txt`; without it that
//! of `.venv` is taken.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::runner;
use crate::support::{
    absent, can_be_built, environment, is_alone, library, load, python_with, run_package, runs, scratch, succeed,
};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::path::Path;
use std::process::Command;

/// Settings of a connection that change what the library may do and what it finds.
const MODES: [&[&str]; 3] = [&[], &["--defensive", "--untrusted"], &["--defensive", "--untrusted", "--late"]];

/// The files set `threads` and the like, and read in `vec_stats` what was searched, for the whole process.
#[test]
fn bundled_sqlite() {
    if !is_alone("hosts::bundled_sqlite") {
        return;
    }
    let library = library();
    for late in [false, true] {
        for trusted in [false, true] {
            let open = |path: &Path| {
                let connection = Connection::open(path).unwrap();
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, trusted).unwrap();
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, !trusted).unwrap();
                if late {
                    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).unwrap();
                }
                load(&connection, &library).unwrap();
                connection
            };
            let host = runner::Host { open: &open, trusted };
            let failures = runner::run_folder(Path::new("tests/slt"), &scratch("hosts"), &host);
            assert!(failures.is_empty(), "late {late}, trusted {trusted}\n{}", failures.join("\n"));
        }
    }
}

#[test]
fn the_sqlite3_shell() {
    if !runs("sqlite3", "--version") {
        return absent("the sqlite3 shell");
    }
    for mode in MODES {
        golden_files(Path::new("python3"), "shell", mode);
    }
}

/// It cannot be made defensive from Python.
#[test]
fn debian_python() {
    let Some(python) = python_with("/usr/bin/python3", "sqlite3") else { return };
    for mode in [&[][..], &["--untrusted"], &["--late"]] {
        golden_files(&python, "sqlite3", mode);
    }
}

#[test]
fn apsw() {
    let Some(python) = python_with(&environment(), "apsw") else { return };
    for mode in MODES {
        golden_files(&python, "apsw", mode);
    }
}

/// Issue 15, item 6: without a model, `embed` says what to type where the library and the models lie.
#[test]
fn what_to_type_without_a_model() {
    let Some(python) = python_with(&environment(), "apsw") else { return };
    let (repository, folder) = (Path::new(env!("CARGO_MANIFEST_DIR")), scratch("without_a_model"));
    let alone = std::env::temp_dir().join(format!("fafcas-alone-{}", std::process::id()));
    std::fs::create_dir_all(&alone).unwrap();
    let copy = alone.join("fafcas.so");
    std::fs::copy(library(), &copy).unwrap();
    let said = |library: &Path, model: &str, variables: &[(&str, &Path)]| {
        let program = "import apsw, sys\nc = apsw.Connection('')\nc.enable_load_extension(True)\nc.load_extension(sys.argv[1])\n\
                       try: print(c.execute('SELECT embed(?, ?)', sys.argv[2:]).fetchall())\nexcept apsw.SQLError as e: print(e)";
        let mut command = Command::new(&python);
        command
            .args(["-c", program])
            .arg(library)
            .args(["a text", model])
            .env("HOME", &alone)
            .env_remove("FAFCAS_MODEL_DIR");
        command.env_remove("XDG_CACHE_HOME").envs(variables.iter().copied());
        succeed(&mut command).0
    };
    let in_clone = |models: &str| format!("{}/{models}", repository.display());
    let answer = said(&copy, "static-MiniLM", &[]);
    assert!(answer.contains("not none: type `fafcas model static-MiniLM`, a command that"), "{answer}");
    let answer = said(&copy, "mine", &[("FAFCAS_MODEL_DIR", &folder)]);
    assert!(answer.contains(&format!("a model mine in {}, not none: docs/models.md", folder.display())), "{answer}");
    let answer = said(&library(), "all-MiniLM-L6-v2", &[]);
    assert!(answer.contains(&format!("type `export FAFCAS_MODEL_DIR={}` and start", in_clone("models"))), "{answer}");
    let cached = folder.join("fafcas/models/static-MiniLM");
    std::fs::create_dir_all(&cached).unwrap();
    std::fs::write(cached.join("tokenizer.json"), "{}").unwrap();
    let answer = said(&copy, "static-MiniLM", &[("FAFCAS_MODEL_DIR", &alone), ("XDG_CACHE_HOME", &folder)]);
    assert!(answer.contains("type `unset FAFCAS_MODEL_DIR` and start again, as "), "{answer}");
    std::fs::remove_dir_all(&alone).unwrap();
}

#[test]
fn pysqlite3() {
    let Some(python) = python_with(&environment(), "pysqlite3") else { return };
    golden_files(&python, "pysqlite3", &[]);
}

#[test]
fn the_oldest_sqlite_that_is_taken() {
    host_package("tests/hosts/sqlite-3.38", &[]);
}

/// Nor does it need the library: it writes to an indexed table, and the index is right.
#[test]
fn an_older_sqlite_is_refused_and_writes_without() {
    let path = scratch("older-sqlite").join("test.db");
    let connection = Connection::open(&path).unwrap();
    load(&connection, &library()).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE nodes(id INTEGER PRIMARY KEY, v TEXT);
             INSERT INTO nodes(v) WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1500)
             SELECT json_array(x % 37, x % 11, x % 7, x / 100) FROM n;
             CREATE VIRTUAL TABLE nodes_vec USING vec_index(nodes, v)",
        )
        .unwrap();
    host_package("tests/hosts/sqlite-3.37", &[("FAFCAS_INDEXED", &path)]);
    let ask = |options: &str| -> Vec<(i64, f64)> {
        let sql = "SELECT rowid, score FROM vec_topk('nodes', 'v', '[1, 3, 5, -2]', 20, ?1)";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([options], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(ask(r#"{"index": "nodes_vec"}"#), ask(r#"{"index": false}"#));
    let merge = "INSERT INTO nodes_vec(nodes_vec) VALUES ('check'), ('merge'), ('check')";
    connection.execute_batch(merge).unwrap();
    assert_eq!(ask(r#"{"index": "nodes_vec"}"#), ask(r#"{"index": false}"#));
}

#[test]
fn a_second_sqlite_library_in_the_process_is_refused() {
    let Some(python) = python_with(&environment(), "apsw, pysqlite3") else { return };
    let library = library();
    println!("{}", succeed(Command::new(python).arg("tests/hosts/two_libraries.py").arg(library)).0);
}

/// Issue 17, 1: SQL for sqlite-vec gives the same values here, alone and with both in one process.
#[test]
fn sqlite_vec_beside_gives_the_same() {
    let Some(python) = python_with(&environment(), "apsw, sqlite_vec") else { return };
    println!("{}", succeed(Command::new(python).arg("tests/hosts/sqlite_vec_beside.py").arg(library())).0);
}

/// Issue 17, 6: the page for users of sqlite-vec, and the script that moves their tables.
#[test]
fn tables_of_sqlite_vec_are_moved() {
    let Some(python) = python_with(&environment(), "apsw, sqlite_vec") else { return };
    succeed(Command::new(python).arg("tests/hosts/from_sqlite_vec.py").arg(library()));
}

#[test]
fn sessions_and_databases_from_bytes() {
    let Some(python) = python_with(&environment(), "apsw; apsw.Session") else { return };
    succeed(Command::new(python).arg("tests/hosts/sessions.py").arg(library()));
}

/// Issue 12: what gets round the triggers of an index is noticed, or found by merges, as the script says of each.
#[test]
fn what_gets_round_triggers() {
    let Some(python) = python_with(&environment(), "apsw; apsw.Session") else { return };
    println!("{}", succeed(Command::new(python).arg("tests/hosts/freshness.py").arg(library())).0);
}

/// Issue 12: commands of an index are refused where the authorizer lets statements read NULL, or do nothing.
#[test]
fn an_authorizer_that_ignores_takes_nothing_from_an_index() {
    let Some(python) = python_with(&environment(), "apsw") else { return };
    println!("{}", succeed(Command::new(python).arg("tests/hosts/authorizers.py").arg(library())).0);
}

#[test]
fn it_loads_twice_into_a_connection_and_into_a_hundred() {
    let library = library();
    let connections: Vec<Connection> = (0..100).map(|_| Connection::open_in_memory().unwrap()).collect();
    for connection in connections.iter().chain(&connections[..3]) {
        load(connection, &library).unwrap();
    }
    let sql = "SELECT rowid FROM vec_topk('loaded', 'v', '[1,0]', 1)";
    for connection in &connections {
        connection.execute_batch("CREATE TABLE loaded(v); INSERT INTO loaded VALUES ('[0,1]'), ('[1,0]')").unwrap();
        assert_eq!(connection.query_row(sql, [], |row| row.get::<_, i64>(0)), Ok(2));
    }
    for connection in connections {
        connection.close().unwrap();
    }
    // Gone from every connection, it is still there for the next.
    load(&Connection::open_in_memory().unwrap(), &library).unwrap();
}

/// Some servers copy a library into a folder of their own, under a name of their own.
#[test]
fn it_loads_under_any_file_name() {
    let copy = scratch("any-name").join("renamed 1.so");
    std::fs::copy(library(), &copy).unwrap();
    let connection = Connection::open_in_memory().unwrap();
    load(&connection, &copy).unwrap();
    assert_eq!(connection.query_row("SELECT vec_dot('[1,2]', '[3,4]')", [], |row| row.get(0)), Ok(11.0));
}

#[test]
fn a_locked_process_keeps_its_settings() {
    if !runs("sqlite3", "--version") {
        return absent("the sqlite3 shell");
    }
    let load = format!(".load {}", library().display());
    let mut shell = Command::new("sqlite3");
    shell.env("FAFCAS_LOCK_CONFIG", "1").args(["-cmd", &load, ":memory:"]);
    let output =
        shell.arg("SELECT fafcas_config('cache_bytes'); SELECT fafcas_config('cache_bytes', 5);").output().unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.trim().parse::<u64>().is_ok_and(|bytes| bytes >= 4 << 20), "{said}");
    assert!(failed.contains("fafcas_config: ") && failed.contains("FAFCAS_LOCK_CONFIG"), "{failed}");
}

/// Issue 12, 7.
#[test]
fn a_process_that_trusts_its_files_lets_them_search() {
    if !runs("sqlite3", "--version") {
        return absent("the sqlite3 shell");
    }
    let load = format!(".load {}", library().display());
    let search = |allowed: &str| {
        let mut shell = Command::new("sqlite3");
        shell.env("FAFCAS_SCHEMA_SEARCH", allowed).args(["-cmd", &load, ":memory:"]);
        let output = shell
            .arg(
                "CREATE TABLE t(v); INSERT INTO t VALUES ('[1,0]'), ('[0,1]');
                 CREATE VIEW w AS SELECT rowid FROM vec_topk('t', 'v', '[0,1]', 1); SELECT * FROM w;",
            )
            .output()
            .unwrap();
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).trim().to_owned())
    };
    assert_eq!(search("1"), ["2", ""]);
    for other in ["0", "", "yes"] {
        let [found, refused] = search(other);
        assert!(found.is_empty() && refused.contains("unsafe use of virtual table"), "{other:?}: {refused}");
    }
}

/// Issue 12, 14: the shell makes a clone by statements on a connection that has no extension.
#[test]
fn a_clone_lacks_the_virtual_table_alone() {
    if !runs("sqlite3", "--version") {
        return absent("the sqlite3 shell");
    }
    let folder = scratch("clone");
    let (original, clone) = (folder.join("original.db"), folder.join("clone.db"));
    let db = Connection::open(&original).unwrap();
    load(&db, &library()).unwrap();
    db.execute_batch(
        "CREATE TABLE cloned(id INTEGER PRIMARY KEY, v BLOB);
         WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 3 FROM n WHERE i < 6000)
         INSERT INTO cloned SELECT i, fafcas_normalize(json_array(i % 7, i % 11, 1 + i % 13, i % 17)) FROM n;
         CREATE VIRTUAL TABLE i USING vec_index(cloned, v); UPDATE cloned SET v = '[0,0,0,2]' WHERE id = 33",
    )
    .unwrap();
    let found = |db: &Connection| -> String {
        let sql = "SELECT group_concat(rowid || ' ' || round(score, 5)) FROM vec_topk('cloned', 'v', '[0,0,0,1]', 9)";
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let path = |db: &Connection| {
        db.query_row("SELECT path FROM vec_stats WHERE source = 'main.cloned'", [], |row| row.get::<_, String>(0))
    };
    let expected = found(&db);

    let mut shell = Command::new("sqlite3");
    let output = shell.arg(&original).arg(format!(".clone {}", clone.display())).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("no such module: vec_index"));

    let db = Connection::open(&clone).unwrap();
    load(&db, &library()).unwrap();
    db.execute_batch("DELETE FROM vec_stats WHERE source = 'main.cloned'").unwrap();
    assert_eq!((found(&db), path(&db)), (expected.clone(), Ok("index".into())));
    db.execute_batch("CREATE VIRTUAL TABLE i USING vec_index(cloned, v); INSERT INTO i(i) VALUES ('check')").unwrap();
    assert_eq!((found(&db), path(&db)), (expected, Ok("index".into())));
}

/// A program of its own with an SQLite of its own. Once what it is made of is there, it must build and succeed.
fn host_package(folder: &str, files: &[(&str, &Path)]) {
    if !can_be_built(folder) {
        return absent(&format!("what {folder} depends on"));
    }
    let library = library();
    run_package(folder, &[&[("FAFCAS_LIBRARY", library.as_path())], files].concat());
}

/// The golden files by way of `run.py`.
fn golden_files(python: &Path, host: &str, mode: &[&str]) {
    let mut command = Command::new(python);
    command.args(["tests/slt/run.py", "--host", host, "--library"]).arg(library()).args(mode);
    println!("{}", succeed(&mut command).0);
}
