//! Filters of four selectivities against the search without one and what SQLite itself takes for the filter's list.

use super::data::{Data, database, median, ratio, time};
use rusqlite::{Connection, ToSql};
use std::time::Duration;

const SHARES: [f64; 4] = [0.5, 0.1, 0.01, 0.001];
const ROUNDS: usize = 100;
/// The list is in a covering index, which is the least that SQLite can take for it.
const LIST: &str = "SELECT id FROM meta WHERE number < ?1";
const TEXTS: &str = "SELECT key FROM meta WHERE number < ?1";
const NUMBERS: &str = "SELECT code FROM meta WHERE number < ?1";

/// What is filtered, the table, and the list.
type Case = (&'static str, &'static str, &'static str);

const CASES: [Case; 5] = [
    ("rowid IN", "t", LIST),
    ("id IN, rowid", "t", LIST),
    ("id IN, INT", "n", NUMBERS),
    ("id IN, TEXT", "s", TEXTS),
    ("range", "t", ""),
];

pub fn run(data: &Data) {
    let db = table(data);
    println!(
        "{:<12} {:>8} {:>9} {:>9} {:>9} {:>7} {:>7}  way",
        "filter", "share", "list", "plain", "filtered", "ratio", "recall"
    );
    for case in CASES {
        for share in SHARES {
            measure(&db, data, case, share);
        }
    }
}

fn measure(db: &Connection, data: &Data, (name, table, list): Case, share: f64) {
    let below = (data.rows() as f64 * share) as i64;
    let plain = format!("SELECT rowid FROM vec_topk('{table}', 'v', ?2, NULL, '{{}}') WHERE ?1 <> -1 LIMIT 10");
    let (filter, list) = match (name, list) {
        ("range", _) => ("rowid BETWEEN 1000 AND 1000 + ?1".to_string(), "SELECT ?1".to_string()),
        ("rowid IN", list) => (format!("rowid IN ({list})"), format!("SELECT 1 WHERE -1 IN ({list})")),
        (_, list) => (format!("id IN ({list})"), format!("SELECT 1 WHERE '' IN ({list})")),
    };
    let search = |options: &str| {
        format!(
            "SELECT rowid FROM vec_topk('{table}', 'v', ?2, NULL, '{{{options}}}') WHERE {filter} ORDER BY score DESC LIMIT 10"
        )
    };
    let recall = recall(db, data, below, &search(""), &search(r#""exact":true"#));
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for (sql, times) in [&list, &plain, &search("")].into_iter().zip(&mut times) {
            let (mut statement, query) = (db.prepare_cached(sql).unwrap(), data.query());
            let bound: &[&dyn ToSql] = &[&below, &query];
            let bound = &bound[..statement.parameter_count()];
            times.push(time(|| statement.query(bound).unwrap().mapped(|row| row.get::<_, i64>(0)).count()).1);
        }
    }
    let sql = "SELECT path FROM vec_stats WHERE source = 'main.' || ?1";
    let way: String = db.query_row(sql, [table], |row| row.get(0)).unwrap();
    let [list, plain, filtered] = times.map(median);
    let ratio = ratio(filtered, list + plain);
    println!(
        "{name:<12} {:>6.1} % {list:>9.1?} {plain:>9.1?} {filtered:>9.1?} {ratio:>7.2} {recall:>7.4}  {way}",
        share * 100.0
    );
}

fn recall(db: &Connection, data: &Data, below: i64, search: &str, exact: &str) -> f64 {
    let (mut found, mut due) = (0, 0);
    for _ in 0..data.queries() / 5 {
        let query = data.query();
        let ask = |sql: &str| -> Vec<i64> {
            let mut statement = db.prepare_cached(sql).unwrap();
            let rows = statement.query_map((below, &query), |row| row.get(0)).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        };
        let (hits, best) = (ask(search), ask(exact));
        assert_eq!(hits.len(), best.len());
        due += best.len();
        found += best.iter().filter(|rowid| hits.contains(rowid)).count();
    }
    let recall = found as f64 / due as f64;
    assert!(recall >= 0.999, "recall {recall}");
    recall
}

/// Tables of the vectors with three kinds of keys: the rowid, a number with an index of its own, and a text; and one that
/// says of which rows filters are. All in random order.
pub fn table(data: &Data) -> Connection {
    let db = database("filters");
    db.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;
         CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE TABLE n(id INT PRIMARY KEY, v BLOB);
         CREATE TABLE s(id TEXT PRIMARY KEY, v BLOB);
         CREATE TABLE meta(id INTEGER PRIMARY KEY, key TEXT, code INT, number INTEGER);",
    )
    .unwrap();
    for row in 0..data.rows() {
        let (id, code, number) = (row as i64 + 1, row as i64 * 7919 % 1_000_003, (row * 6007 % data.rows()) as i64);
        let key = format!("key-{code:07}");
        let insert = |sql: &str, values: &[&dyn ToSql]| db.prepare_cached(sql).unwrap().execute(values).unwrap();
        insert("INSERT INTO t VALUES (?, ?)", &[&id, &data.blob(row)]);
        insert("INSERT INTO n VALUES (?, ?)", &[&code, &data.blob(row)]);
        insert("INSERT INTO s VALUES (?, ?)", &[&key, &data.blob(row)]);
        insert("INSERT INTO meta VALUES (?, ?, ?, ?)", &[&id, &key, &code, &number]);
    }
    db.execute_batch(
        "COMMIT; CREATE INDEX keys ON meta(number, key); CREATE INDEX codes ON meta(number, code);
         CREATE VIRTUAL TABLE t_vec USING vec_index(t, v); CREATE VIRTUAL TABLE n_vec USING vec_index(n, v);
         CREATE VIRTUAL TABLE s_vec USING vec_index(s, v)",
    )
    .unwrap();
    db
}
