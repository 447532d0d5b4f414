//! What `embed` and `embed_rows` promise to programs that run other things beside them: several connections and threads,
//! interrupts, progress, and files they may not write. On the model that `make model` fetches.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::{absent, environment, library, models, python_with, scratch, succeed};
use rusqlite::{Connection, ErrorCode, OpenFlags, Result};
use std::path::Path;
use std::process::Command;

const CREATE: &str = "CREATE TABLE texts(id INTEGER PRIMARY KEY, body TEXT)";

fn open(path: impl AsRef<Path>) -> Connection {
    fafcas::register_auto_extension().unwrap();
    Connection::open(path).unwrap()
}

fn number(host: &Connection, sql: &str) -> i64 {
    host.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Fills the table with this many texts, none of them twice nor in another test.
fn fill(host: &Connection, test: &str, count: i64) {
    let sql = "INSERT INTO texts(body) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
               SELECT ?1 || ' ' || i FROM n";
    host.execute(sql, (test, count)).unwrap();
}

fn embedded(host: &Connection) -> Vec<(i64, Vec<u8>)> {
    let mut statement = host.prepare("SELECT rowid, embedding FROM embed_rows('texts', 'body') ORDER BY 1").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_>>().unwrap()
}

#[test]
fn connections_on_several_threads_get_the_same_vectors() {
    let path = scratch("embed_threads").join("test.db");
    let host = open(&path);
    host.execute_batch(CREATE).unwrap();
    fill(&host, "side by side", 40);
    let expected = embedded(&host);
    assert_eq!(expected.len(), 40);
    // In capitals, so that the cache does not know them, and the model sees the same.
    host.execute_batch("SELECT fafcas_config('embed_threads', 2); UPDATE texts SET body = upper(body)").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let own = open(&path);
                let near = "SELECT count(*) FROM embed_rows('texts', 'body') AS e JOIN texts AS t ON t.id = e.rowid
                            WHERE vec_dot(e.embedding, embed(lower(t.body))) > 0.99999";
                assert_eq!(number(&own, near), 40);
                own.close().unwrap();
            });
        }
    });
    assert_eq!(embedded(&host).len(), 40);
    host.execute_batch("SELECT fafcas_config('embed_threads', 1)").unwrap();
    host.close().unwrap();
}

/// Interrupted once a batch is done, and long before the last: 900 texts take seconds.
#[test]
fn an_interrupt_ends_embed_rows_between_batches() {
    let host = open(scratch("embed_interrupt").join("test.db"));
    host.execute_batch("CREATE TABLE interrupted(id INTEGER PRIMARY KEY, body TEXT)").unwrap();
    host.execute_batch(
        "INSERT INTO interrupted(body) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
         SELECT 'interrupted, and long enough to keep a model busy for a while ' || i FROM n;
         CREATE TABLE copies(id, embedding)",
    )
    .unwrap();
    let handle = host.get_interrupt_handle();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let watcher = open(":memory:");
            let running = "SELECT count(*) FROM vec_stats
                           WHERE source LIKE '%interrupted%' AND progress_done > 0 AND progress_total = 900";
            while number(&watcher, running) == 0 {
                std::thread::yield_now();
            }
            handle.interrupt();
        });
        let copy = "INSERT INTO copies SELECT rowid, embedding FROM embed_rows('interrupted', 'body')";
        let error = host.execute(copy, []).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OperationInterrupted), "{error}");
    });
    assert_eq!(number(&host, "SELECT count(*) FROM copies"), 0);
    let over = "SELECT progress_total FROM vec_stats WHERE source LIKE '%interrupted%'";
    assert_eq!(number(&host, over), 0);
    // SQLite notices an interrupt too, once it has a row: when all were embedded, since they are one window.
    let done = number(&host, "SELECT progress_done FROM vec_stats WHERE source LIKE '%interrupted%'");
    assert!((1..900).contains(&done), "{done} of 900 texts were embedded");
    assert_eq!(number(&host, "SELECT length(embed('after an interrupt'))"), 1536);
    host.close().unwrap();
}

/// Issue 12, item 11: `chunk` noticed nothing until it was done.
#[test]
fn an_interrupt_ends_chunk_in_the_middle() {
    let mut host = open(":memory:");
    // The first call loads the model, which is not to be interrupted.
    assert_eq!(number(&host, "SELECT count(*) FROM chunk('one two')"), 1);
    for text in ["replace(hex(zeroblob(1000000)), '00', 'word ')", "replace(hex(zeroblob(1000000)), '00', 'xyz')"] {
        let mut calls = 0;
        host.progress_handler(
            2000,
            Some(move || {
                calls += 1;
                calls > 5
            }),
        )
        .unwrap();
        let error = host.query_row(&format!("SELECT count(*) FROM chunk({text}, 3)"), [], |_| Ok(())).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OperationInterrupted), "{text}");
    }
    host.progress_handler(0, None::<fn() -> bool>).unwrap();
    assert_eq!(number(&host, "SELECT count(*) FROM chunk('one two')"), 1);
}

