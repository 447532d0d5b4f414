//! Searches and texts that ask for more memory than there is: an error, where Rust's collections would end the process.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, unsafe_code)]

use fafcas::embed::{Places, configure};
use rusqlite::{Connection, ErrorCode, ffi, params};
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Refuses large pieces once too much is taken. Small ones are always there, as nothing helps a host that has none left.
/// SQLite's own memory is not counted.
struct Limited;
static NOW: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
static REFUSED: AtomicUsize = AtomicUsize::new(0);
/// What has a fixed size is smaller than this.
const LARGE: usize = 256 << 10;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

// SAFETY: every call goes to the system's allocator as it came, or gets no memory.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        if layout.size() >= LARGE && taken > LIMIT.load(Ordering::Relaxed) {
            NOW.fetch_sub(layout.size(), Ordering::Relaxed);
            REFUSED.fetch_add(1, Ordering::Relaxed);
            return null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// With so many bytes, beyond those that are taken already.
fn with_room<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    LIMIT.store(NOW.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
    let result = work();
    LIMIT.store(usize::MAX, Ordering::Relaxed);
    result
}

const ROWS: i64 = 12_000;
const QUERY: &str = "(SELECT v FROM t WHERE id = 7)";

/// What is asked for, and the function that has to say that it is too much. Each takes two megabytes at least.
const TOO_MUCH: [(&str, &str); 14] = [
    ("vec_topk", "SELECT count(*) FROM vec_topk('t', 'v', QUERY, 1000000000, '{\"index\": false}')"),
    ("vec_topk", "SELECT count(*) FROM vec_topk('t', 'v', QUERY, 1000000000, '{\"index\": \"i\"}')"),
    ("vec_topk", "SELECT count(*) FROM vec_topk('t', 'v', QUERY, 1000000000, '{\"index\": \"i\", \"exact\": true}')"),
    ("vec_topk", "SELECT count(*) FROM vec_topk('x', 'v', QUERY, 1000000000)"),
    ("vec_topk", "INSERT INTO sink SELECT rowid FROM vec_topk('t', 'v', QUERY)"),
    ("vec_topk", "SELECT count(*) FROM vec_topk('t', 'v', QUERY) WHERE rowid IN (SELECT id FROM numbers)"),
    ("vec_topk", "SELECT count(*) FROM vec_topk('t', 'v', QUERY) WHERE id IN (SELECT id FROM numbers)"),
    ("vec_topk", "SELECT count(*) FROM vec_topk('w', 'v', QUERY) WHERE id IN (SELECT 'k' || id FROM numbers)"),
    ("vec_topk", "SELECT count(*) FROM vec_topk('t', 'v', zeroblob(4000000), 1)"),
    ("vec_topk_many", "INSERT INTO sink SELECT rowid FROM vec_topk_many('t', 'v', 'q', 'v', 1000000)"),
    (
        "vec_topk_many",
        "INSERT INTO sink SELECT rowid FROM vec_topk_many('t', 'v', 'q', 'v', 9000, '{\"index\": \"i\"}')",
    ),
    (
        "vec_topk_many",
        "INSERT INTO sink SELECT rowid FROM vec_topk_many('t', 'v', 'q', 'v', 9000, '{\"index\": \"i\", \"exact\": true}')",
    ),
    ("vec_mmr", "SELECT count(*) FROM vec_mmr('t', 'v', QUERY, 1000000000, 0.5)"),
    ("vec_map", "SELECT count(*) FROM vec_map('x', 'v')"),
];

fn database() -> Connection {
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE TABLE q(id INTEGER PRIMARY KEY, v BLOB);
         CREATE TABLE w(id TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID; CREATE TABLE sink(x);
         CREATE TABLE numbers(id INTEGER PRIMARY KEY); CREATE VIEW x AS SELECT id || ' is its id' AS id, v FROM t",
    )
    .unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                INSERT INTO t SELECT i, fafcas_normalize(json_array(i % 13, i % 17, i % 19, 1 + i % 23)) FROM n";
    db.execute(fill, [ROWS]).unwrap();
    db.execute("INSERT INTO q SELECT id, v FROM t LIMIT 20", []).unwrap();
    db.execute("INSERT INTO w SELECT 'k' || id, v FROM t LIMIT 100", []).unwrap();
    db.execute("INSERT INTO numbers SELECT a.id * 12 + b.id FROM t AS a, (SELECT id FROM t LIMIT 12) AS b", [])
        .unwrap();
    db.execute_batch("CREATE VIRTUAL TABLE i USING vec_index(t, v)").unwrap();
    db
}

