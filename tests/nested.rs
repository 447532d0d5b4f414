//! Views over searches of views over searches: so deep and no deeper, on a small stack too.

#![allow(clippy::unwrap_used, clippy::panic)]

use rusqlite::Connection;

/// Threads of some hosts have no more.
const STACK: usize = 256 << 10;

/// View `v0` is a table's rows; each other one searches the one before by this function.
fn chain(search: &str, levels: usize) -> Connection {
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); INSERT INTO t(v) VALUES (x'0000803f'), (x'00000040');
         CREATE TEMP VIEW v0 AS SELECT id AS rowid, id, v FROM t",
    )
    .unwrap();
    for level in 1..=levels {
        let (below, this) = (level - 1, level);
        let search = search.replace("BELOW", &format!("v{below}"));
        db.execute_batch(&format!("CREATE TEMP VIEW v{this} AS {search}")).unwrap();
    }
    db
}

const SEARCHES: [&str; 5] = [
    "SELECT m.rowid, m.id, t.v FROM vec_topk('BELOW', 'v', x'0000803f', 2) AS m JOIN t ON t.id = m.rowid",
    "SELECT m.rowid, m.id, t.v FROM vec_topk('BELOW', 'v', x'0000803f') AS m JOIN t ON t.id = m.rowid LIMIT 2",
    "SELECT m.rowid, m.id, t.v FROM vec_topk_many('BELOW', 'v', 't', 'v', 1) AS m JOIN t ON t.id = m.rowid",
    "SELECT m.rowid, m.id, t.v FROM vec_mmr('BELOW', 'v', x'0000803f', 2, 0.5) AS m JOIN t ON t.id = m.rowid",
    "SELECT m.rowid, m.rowid AS id, t.v FROM vec_map('BELOW', 'v') AS m JOIN t ON t.id = m.rowid",
];

/// How many rows a search of a view finds, on a small stack.
fn count(db: &mut Connection, level: usize) -> rusqlite::Result<i64> {
    let sql = format!("SELECT count(*) FROM vec_topk('v{level}', 'v', x'0000803f')");
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        thread.spawn_scoped(scope, move || db.query_row(&sql, [], |row| row.get(0))).unwrap().join().unwrap()
    })
}

/// Issue 12, 14.
#[test]
fn views_that_search_views_nest_so_deep_and_no_deeper() {
    for search in SEARCHES {
        let mut db = chain(search, 60);
        let mut ask = |level: usize| count(&mut db, level);
        assert_eq!(ask(7), Ok(2), "{search}");
        for level in [8, 9, 60] {
            let error = ask(level).unwrap_err().to_string();
            let deepest =
                format!(": expected searches at most 8 deep within each other, not one of v{} within 8", level - 8);
            assert!(error.starts_with("vec_topk: table v") && error.ends_with(&deepest), "{search}, {level}: {error}");
        }
    }
}

/// A table cannot search itself, whoever else is searching it.
#[test]
fn a_table_may_be_searched_beside_a_view_that_searches_it() {
    let db = chain(SEARCHES[0], 1);
    let sql = "SELECT count(*) FROM vec_topk('t, v1', 'v', x'0000803f')";
    assert_eq!(db.query_row(sql, [], |row| row.get(0)), Ok(4));
}