/// The first window is embedded when the first row is there; rows without a text are not counted.
#[test]
fn vec_stats_tells_how_far_it_is() {
    let host = open(":memory:");
    host.execute_batch("CREATE TABLE watched(id INTEGER PRIMARY KEY, body TEXT)").unwrap();
    let sql = "INSERT INTO watched WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2100)
               SELECT i, CASE WHEN i > 100 THEN 'the same' END FROM n";
    host.execute_batch(sql).unwrap();
    let progress = || {
        let sql = "SELECT progress_done, progress_total FROM vec_stats WHERE source LIKE '%watched%'";
        host.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).unwrap()
    };
    let mut statement = host.prepare("SELECT rowid FROM embed_rows('watched', 'body')").unwrap();
    let mut rows = statement.query([]).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().get(0), Ok(101));
    assert_eq!(progress(), (1024, 2000));
    for _ in 0..1024 {
        rows.next().unwrap().unwrap();
    }
    assert_eq!(progress(), (2000, 2000));
    drop(rows);
    drop(statement);
    assert_eq!(progress(), (2000, 0));
}

#[test]
fn a_select_writes_nothing() {
    let path = scratch("embed_read_only").join("test.db");
    let host = open(&path);
    host.execute_batch(CREATE).unwrap();
    fill(&host, "read only", 5);
    host.close().unwrap();
    let before = std::fs::read(&path).unwrap();
    let host = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    assert_eq!(embedded(&host).len(), 5);
    for sql in [
        "SELECT count(embed(body)) FROM texts",
        "SELECT count(*) FROM texts, chunk(texts.body)",
        "SELECT 5 * count(*) FROM fafcas_models WHERE name = 'all-MiniLM-L6-v2'",
    ] {
        assert_eq!(number(&host, sql), 5, "{sql}");
    }
    host.close().unwrap();
    assert!(std::fs::read(&path).unwrap() == before);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "files beside the database");
}

/// A constant query is embedded once in a statement, whatever the number of rows.
#[test]
fn a_constant_is_embedded_once() {
    let host = open(":memory:");
    host.execute_batch(CREATE).unwrap();
    fill(&host, "constant", 50);
    let looked_up =
        || number(&host, "SELECT rows_scanned FROM vec_stats WHERE source = 'embed' AND column_name LIKE '%v2'");
    let sql = "SELECT count(*) FROM texts WHERE length(embed('of this test alone')) = 1536";
    number(&host, "SELECT length(embed('warm'))");
    // Other tests of this process embed meanwhile: one quiet run will do.
    let once = (0..1000).any(|_| {
        let before = looked_up();
        assert_eq!(number(&host, sql), 50);
        looked_up() - before == 1
    });
    assert!(once);
}

// The bar

/// Run by the test below in a terminal of its own; by itself it shows that nothing is drawn elsewhere.
#[test]
fn embeds_for_a_bar() {
    let host = open(":memory:");
    host.execute_batch(CREATE).unwrap();
    fill(&host, "bar", 60);
    assert_eq!(embedded(&host).len(), 60);
}

#[test]
fn a_bar_is_drawn_on_a_terminal_for_who_asks() {
    let own = std::env::current_exe().unwrap();
    let child = format!("'{}' --exact embed_sql::embeds_for_a_bar --nocapture", own.display());
    let in_terminal = |wanted: &str| {
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &child, "/dev/null"]);
        command.env("FAFCAS_PROGRESS", wanted).env("TERM", "xterm").stdin(std::process::Stdio::null()).output()
    };
    let Ok(asked) = in_terminal("1") else { return absent("script, which gives a program a terminal") };
    let said = |output: std::process::Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let asked = said(asked);
    assert!(asked.contains("embedding") && asked.contains("/60"), "{asked}");
    let not_asked = said(in_terminal("0").unwrap());
    assert!(!not_asked.contains("embedding"), "{not_asked}");

    let mut piped = Command::new(own);
    piped.args(["--exact", "embed_sql::embeds_for_a_bar", "--nocapture"]).env("FAFCAS_PROGRESS", "1");
    let piped = said(piped.output().unwrap());
    assert!(piped.contains("1 passed") && !piped.contains("embedding"), "{piped}");
}

/// tests/embed/peers.py makes a BERT, an XLM-R with its offset of positions, and a decoder of which the last token counts, a model with
/// a matrix behind it, and a static model as sentence-transformers has it.
#[test]
fn small_models_have_the_vectors_that_python_makes() {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/peers");
    if !packages.exists() {
        return absent("onnxruntime and tokenizers of Python (`make .venv/peers`)");
    }
    let Some(python) = python_with(&environment(), "ctypes") else { return };
    let mut command = Command::new(python);
    command.arg("tests/embed/peers.py").arg(library()).arg(scratch("peers")).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("PYTHONPATH", &packages).env("FAFCAS_ONNXRUNTIME", models().join("libonnxruntime.so"));
    let (said, _) = succeed(&mut command);
    assert_eq!(said.lines().count(), 13, "{said}");
}