fn run(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&sql.replace("QUERY", QUERY))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// One test, because the allocator is that of the whole process.
#[test]
fn what_takes_too_much_memory_is_an_error_and_the_host_lives_on() {
    let db = database();
    let modest = "SELECT rowid, score FROM vec_topk('t', 'v', QUERY, 10, '{\"index\": \"i\"}')";
    for threads in [1, 2] {
        db.query_row("SELECT fafcas_config('threads', ?1)", [threads], |_| Ok(())).unwrap();
        for (function, sql) in TOO_MUCH {
            run(&db, modest).unwrap();
            let refused = REFUSED.load(Ordering::Relaxed);
            let error = with_room(256 << 10, || run(&db, sql)).expect_err(sql);
            assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OutOfMemory), "{sql}: {error}");
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("{function}: ")) && text.contains("expected memory for "),
                "{sql}: {text}"
            );
            assert!(REFUSED.load(Ordering::Relaxed) > refused, "{sql}: {text}");
            println!("{text}: {sql}");
            with_room(256 << 10, || run(&db, modest)).unwrap();
        }
    }
    first_uses();
    many_streams(&db);
    both_ways(&db);
    too_long_a_vector(&db);
    long_texts(&db);
    long_arguments(&db);
}

/// A table function is declared to SQLite when a connection first uses it, and so is an index, in memory of SQLite's own.
fn first_uses() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("first-uses-{}.db", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t(v) VALUES ('[1,0]');
                  CREATE VIRTUAL TABLE i USING vec_index(t, v)";
    Connection::open(&file).unwrap().execute_batch(schema).unwrap();
    for sql in [
        "SELECT value FROM vec_each('[1]')",
        "SELECT rowid FROM vec_topk('t', 'v', '[1,0]', 1)",
        "SELECT * FROM vec_stats",
        "SELECT * FROM vec_trace",
        "ALTER TABLE i RENAME TO j",
        "DROP TABLE j",
    ] {
        let mut refused = 0;
        for room in std::iter::successors(Some(0), |room| Some(room + 300 + room / 20)) {
            let db = Connection::open(&file).unwrap();
            db.query_row("SELECT count(*) FROM t", [], |_| Ok(())).unwrap();
            // SAFETY: both take numbers alone, and this process has one test.
            let outcome = unsafe {
                ffi::sqlite3_hard_heap_limit64(ffi::sqlite3_memory_used() + room);
                let outcome = run(&db, sql);
                ffi::sqlite3_hard_heap_limit64(0);
                ffi::sqlite3_soft_heap_limit64(0);
                outcome
            };
            let Err(error) = outcome else { break };
            refused += 1;
            assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OutOfMemory), "{sql}, {room}: {error}");
            assert!(!error.to_string().contains("bug"), "{sql}, {room}: {error}");
        }
        assert!(refused > 0, "{sql}");
        println!("{sql}: refused {refused} times");
    }
    std::fs::remove_file(&file).unwrap();
}

/// What a reader of many searches does not take is not found, and what it has taken is not kept.
fn many_streams(db: &Connection) {
    let sql = "SELECT query_id, rank FROM vec_topk_many('t', 'v', 't', 'v', 1000000) LIMIT 1";
    with_room(4 << 20, || run(db, sql)).unwrap();
    let sql = "SELECT count(*) FROM vec_topk_many('t', 'v', 'q', 'v', 1000000)";
    let all: i64 = with_room(128 << 20, || db.query_row(sql, [], |row| row.get(0))).unwrap();
    assert_eq!(all, 20 * ROWS);
}

/// A full text in which every row has the word, and more rows than the table has. With any room there is an answer or an error that says
/// that memory is short.
fn both_ways(db: &Connection) {
    db.execute_batch(
        "CREATE VIRTUAL TABLE every USING fts5(body, content=''); INSERT INTO every(rowid, body) SELECT id + 3000, 'word' FROM t;
         CREATE VIRTUAL TABLE pieces USING fts5(body, content='', tokenize='trigram');
         INSERT INTO pieces(rowid, body) SELECT id, 'letters' FROM t;
         CREATE TABLE half(id INTEGER PRIMARY KEY, v BLOB); INSERT INTO half SELECT id, iif(id < 6000, v, NULL) FROM t",
    )
    .unwrap();
    let calls = [
        "('t', 'v', 'every', NULL, 'word')",
        "('t', 'v', 'every', NULL, 'word', 10)",
        "('t', 'v', 'every', QUERY, 'word')",
        "('t', 'v', 'every', QUERY, 'word', 500)",
        "('t', 'v', 'every', QUERY, 'word', 1100)",
        "('t', 'v', 'every', QUERY, 'word') WHERE rowid > 5",
        "('t', 'v', 'every', QUERY, 'lettres', 500, '{\"fuzzy\": \"pieces\"}')",
        "('half', 'v', 'every', QUERY, 'word', 3000)",
    ];
    for call in calls {
        let sql = format!("SELECT count(*) FROM vec_hybrid{call}");
        let mut refused = 0;
        for room in (256 << 10..3 << 20).step_by(128 << 10) {
            let Err(error) = with_room(room, || run(db, &sql)) else { continue };
            assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OutOfMemory), "{room}, {sql}: {error}");
            let text = error.to_string();
            assert!(text.starts_with("vec_hybrid: ") && text.contains("expected memory for "), "{room}, {sql}: {text}");
            refused += 1;
        }
        println!("{refused} times too little: {sql}");
        assert!(refused > 0, "{sql}");
        with_room(64 << 20, || run(db, &sql)).unwrap();
    }
}

