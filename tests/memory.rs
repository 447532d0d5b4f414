//! Memory grows with k, or with what the reader takes, and not with the rows that are searched.

#![allow(clippy::unwrap_used, clippy::panic, unsafe_code)]

use rusqlite::Connection;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that Rust code holds now, and at most since last asked. SQLite's own memory is none of ours.
struct Counted;
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// How often memory was asked for.
static CALLS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counted = Counted;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        MOST.fetch_max(NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

const ROWS: i64 = 20_000;

/// One test, as the counters see the whole process. The bounds are far from what is needed and further from what all
/// rows would take: their vectors alone are 5 MB, and a slot of a heap or a queue for each of them at least 300 kB.
#[test]
fn a_search_holds_what_it_returns_and_no_more() {
    fafcas::register_auto_extension().unwrap();
    let connection = Connection::open_in_memory().unwrap();
    let fill = "INSERT INTO nodes WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                SELECT i, i % 100, fafcas_normalize('[' || (i % 77) || replace(hex(zeroblob(63)), '00', ',1') || ']') FROM n";
    connection.execute_batch("CREATE TABLE nodes(id INTEGER PRIMARY KEY, kind, v BLOB)").unwrap();
    connection.execute(fill, [ROWS]).unwrap();

    let search = |arguments: &str, rest: &str| {
        let query = "(SELECT v FROM nodes WHERE id = 1)";
        let sql = format!(
            "SELECT count(*) FROM (SELECT t.rowid FROM vec_topk('nodes', 'v', {query}{arguments}) AS t {rest})"
        );
        growth(&connection, &sql)
    };
    let small = 64 << 10;
    assert!(search(", 10", "") < small, "k of 10");
    assert!(search(", 10", "ORDER BY t.score DESC") < small, "k of 10, ordered");
    assert!(search("", "ORDER BY t.score DESC LIMIT 10") < small, "the reader takes 10");
    assert!(search("", "LIMIT 10 OFFSET 10") < small, "the reader takes 20");
    assert!(search("", "WHERE t.score > 2 ORDER BY t.score DESC") < small, "no row is good enough");
    let filtered = "CROSS JOIN nodes AS n ON n.id = t.rowid WHERE n.kind = 5 LIMIT 5";
    // A batch of a join has up to 16,384 rows, so that one scan is enough, however many rows there are.
    assert!(search("", filtered) < 2 << 20, "the filter lets one in a hundred pass");
    let filtered = "CROSS JOIN nodes AS n ON n.id = t.rowid WHERE n.kind = 5 LIMIT 100";
    assert!(search("", filtered) < 4 << 20, "the filter lets one in a hundred pass, and a hundred are wanted");
    assert!(search(", 5000", "") < 2 << 20, "k of 5000");
    // A k beyond all rows costs no more than the rows.
    assert!(search(", 9223372036854775807", "") < 8 << 20, "k without bound");
    a_row_takes_no_memory_of_its_own(&connection);
}

/// Issue 17: distances between BLOBs, a query in JSON, and scans over small types.
fn a_row_takes_no_memory_of_its_own(connection: &Connection) {
    let small =
        "CREATE TABLE few AS SELECT v, vec_f16(v) AS f16, vec_bf16(v) AS bf16, vec_quantize_int8(v, 'unit') AS int8,
                 vec_quantize_binary(v) AS bit FROM nodes WHERE id <= 100;
                 CREATE TABLE many AS SELECT few.* FROM few, nodes WHERE nodes.id <= 50";
    connection.execute_batch(small).unwrap();
    let (blob, json) = ("(SELECT v FROM nodes WHERE id = 1)", format!("'[5{}]'", ",0.1".repeat(63)));
    let calls = |table: &str, what: &str| {
        let sql = what.replace("TABLE", table).replace("BLOB", blob).replace("JSON", &json);
        let mut statement = connection.prepare(&sql).unwrap();
        let before = CALLS.load(Ordering::Relaxed);
        statement.query_row([], |row| row.get::<_, f64>(0)).unwrap_or_else(|error| panic!("{sql}: {error}"));
        CALLS.load(Ordering::Relaxed) - before
    };
    let mut asked: Vec<String> = Vec::new();
    for name in ["vec_distance_cosine", "vec_distance_l2", "vec_distance_l1", "vec_dot"] {
        asked.push(format!("SELECT sum({name}(v, BLOB)) FROM TABLE"));
        asked.push(format!("SELECT sum({name}(v, JSON)) FROM TABLE"));
    }
    for element in ["f16", "bf16", "int8", "bit"] {
        let options = format!(r#"{{"type": "{element}"}}"#);
        asked.push(format!("SELECT sum(score) FROM vec_topk('TABLE', '{element}', JSON, 10, '{options}')"));
    }
    for what in asked {
        let (few, many) = (calls("few", &what), calls("many", &what));
        println!("{few} and {many} allocations: {what}");
        assert!(many <= few + 20, "{few} and {many} allocations: {what}");
    }
}

/// The most bytes held while the statement ran, beyond those held before.
fn growth(connection: &Connection, sql: &str) -> usize {
    let mut statement = connection.prepare(sql).unwrap();
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    statement.query_row([], |row| row.get::<_, i64>(0)).unwrap();
    let growth = MOST.load(Ordering::Relaxed) - before;
    println!("{growth:>9} bytes: {sql}");
    growth
}
