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
    counted(db, &format!("SELECT count(*) FROM vec_topk('v{level}', 'v', x'0000803f')"))
}

/// The number that a statement gives, on a small stack.
fn counted(db: &mut Connection, sql: &str) -> rusqlite::Result<i64> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        thread.spawn_scoped(scope, move || db.query_row(sql, [], |row| row.get(0))).unwrap().join().unwrap()
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

/// One row with a vector, and a full text of it.
fn hybrid(view: &str) -> Connection {
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE TABLE n(id INTEGER PRIMARY KEY, e BLOB); INSERT INTO n VALUES(1, fafcas_normalize('[1,2]'));
         CREATE VIRTUAL TABLE d USING fts5(b); INSERT INTO d(rowid, b) VALUES(1, 'word wro rod')",
    )
    .unwrap();
    db.execute_batch(view).unwrap();
    db
}

const ITSELF: &str = "expected a source that does not search itself, not v searched from within itself";
const TOO_DEEP: &str = "expected searches at most 8 deep within each other, not one of '";

/// A view that searches itself, a search of it, and why that is refused.
const SELVES: [(&str, &str, &str); 5] = [
    (
        "CREATE TEMP VIEW v AS SELECT id AS rowid, e FROM n WHERE id IN (SELECT rowid FROM vec_hybrid('v', 'e', 'd', NULL, 'word'))",
        "vec_hybrid('v', 'e', 'd', NULL, 'word')",
        ITSELF,
    ),
    (
        "CREATE TEMP VIEW v AS SELECT id AS rowid, e FROM n WHERE id IN (SELECT rowid FROM vec_hybrid('v', 'e', 'd', '[1,2]', 'word', 1))",
        "vec_hybrid('v', 'e', 'd', '[1,2]', 'word', 1)",
        ITSELF,
    ),
    (
        "CREATE TEMP VIEW v AS SELECT d.rowid, d.d AS v FROM d, vec_hybrid('n', 'e', 'v', '[1,2]', 'word', 1)",
        "vec_hybrid('n', 'e', 'v', '[1,2]', 'word', 1)",
        TOO_DEEP,
    ),
    (
        "CREATE TEMP VIEW v AS SELECT d.rowid, d.d AS v FROM d, vec_hybrid('n', 'e', 'd', NULL, 'wrod', 1, '{\"fuzzy\": \"v\"}')",
        "vec_hybrid('n', 'e', 'd', NULL, 'wrod', 1, '{\"fuzzy\": \"v\"}')",
        TOO_DEEP,
    ),
    (
        "CREATE TEMP VIEW v AS SELECT id AS rowid, 'text' AS t FROM n WHERE id IN (SELECT rowid FROM embed_rows('v', 't'))",
        "embed_rows('v', 't')",
        ITSELF,
    ),
];

/// Issue 12.
#[test]
fn a_view_that_searches_itself_is_refused_whichever_way_it_does() {
    for (view, search, reason) in SELVES {
        let mut db = hybrid(view);
        let error = counted(&mut db, &format!("SELECT count(*) FROM {search}")).unwrap_err().to_string();
        assert!(error.contains(reason), "{search}: {error}");
    }
}

/// The ids of a view are looked up when the search of it has ended, and they may come from a search of the next view.
#[test]
fn views_over_searches_by_words_nest_so_deep_and_no_deeper() {
    let mut db = hybrid("CREATE TEMP VIEW v0 AS SELECT id AS rowid, id, e FROM n");
    for level in 1..=60 {
        let below = level - 1;
        db.execute_batch(&format!(
            "CREATE TEMP VIEW v{level} AS
             SELECT h.rowid, h.id, n.e FROM vec_hybrid('v{below}', 'e', 'd', NULL, 'word') AS h JOIN n ON n.id = h.rowid"
        ))
        .unwrap();
    }
    let mut ask =
        |level: usize| counted(&mut db, &format!("SELECT id FROM vec_hybrid('v{level}', 'e', 'd', NULL, 'word')"));
    assert_eq!(ask(7), Ok(1));
    for level in [8, 60] {
        let error = ask(level).unwrap_err().to_string();
        assert!(error.contains("expected searches at most 8 deep within each other, not one of "), "{level}: {error}");
    }
}
