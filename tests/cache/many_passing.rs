//! `vec_topk_many` with more queries than sweep together, and blocks that do not fit in the cache.

#![allow(clippy::unwrap_used)]

use crate::support::{Random, blob, library, load};
use rusqlite::Connection;
use std::collections::HashSet;

#[test]
fn portions_and_passing_blocks_answer_like_scans() {
    let _alone = crate::alone();
    let db = Connection::open_in_memory().unwrap();
    load(&db, &library()).unwrap();
    db.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); BEGIN").unwrap();
    let mut random = Random(5);
    for row in 0..2000 {
        // Some cannot be searched for by codes.
        let scale = if row % 7 == 0 { 0.0 } else { 1.0 };
        let vector: Vec<f32> = (0..24).map(|_| scale * random.real() as f32).collect();
        db.execute("INSERT INTO t(v) VALUES (?1)", [blob(&vector)]).unwrap();
    }
    db.execute_batch("COMMIT; CREATE VIRTUAL TABLE i USING vec_index(t, v)").unwrap();
    let ask = |options: &str| -> Vec<(i64, i64, u64)> {
        let sql = "SELECT query_rowid, rowid, score FROM vec_topk_many('t', 'v', 't', 'v', 5, ?1)";
        let mut statement = db.prepare(sql).unwrap();
        let hit = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, f64>(2)?.to_bits()));
        statement.query_map([options], hit).unwrap().map(Result::unwrap).collect()
    };
    let scan = ask(r#"{"index": false}"#);
    let before: i64 = db.query_row("SELECT fafcas_config('cache_bytes')", [], |row| row.get(0)).unwrap();
    for bytes in [before, 1] {
        db.query_row("SELECT fafcas_config('cache_bytes', ?1)", [bytes], |_| Ok(())).unwrap();
        assert!(ask(r#"{"exact": true}"#) == scan, "{bytes} bytes");
        let likely: HashSet<_> = ask("{}").into_iter().collect();
        let missed = scan.iter().filter(|hit| !likely.contains(hit)).count();
        assert!(missed * 1000 <= scan.len(), "{missed} missed, {bytes} bytes");
    }
    db.query_row("SELECT fafcas_config('cache_bytes', ?1)", [before], |_| Ok(())).unwrap();
}
