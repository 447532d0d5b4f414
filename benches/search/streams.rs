//! Rows without k, read until the reader stops: the first ten, a join that lets few rows pass, and all.

use super::data::{Data, median, ratio, time};
use super::filters;
use rusqlite::Connection;
use std::time::Duration;

const ROUNDS: usize = 300;

pub fn run(data: &Data) {
    let db = filters::table(data);
    for (path, options) in [("index", ""), ("scan", r#""index":false"#)] {
        let rounds = if path == "index" { ROUNDS } else { ROUNDS / 30 };
        let search = |k: &str| format!("vec_topk('t', 'v', ?1, {k}, '{{{options}}}')");
        let (by_k, all) = (search("10"), search("NULL"));
        let [k, first] =
            by_turns(&db, data, [&by_k, &all].map(|rows| format!("SELECT rowid, score FROM {rows}")), rounds);
        println!("{path}: k = 10 {k:.0?}; the first 10 of all rows {first:.0?}, {:.2} of it", ratio(first, k));
        for (number, share) in [(data.rows() / 10, "10"), (data.rows() / 1000, "1000")] {
            let sql = format!(
                "SELECT t.rowid, t.score FROM {} AS t CROSS JOIN meta AS m ON m.id = t.rowid WHERE m.number < {number} LIMIT 10",
                search("NULL")
            );
            let joined = median((0..rounds.min(10)).map(|_| time(|| read(&db, &sql, &data.query(), 10)).1).collect());
            println!(
                "{path}: LIMIT 10 of a join that lets one in {share} pass {joined:.0?}, {:.2} of k = 10",
                ratio(joined, k)
            );
        }
    }
    let all = "SELECT rowid, score FROM vec_topk('t', 'v', ?1)";
    let sorted = "SELECT rowid, vec_dot(v, ?1) AS score FROM t ORDER BY score DESC";
    let queries = [(); 3].map(|()| data.query());
    let [streamed, by_sort] = [all, sorted].map(|sql| {
        median(
            queries
                .iter()
                .map(|query| time(|| assert_eq!(read(&db, sql, query, usize::MAX).len(), data.rows())).1)
                .collect(),
        )
    });
    assert_eq!(read(&db, all, &queries[0], 1000), read(&db, sorted, &queries[0], 1000));
    println!("all {} rows {streamed:.0?}, {:.2} of SQLite's scan and sort", data.rows(), ratio(streamed, by_sort));
}

/// The times of both statements' first ten rows, one after the other in each round.
fn by_turns(db: &Connection, data: &Data, statements: [String; 2], rounds: usize) -> [Duration; 2] {
    let mut times: [Vec<Duration>; 2] = Default::default();
    for _ in 0..rounds {
        for (sql, times) in statements.iter().zip(&mut times) {
            times.push(time(|| read(db, sql, &data.query(), 10)).1);
        }
    }
    times.map(median)
}

fn read(db: &Connection, sql: &str, query: &[u8], take: usize) -> Vec<i64> {
    let mut statement = db.prepare_cached(sql).unwrap();
    let rows = statement.query_map([query], |row| row.get(0)).unwrap();
    rows.take(take).collect::<Result<_, _>>().unwrap()
}
