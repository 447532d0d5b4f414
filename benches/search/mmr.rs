//! `vec_mmr` against the search for its candidates, by index and by scan.

use super::data::{Data, median, ratio, time};
use super::filters;
use rusqlite::{Connection, params};

const ROUNDS: usize = 100;
const K: i64 = 10;
const LAMBDA: f64 = 0.5;

pub fn run(data: &Data) {
    let db = filters::table(data);
    for query in (0..20).map(|_| data.query()) {
        assert_eq!(chosen(&db, &query, "{}"), by_hand(&db, &query));
    }
    for (path, options, rounds) in [("index", "{}", ROUNDS), ("scan", r#"{"index": false}"#, ROUNDS / 10)] {
        let (mut mmr, mut topk, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            mmr.push(time(|| chosen(&db, &data.query(), options)).1);
            topk.push(time(|| nearest(&db, &data.query(), K, options)).1);
            seen.push(time(|| nearest(&db, &data.query(), 10 * K, options)).1);
        }
        let [mmr, topk, seen] = [mmr, topk, seen].map(median);
        let (of_topk, of_seen) = (ratio(mmr, topk), ratio(mmr, seen));
        println!(
            "{path}: vec_mmr, k = {K}, {mmr:.0?}; {of_topk:.2} of vec_topk, {of_seen:.2} of vec_topk for all it looks at"
        );
    }
}

fn chosen(db: &Connection, query: &[u8], options: &str) -> Vec<i64> {
    let sql = "SELECT rowid FROM vec_mmr('t', 'v', ?1, ?2, ?3, ?4)";
    let mut statement = db.prepare_cached(sql).unwrap();
    let rows = statement.query_map(params![query, K, LAMBDA, options], |row| row.get(0));
    rows.unwrap().map(Result::unwrap).collect()
}

fn nearest(db: &Connection, query: &[u8], k: i64, options: &str) -> Vec<(i64, f64)> {
    let sql = "SELECT rowid, score FROM vec_topk('t', 'v', ?1, ?2, ?3)";
    let mut statement = db.prepare_cached(sql).unwrap();
    let rows = statement.query_map(params![query, k, options], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

fn by_hand(db: &Connection, query: &[u8]) -> Vec<i64> {
    let nearest = nearest(db, query, 10 * K, "{}");
    let mut chosen: Vec<i64> = Vec::new();
    let alike = |a: i64, b: i64| -> f64 {
        let sql = "SELECT vec_dot(a.v, b.v) FROM t AS a, t AS b WHERE a.id = ?1 AND b.id = ?2";
        db.prepare_cached(sql).unwrap().query_row([a, b], |row| row.get(0)).unwrap()
    };
    while chosen.len() < K as usize {
        let merit = |&(row, score): &(i64, f64)| {
            let most = chosen.iter().map(|&other| alike(other, row)).max_by(f64::total_cmp);
            most.map_or(score, |most| LAMBDA * score - (1.0 - LAMBDA) * most)
        };
        let left = nearest.iter().filter(|(row, _)| !chosen.contains(row)).map(|hit| (merit(hit), hit.0));
        let best = left.reduce(|best, next| if next.0 > best.0 { next } else { best }).unwrap();
        chosen.push(best.1);
    }
    chosen
}
