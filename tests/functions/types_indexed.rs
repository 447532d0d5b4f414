//! An index over a column of f16, bf16 or int8, against a naive loop in f64 over what the stored bytes mean: after it was created,
//! while rows change, after a merge and after a rebuild.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::{Random, blob};
use crate::types::{Stored, TYPES};
use rusqlite::Connection;
use rusqlite::types::Value;
use std::collections::BTreeMap;

const DIMENSIONS: usize = 48;
const ROWS: i64 = 700;
const K: usize = 10;
/// Of the nearest rows of all queries, so many of a thousand must be found without `exact`.
const FOUND: usize = 990;

/// f16, bf16 and int8; an index over bits is refused.
fn indexed() -> impl Iterator<Item = &'static Stored> {
    TYPES.iter().filter(|stored| stored.name != "bit")
}

/// Vectors as a model gives them, which lie around a few topics, or vectors that are spread evenly.
struct Vectors {
    random: Random,
    topics: Vec<Vec<f32>>,
}

impl Vectors {
    fn around(topics: usize) -> Self {
        let mut random = Random(170 + topics as u64);
        let topics = (0..topics).map(|_| (0..DIMENSIONS).map(|_| random.real() as f32).collect()).collect();
        Self { random, topics }
    }

    /// A vector of length 1.
    fn next(&mut self) -> Vec<f32> {
        let topic = (!self.topics.is_empty()).then(|| self.random.below(self.topics.len()));
        let number = |at: usize, random: &mut Random| {
            let middle = topic.map_or(0.0, |topic| self.topics[topic][at]);
            middle + 0.4 * random.real() as f32
        };
        let vector: Vec<f32> = (0..DIMENSIONS).map(|at| number(at, &mut self.random)).collect();
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter().map(|x| x / length).collect()
    }
}

/// A row: what a filter asks for, and its vector as it is stored.
#[derive(Clone)]
struct Row {
    kind: i64,
    vector: Vec<u8>,
}

/// A row and its score.
type ScoredRow = (i64, f64);

/// A table `t` whose column `v` has the index `i`, and the same rows beside it.
struct Indexed {
    connection: Connection,
    stored: &'static Stored,
    vectors: Vectors,
    rows: BTreeMap<i64, Row>,
}

