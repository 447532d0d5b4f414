//! `vec_mmr` against a naive loop that scores every pair anew, on every kind of source, with and without an index.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::{Random, blob};
use rusqlite::types::Value;
use rusqlite::{Connection, params};

const CASES: u64 = 150;

type Score = fn(&[f32], &[f32]) -> f64;

fn pairs<'a>(a: &'a [f32], b: &'a [f32]) -> impl Iterator<Item = (f64, f64)> + 'a {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)))
}

/// Of small whole numbers all sums are exact, so that the naive loop's scores are the very same.
const METRICS: [(&str, Score); 3] = [
    ("dot", |a, b| pairs(a, b).map(|(a, b)| a * b).sum::<f64>() + 0.0),
    ("l2", |a, b| 0.0 - pairs(a, b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()),
    ("l1", |a, b| 0.0 - pairs(a, b).map(|(a, b)| (a - b).abs()).sum::<f64>()),
];

/// Rowid and score of the chosen, in their order.
fn naive(rows: &[(i64, Vec<f32>)], query: &[f32], k: usize, lambda: f64, score: Score) -> Vec<(i64, f64)> {
    let mut nearest: Vec<_> = rows.iter().map(|(rowid, row)| (score(query, row), *rowid, row)).collect();
    nearest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let seen = if lambda == 1.0 { k } else { (10 * k).min(10_000).max(k) };
    nearest.truncate(seen);
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < k.min(nearest.len()) {
        let merit = |at: usize| {
            let likeness = chosen.iter().map(|&other| score(nearest[other].2, nearest[at].2));
            let most = likeness.max_by(f64::total_cmp);
            most.map_or(nearest[at].0, |most| lambda * nearest[at].0 - (1.0 - lambda) * most)
        };
        let mut left = (0..nearest.len()).filter(|at| !chosen.contains(at));
        let first = left.next().unwrap();
        chosen.push(left.fold(first, |best, at| if merit(at) > merit(best) { at } else { best }));
    }
    chosen.into_iter().map(|at| (nearest[at].1, nearest[at].0)).collect()
}

fn ask(connection: &Connection, call: &str) -> Vec<(Value, Value, f64, i64)> {
    let mut statement = connection.prepare(&format!("SELECT rowid, id, score, rank FROM {call}")).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn the_rows_of_a_naive_loop_from_every_kind_of_source() {
    fafcas::register_auto_extension().unwrap();
    for seed in 0..CASES {
        println!("seed {seed}");
        let mut random = Random(seed);
        let dimensions = 1 + random.below(6);
        let vector = |random: &mut Random| (0..dimensions).map(|_| random.below(7) as f32 - 3.0).collect::<Vec<f32>>();
        let rows: Vec<(i64, Vec<f32>)> =
            (0..random.below(80) as i64).map(|at| (at * 3 + 1, vector(&mut random))).collect();
        let connection = Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE plain(id INTEGER PRIMARY KEY, v);
             CREATE TABLE keyed(id INTEGER, v, PRIMARY KEY (id)) WITHOUT ROWID;
             CREATE VIEW numbered AS SELECT id AS rowid, v FROM plain;
             CREATE VIEW named AS SELECT id, v FROM plain ORDER BY id;
             INSERT INTO plain VALUES (2, NULL)";
        connection.execute_batch(tables).unwrap();
        for (rowid, row) in &rows {
            let stored = if random.once_in(3) { Value::Text(format!("{row:?}")) } else { Value::Blob(blob(row)) };
            for table in ["plain", "keyed"] {
                connection.execute(&format!("INSERT INTO {table} VALUES (?1, ?2)"), params![rowid, stored]).unwrap();
            }
        }
        let (metric, score) = random.pick(&METRICS);
        let query = vector(&mut random);
        let k = random.below(12);
        let lambda = random.pick(&[0.0, 0.25, 0.5, 0.7, 1.0]);
        let expected = naive(&rows, &query, k, lambda, score);
        for source in ["plain", "keyed", "numbered", "named"] {
            let options = format!(r#"'{{"metric": "{metric}"}}'"#);
            let found = ask(&connection, &format!("vec_mmr('{source}', 'v', '{query:?}', {k}, {lambda}, {options})"));
            let ids: Vec<(i64, f64)> = found
                .iter()
                .map(|(_, id, score, _)| (if let Value::Integer(id) = id { *id } else { -1 }, *score))
                .collect();
            assert_eq!(ids, expected, "{source}, {metric}, k = {k}, lambda = {lambda}");
            assert!(found.iter().zip(1..).all(|((.., rank), at)| *rank == at));
            let has_rowid = source == "plain" || source == "numbered";
            assert!(found.iter().all(|(rowid, id, ..)| *rowid == if has_rowid { id.clone() } else { Value::Null }));
            if lambda == 1.0 {
                assert_eq!(found, ask(&connection, &format!("vec_topk('{source}', 'v', '{query:?}', {k}, {options})")));
            }
        }
    }
}

#[test]
fn an_index_finds_the_same_candidates() {
    fafcas::register_auto_extension().unwrap();
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE candidates(id INTEGER PRIMARY KEY, v BLOB)").unwrap();
    let mut random = Random(5);
    let vector = |random: &mut Random| (0..64).map(|_| random.real() as f32).collect::<Vec<f32>>();
    for _ in 0..3000 {
        let row = blob(&vector(&mut random));
        connection.execute("INSERT INTO candidates(v) VALUES (fafcas_normalize(?1))", [row]).unwrap();
    }
    let queries: Vec<Vec<f32>> = (0..10).map(|_| vector(&mut random)).collect();
    let search = |query: &Vec<f32>, index: &str| {
        ask(&connection, &format!("vec_mmr('candidates', 'v', '{query:?}', 10, 0.5, '{{\"index\": {index}}}')"))
    };
    let path = || -> String {
        let sql = "SELECT path FROM vec_stats WHERE source = 'main.candidates' AND column_name = 'v'";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let scanned: Vec<_> = queries.iter().map(|query| search(query, "false")).collect();
    assert_eq!(path(), "scan");
    connection.execute_batch("CREATE VIRTUAL TABLE candidates_vec USING vec_index(candidates, v)").unwrap();
    // Named, as a scan of so few rows is as fast.
    let by_index = |query| search(query, "\"candidates_vec\"");
    let indexed: Vec<_> = queries.iter().map(by_index).collect();
    assert_eq!(path(), "index");
    assert_eq!(scanned, indexed);
    connection.execute("DELETE FROM candidates WHERE id = ?1", [&scanned[0][0].0]).unwrap();
    assert_ne!(by_index(&queries[0]), scanned[0]);
}
