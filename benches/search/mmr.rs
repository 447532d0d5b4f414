//! `vec_mmr` against `vec_topk` with as many rows as `vec_mmr` chooses among, on both paths.

use super::data::{Data, median, ratio, table, time};
use fafcas::parts::candidates;
use rusqlite::{Connection, params};
use std::time::Duration;

const K: usize = 10;
const LAMBDA: f64 = 0.5;

pub fn run(data: &Data) {
    let db = table("mmr", data);
    db.execute_batch("CREATE VIRTUAL TABLE i USING vec_index(t, v)").unwrap();
    println!("{K} rows of {} candidates, lambda {LAMBDA}", candidates(K));
    for (name, options, rounds) in [("index", r#"{"index": "i"}"#, 1000), ("scan", r#"{"index": false}"#, 60)] {
        for _ in 0..5 {
            is_right(&db, data, options);
        }
        let mut times: [Vec<Duration>; 3] = Default::default();
        for _ in 0..rounds {
            for ((sql, k), times) in CALLS.into_iter().zip([K, candidates(K), K]).zip(&mut times) {
                let query = data.query();
                times.push(time(|| ask(&db, sql, &query, k, options)).1);
            }
        }
        let [nearest, near, chosen] = times.map(median);
        println!(
            "{name:5}: vec_topk of {K} {nearest:.1?}, of {} {near:.1?}, vec_mmr {chosen:.1?}: {:.2} of the second, {:.2} of the first",
            candidates(K),
            ratio(chosen, near),
            ratio(chosen, nearest)
        );
    }
}

const TOPK: &str = "SELECT rowid, score FROM vec_topk('t', 'v', ?1, ?2, ?3)";
const MMR: &str = "SELECT rowid, score FROM vec_mmr('t', 'v', ?1, ?2, 0.5, ?3)";
const CALLS: [&str; 3] = [TOPK, TOPK, MMR];

fn ask(db: &Connection, sql: &str, query: &[u8], k: usize, options: &str) -> Vec<(i64, f64)> {
    let mut statement = db.prepare_cached(sql).unwrap();
    let rows = statement.query_map(params![query, k as i64, options], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The choice is that of the definition, made here from the rows that `vec_topk` gives.
fn is_right(db: &Connection, data: &Data, options: &str) {
    let query = data.query();
    let mut left = ask(db, TOPK, &query, candidates(K), options);
    let likeness = |a: i64, b: i64| -> f64 {
        let (a, b) = (data.row(a as usize - 1), data.row(b as usize - 1));
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let mut chosen: Vec<(i64, f64)> = Vec::new();
    while chosen.len() < K {
        let merit = |(row, score): &(i64, f64)| {
            let nearest = chosen.iter().map(|other| likeness(*row, other.0)).fold(f64::NEG_INFINITY, f64::max);
            if chosen.is_empty() { *score } else { LAMBDA * score - (1.0 - LAMBDA) * nearest }
        };
        let best = (0..left.len()).max_by(|a, b| merit(&left[*a]).total_cmp(&merit(&left[*b])).then(b.cmp(a))).unwrap();
        chosen.push(left.remove(best));
    }
    assert_eq!(ask(db, MMR, &query, K, options), chosen);
}