impl Indexed {
    fn new(stored: &'static Stored, vectors: Vectors) -> Self {
        fafcas::register_auto_extension().unwrap();
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, kind INTEGER, v BLOB)").unwrap();
        let mut indexed = Self { connection, stored, vectors, rows: BTreeMap::new() };
        (1..=ROWS).for_each(|rowid| indexed.put(rowid));
        indexed.execute(&format!(
            r#"CREATE VIRTUAL TABLE i USING vec_index(t, v, '{{"type": "{}"}}')"#,
            indexed.stored.name
        ));
        indexed
    }

    fn execute(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn command(&self, command: &str) {
        self.execute(&format!("INSERT INTO i(i) VALUES ('{command}')"));
    }

    fn property(&self, name: &str) -> Value {
        self.connection.query_row("SELECT value FROM i WHERE property = ?1", [name], |row| row.get(0)).unwrap()
    }

    fn put(&mut self, rowid: i64) {
        let (kind, vector) = (rowid % 3, (self.stored.bytes)(&self.vectors.next()));
        let sql = "INSERT INTO t VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET kind = ?2, v = ?3";
        self.connection.execute(sql, (rowid, kind, &vector)).unwrap();
        self.rows.insert(rowid, Row { kind, vector });
    }

    /// Inserts, updates, deletes, moves.
    fn change(&mut self, times: usize) {
        for _ in 0..times {
            let rowid = self.vectors.random.below(2 * ROWS as usize) as i64 + 1;
            match self.vectors.random.below(5) {
                0..=2 => self.put(rowid),
                3 => {
                    self.connection.execute("DELETE FROM t WHERE id = ?1", [rowid]).unwrap();
                    self.rows.remove(&rowid);
                }
                _ => {
                    self.connection
                        .execute("UPDATE OR REPLACE t SET id = ?1 + ?2 WHERE id = ?1", (rowid, ROWS))
                        .unwrap();
                    if let Some(row) = self.rows.remove(&rowid) {
                        self.rows.insert(rowid + ROWS, row);
                    }
                }
            }
        }
    }

    /// What a search finds. `rest` is the end of the statement; OPTIONS stands for the options.
    fn hits(&self, options: &str, rest: &str, query: &[f32]) -> Vec<ScoredRow> {
        let sql = format!("SELECT t.rowid, t.score FROM vec_topk('t', 'v', ?1, {rest}");
        let sql = sql.replace("OPTIONS", &format!("'{{{options}}}'"));
        let mut statement = self.connection.prepare(&sql).unwrap();
        let hits = statement.query_map([blob(query)], |row| Ok((row.get(0)?, row.get(1)?)));
        hits.unwrap().collect::<rusqlite::Result<_>>().unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The scores of all rows of these kinds in f64, best first.
    fn naive(&self, metric: &str, query: &[f32], kinds: &[i64]) -> Vec<ScoredRow> {
        let score = |row: &[u8]| {
            let row = (self.stored.meaning)(row);
            let pairs = || query.iter().zip(&row).map(|(a, b)| (f64::from(*a), f64::from(*b)));
            let sum = |term: fn((f64, f64)) -> f64| pairs().map(term).sum::<f64>();
            match metric {
                "dot" => sum(|(a, b)| a * b),
                "cosine" => sum(|(a, b)| a * b) / (sum(|(a, _)| a * a) * sum(|(_, b)| b * b)).sqrt(),
                _ => -sum(|(a, b)| (a - b) * (a - b)).sqrt(),
            }
        };
        let rows = self.rows.iter().filter(|(_, row)| kinds.contains(&row.kind));
        let mut scores: Vec<ScoredRow> = rows.map(|(rowid, row)| (*rowid, score(&row.vector))).collect();
        scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        scores
    }

    /// How many of the hits are among the best of the naive loop. Every score must be that of the loop.
    fn count(&self, hits: &[ScoredRow], naive: &[ScoredRow], case: &str) -> usize {
        assert_eq!(hits.len(), K, "{case}");
        let truth: BTreeMap<i64, f64> = naive.iter().copied().collect();
        for (rowid, score) in hits {
            let truth = truth.get(rowid).unwrap_or_else(|| panic!("{case}: no row {rowid}"));
            assert!((score - truth).abs() < 1e-5, "{case}: row {rowid} scores {score}, not {truth}");
        }
        hits.iter().filter(|(rowid, _)| truth[rowid] >= naive[K - 1].1 - 1e-5).count()
    }

    /// Compares searches by the index with the naive loop, and exact ones with scans.
    fn compare(&mut self, when: &str) {
        const ALL: &str = "10, OPTIONS) AS t";
        const FILTERED: &str = "NULL, OPTIONS) AS t JOIN t AS n ON n.id = t.rowid WHERE n.kind = 1 LIMIT 10";
        const LISTED: &str = "NULL, OPTIONS) AS t WHERE t.rowid IN (SELECT id FROM t WHERE kind = 1) LIMIT 10";
        let (mut found, mut wanted) = (0, 0);
        for metric in ["dot", "cosine", "l2"] {
            let case = format!("{} {metric} {when}", self.stored.name);
            for _ in 0..4 {
                let query = self.vectors.next();
                let asked =
                    |options: &str, rest| self.hits(&format!(r#""metric": "{metric}", {options}"#), rest, &query);
                let (any, of_kind) = (self.naive(metric, &query, &[0, 1, 2]), self.naive(metric, &query, &[1]));
                for (rest, naive) in [(ALL, &any), (FILTERED, &of_kind), (LISTED, &of_kind)] {
                    found += self.count(&asked(r#""index": "i""#, rest), naive, &case);
                    wanted += K;
                }
                let scan = asked(r#""index": false"#, ALL);
                assert_eq!(self.count(&scan, &any, &case), K, "{case}");
                assert_eq!(asked(r#""index": "i", "exact": true"#, ALL), scan, "{case}");
            }
        }
        assert!(found * 1000 >= FOUND * wanted, "{} {when}: {found} of {wanted}", self.stored.name);
        self.compare_many(when);
        self.command("check");
    }

    fn compare_many(&self, when: &str) {
        let pairs = |options: &str| -> Vec<(i64, i64, f64)> {
            let sql = format!(
                "SELECT query_rowid, rowid, score FROM vec_topk_many('t', 'v', 't', 'v', 3, '{{{options}}}')
                 WHERE query_rowid < 50 ORDER BY query_rowid, rank"
            );
            let mut statement = self.connection.prepare(&sql).unwrap();
            let pairs = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
            pairs.collect::<rusqlite::Result<_>>().unwrap()
        };
        let scan = pairs(r#""index": false"#);
        assert!(scan.len() > 60, "{} {when}", self.stored.name);
        assert_eq!(pairs(r#""index": "i", "exact": true"#), scan, "{} {when}", self.stored.name);
        let likely = pairs(r#""index": "i""#);
        let same = likely.iter().filter(|pair| scan.contains(pair)).count();
        assert!(same * 1000 >= FOUND * scan.len(), "{} {when}: {same} of {}", self.stored.name, scan.len());
    }

    fn refusal(&self, sql: &str) -> String {
        let mut statement = match self.connection.prepare(sql) {
            Ok(statement) => statement,
            Err(error) => return error.to_string(),
        };
        let mut rows = statement.raw_query();
        loop {
            match rows.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{sql} is not refused"),
                Err(error) => return error.to_string(),
            }
        }
    }
}

#[test]
fn an_index_over_each_type_finds_what_a_naive_loop_finds() {
    for stored in indexed() {
        for topics in [0, 12] {
            let mut indexed = Indexed::new(stored, Vectors::around(topics));
            assert_eq!(indexed.property("type"), Value::Text(stored.name.into()));
            indexed.compare("new");
            indexed.change(100);
            indexed.compare("with changes");
            indexed.command("merge");
            assert_eq!(indexed.property("pending"), Value::Integer(0));
            indexed.compare("merged");
            indexed.change(1000);
            while indexed.property("pending") != Value::Integer(0) {
                indexed.command("merge 200");
            }
            indexed.command("warm");
            indexed.compare("merged in steps");
            indexed.command("rebuild");
            indexed.compare("rebuilt");
            assert_eq!(indexed.property("strays"), Value::Integer(0));
        }
    }
}

/// The index says what the column holds, so that nobody has to say it again, whether the index answers or not.
#[test]
fn the_index_tells_the_type() {
    for stored in indexed() {
        let mut indexed = Indexed::new(stored, Vectors::around(3));
        let query = indexed.vectors.next();
        for options in
            ["", r#""index": false"#, r#""exact": true"#, r#""metric": "l1""#, r#""metric": "l2", "index": "i""#]
        {
            let comma = if options.is_empty() { "" } else { ", " };
            let named = format!(r#"{options}{comma}"type": "{}""#, stored.name);
            let asked = |options: &str| indexed.hits(options, "25, OPTIONS) AS t", &query);
            assert_eq!(asked(options), asked(&named), "{} {options}", stored.name);
        }
        indexed.execute(
            "CREATE VIRTUAL TABLE words USING fts5(body);
             INSERT INTO words(rowid, body) SELECT id, iif(id % 5, 'elm', 'ash elm') FROM t",
        );
        for sql in [
            "SELECT rowid, score FROM vec_hybrid('t', 'v', 'words', ?1, 'ash', 20, OPTIONS)",
            "SELECT rowid, by_vector FROM vec_hybrid('t', 'v', 'words', ?1, 'ash', NULL, OPTIONS) LIMIT 20",
            "SELECT rowid, score FROM vec_mmr('t', 'v', ?1, 9, 0.6, OPTIONS)",
            "SELECT rowid, x + y FROM vec_map('t', 'v', OPTIONS) WHERE ?1 IS NOT NULL",
            "SELECT rule, actual FROM fafcas_health('t', 'v', OPTIONS) WHERE ?1 IS NOT NULL",
            "SELECT rowid, score FROM vec_topk_many('t', 'v', 't', 'v', 2, OPTIONS) WHERE ?1 IS NOT NULL",
        ] {
            let answers = |options: &str| -> Vec<(Value, Value)> {
                let mut statement = indexed.connection.prepare(&sql.replace("OPTIONS", options)).unwrap();
                let rows = statement.query_map([blob(&query)], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                rows.collect::<rusqlite::Result<_>>().unwrap_or_else(|error| panic!("{sql}: {error}"))
            };
            let typed = answers(&format!(r#"'{{"type": "{}"}}'"#, stored.name));
            assert!(typed.len() > 7, "{sql}");
            assert_eq!(answers("NULL"), typed, "{} {sql}", stored.name);
        }
    }
}

#[test]
fn the_plan_names_the_index_of_the_type() {
    let stored = indexed().next().unwrap();
    let indexed = Indexed::new(stored, Vectors::around(3));
    let plan = |options: &str| -> String {
        let sql = format!("EXPLAIN QUERY PLAN SELECT rowid FROM vec_topk('t', 'v', '[1]', 5, {options})");
        indexed.connection.query_row(&sql, [], |row| row.get(3)).unwrap()
    };
    assert!(plan("NULL").contains("index i"), "{}", plan("NULL"));
    assert!(plan(r#"'{"type": "f16"}'"#).contains("index i"));
    assert!(!plan(r#"'{"type": "bf16"}'"#).contains("index i"));
    let sql = |options: &str| format!("SELECT rowid FROM vec_topk('t', 'v', '[1]', 5, '{options}')");
    assert_eq!(
        indexed.refusal(&sql(r#"{"type": "bf16", "index": "i"}"#)),
        "vec_topk: expected options.index to name an index of type bf16, not 'i', which is of f16"
    );
}

#[test]
fn an_audit_of_each_type_compares_the_index_with_the_scan() {
    for stored in indexed() {
        let indexed = Indexed::new(stored, Vectors::around(12));
        for options in ["NULL".to_string(), format!(r#"'{{"type": "{}"}}'"#, stored.name)] {
            let sql = format!("SELECT measure, value FROM fafcas_audit('t', 'v', 30, {options})");
            let mut statement = indexed.connection.prepare(&sql).unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            let found: BTreeMap<String, Value> = rows.collect::<rusqlite::Result<_>>().unwrap();
            assert_eq!((&found["queries"], &found["by_index"]), (&Value::Integer(30), &Value::Integer(30)), "{sql}");
            assert!(matches!(found["recall"], Value::Real(recall) if recall >= 0.99), "{found:?}");
        }
    }
}

/// A vector of f32, or of another length, among the others: no answer leaves it out in silence.
#[test]
fn rows_of_another_type_are_errors_that_name_the_row() {
    for stored in indexed() {
        let mut indexed = Indexed::new(stored, Vectors::around(3));
        // Its halves are 0 and 0x3f00, which are numbers in both types of two bytes.
        let (query, wide) = (indexed.vectors.next(), blob(&[0.5; DIMENSIONS]));
        indexed.connection.execute("UPDATE t SET v = ?1 WHERE id = 7", [&wide]).unwrap();
        let length = wide.len() * 8 / if stored.name == "int8" { 8 } else { 16 };
        let sql = |options: &str| {
            let query = blob(&query).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            format!("SELECT rowid FROM vec_topk('t', 'v', x'{query}', 5, '{{\"index\": \"i\"{options}}}')")
        };
        let refused = format!("table t, column v, rowid 7: expected 48 dimensions as in the query, not {length}");
        for when in ["noted", "merged", "rebuilt"] {
            let got = indexed.refusal(&sql(""));
            assert!(got.contains(&refused), "{} {when}: {got}", stored.name);
            let skipping: Vec<i64> = {
                let mut statement = indexed.connection.prepare(&sql(r#", "skip_bad": true"#)).unwrap();
                statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
            };
            assert_eq!(skipping.len(), 5, "{} {when}", stored.name);
            indexed.command(if when == "noted" { "merge" } else { "rebuild" });
            assert_eq!(indexed.property("strays"), Value::Integer(1), "{} {when}", stored.name);
        }
        let again =
            format!(r#"CREATE VIRTUAL TABLE j USING vec_index(t, v, another, '{{"type": "{}"}}')"#, stored.name);
        let got = indexed.refusal(&again);
        let refused =
            format!("table main.t, column v, rowid 7: expected 48 dimensions as in the rows before, not {length}");
        assert!(got.contains(&refused), "{}: {got}", stored.name);
        indexed.execute("DELETE FROM t WHERE id = 7");
        indexed.rows.remove(&7);
        indexed.compare("mended");
    }
}

/// An index over f32 is as it was before there were others, so that older versions go on reading it.
#[test]
fn only_other_types_have_the_later_format() {
    let stored = indexed().next().unwrap();
    let indexed = Indexed::new(stored, Vectors::around(3));
    indexed.execute("CREATE TABLE f(v BLOB); INSERT INTO f VALUES (vec_f32('[1, 2]')); CREATE VIRTUAL TABLE fi USING vec_index(f, v)");
    let format = |index: &str| -> (i64, String) {
        let sql = format!(
            "SELECT max(value) FILTER (WHERE property = 'format'), (SELECT hex(substr(data, 9, 2) || substr(data, 109, 20))
             FROM {index}_blocks WHERE id = 0) FROM {index}"
        );
        indexed.connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    assert_eq!(format("fi"), (1, format!("0100{}", "00".repeat(20))));
    assert_eq!(format("i"), (2, format!("020001{}", "00".repeat(19))));
}

#[test]
fn what_an_index_cannot_be_made_of_is_refused() {
    let indexed = Indexed::new(indexed().next().unwrap(), Vectors::around(3));
    for (arguments, message) in [
        (
            r#"t, v, another, '{"type": "bit"}'"#,
            "expected options.type as 'f32', 'f16', 'bf16' or 'int8' for an index, not 'bit': searches by hamming scan",
        ),
        (r#"t, v, '{"type": "f99"}'"#, "expected options.type as 'f32', 'f16', 'bf16', 'int8', 'bit', not '\"f99\"'"),
        (r#"t, v, '{"metric": "l2"}'"#, "expected the option type, not 'metric'"),
        ("t, v, '{'", "expected options as a JSON object, not '{'"),
        (
            r#"t, v, '{"type": "f16"}', another"#,
            "expected vec_index(table, column [, another] [, options]), not vec_index(t, v, ",
        ),
        (r#"t, v, '{"type": "f16"}'"#, "expected a column without an index, not table main.t, column v, which has i"),
    ] {
        let got = indexed.refusal(&format!("CREATE VIRTUAL TABLE j USING vec_index({arguments})"));
        assert!(got.contains(message), "{arguments}: {got}");
    }
}