/// A JSON array is read no further than a vector may be long, but counted.
fn too_long_a_vector(db: &Connection) {
    let sql = "SELECT fafcas_normalize('[' || replace(hex(zeroblob(1000000)), '00', '1,') || '1]')";
    let error = with_room(1 << 20, || run(db, sql)).unwrap_err().to_string();
    assert_eq!(error, "fafcas_normalize: expected at most 65536 dimensions, not 1000001");
}

/// Texts of 300 KB, of which tokens, places to cut and chunks would take more than there is: full stops, each of which is a token,
/// sentences of one word, and lines.
fn long_texts(db: &Connection) {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/static");
    configure(Places { models: Some(models), runtime: None });
    db.execute_batch("CREATE TABLE texts(x TEXT)").unwrap();
    for part in [". ", "Ab. ", "a\n", "# a\n"] {
        let times = (300 << 10) / part.len();
        db.execute("INSERT INTO texts SELECT replace(hex(zeroblob(?1)), '00', ?2)", params![times as i64, part])
            .unwrap();
    }
    let words = [
        ("chunk", "SELECT count(*) FROM texts, chunk(texts.x, 64, 0, 'f32') WHERE texts.rowid = ?1"),
        ("embed", "SELECT length(embed(x, 'endless')) FROM texts WHERE rowid = ?1"),
        ("embed_tokens", "SELECT embed_tokens(x, 'endless') FROM texts WHERE rowid = ?1"),
    ];
    db.query_row("SELECT embed('a', 'f32'), embed('a', 'endless')", [], |_| Ok(())).unwrap();
    for (function, sql) in words {
        for row in 1..=4 {
            let searched = |room: usize| with_room(room, || db.query_row(sql, [row], |row| row.get::<_, i64>(0)));
            let error = searched(256 << 10).expect_err(sql);
            assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OutOfMemory), "{sql}: {error}");
            let text = error.to_string();
            assert!(text.starts_with(&format!("{function}: expected memory for ")), "{sql}: {text}");
            println!("{text}: {sql}");
            // Of what can be had, more and more is taken, and somewhere in between there is not enough.
            for room in [39 << 20, 40 << 20, 41 << 20, 43 << 20] {
                let Err(error) = searched(room) else { continue };
                assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OutOfMemory), "{sql}: {error}");
            }
        }
    }
    let sql = "SELECT count(*) FROM chunk((SELECT x FROM texts LIMIT 1), 64, 0, 'f32')";
    let chunks: i64 = with_room(2 << 30, || db.query_row(sql, [], |row| row.get(0))).unwrap();
    assert!(chunks > 1000, "{chunks}");
}

/// Options, names and words of 2 MB: with any room there is an answer or a plain error.
fn long_arguments(db: &Connection) {
    db.execute_batch(
        "CREATE TABLE page(id INTEGER PRIMARY KEY, body); INSERT INTO page SELECT id, 'row ' || id FROM t LIMIT 100;
         CREATE VIRTUAL TABLE words USING fts5(body, content='page', content_rowid='id');
         CREATE VIRTUAL TABLE parts USING fts5(body, content='page', content_rowid='id', tokenize='trigram');
         INSERT INTO words(words) VALUES ('rebuild'); INSERT INTO parts(parts) VALUES ('rebuild');
         CREATE TABLE wide AS SELECT replace(hex(zeroblob(1000000)), '00', '1,') AS numbers, hex(zeroblob(1000000)) AS letters",
    )
    .unwrap();
    let calls = [
        "vec_topk('t', 'v', QUERY, 1, '{\"a\": [' || (SELECT numbers FROM wide) || '1]}')",
        "vec_topk('t', 'v', QUERY, 1, '{\"key\": \"' || (SELECT letters FROM wide) || '\"}')",
        "vec_topk('t', 'v', QUERY, 1, '{\"a' || (SELECT replace(numbers, '1', '\":1,\"') FROM wide) || '\":1}')",
        "vec_topk((SELECT letters FROM wide), 'v', QUERY, 1)",
        "vec_topk('t', (SELECT letters FROM wide), QUERY, 1)",
        "vec_topk('t', 'v', (SELECT letters FROM wide), 1)",
        "fafcas_health('a' || (SELECT letters FROM wide), 'v')",
        "vec_hybrid('t', 'v', 'words', QUERY, (SELECT letters FROM wide), 3, '{\"fuzzy\": \"parts\"}')",
        "vec_hybrid('t', 'v', 'words', QUERY, (SELECT replace(numbers, ',', 'w ') FROM wide), 3, '{\"fuzzy\": \"parts\"}')",
    ];
    let mut refused = 0;
    for call in calls {
        for megabytes in [0, 2, 5, 9, 13, 18, 24, 32, 48, 64, 96, 128, 256] {
            let sql = format!("SELECT count(*) FROM {call}");
            let Err(error) = with_room(megabytes << 20, || run(db, &sql)) else { continue };
            assert!(!error.to_string().contains("this is a bug"), "{megabytes} MB, {call}: {error}");
            refused += usize::from(error.sqlite_error_code() == Some(ErrorCode::OutOfMemory));
        }
    }
    assert!(refused > calls.len(), "{refused}");
}
