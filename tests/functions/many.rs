//! `vec_topk_many` against one search for each query, and exact searches by an index against scans: the same rows, the same
//! ties, scores to the bit.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::{Random, blob};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An index answers for 1000 rows at least.
const ROWS: usize = 1300;
/// Queries up to this rowid are asked: one by one takes its time.
const MOST: usize = 70;
const METRICS: [&str; 4] = ["dot", "cosine", "l2", "l1"];

/// Query rowid, rowid, id, bits of the score, source.
type Hit = (i64, i64, Value, u64, String);

struct Case {
    db: Connection,
    random: Random,
    dimensions: usize,
    /// What vectors are multiplied with: huge and tiny ones meet.
    scales: &'static [f32],
    seed: u64,
    /// What the process counts of the table `many` is of this case alone.
    _alone: MutexGuard<'static, ()>,
}

impl Case {
    fn new(seed: u64) -> Self {
        static ASKING: Mutex<()> = Mutex::new(());
        let alone = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
        fafcas::register_auto_extension().unwrap();
        let mut random = Random(seed);
        let dimensions = random.pick(&[1, 3, 7, 8, 16, 17, 33, 64, 100, 129]);
        let scales = random.pick::<&[f32]>(&[
            &[1.0],
            &[1.0],
            &[1.0],
            &[1.0, 1e-3, 1e3],
            &[1e-20, 1e-19],
            &[1.0, 1e-30],
            &[1e18, 1.0],
            &[1e-38, 1e-44, 0.0, 1.0],
            &[3e38, 1e30, 1.0],
        ]);
        let db = Connection::open_in_memory().unwrap();
        let mut case = Self { db, random, dimensions, scales, seed, _alone: alone };
        case.fill();
        case
    }

    /// Vectors in a few clusters far from the origin or around it, some of them twice.
    fn vector(&mut self) -> Vec<u8> {
        let mut centre = Random(self.seed * 1000 + self.random.below(30) as u64);
        let spread = self.random.pick(&[0.0, 0.01, 0.3, 1.0]);
        let far = if self.seed.is_multiple_of(3) { 5.0 } else { 0.0 };
        let scale = self.random.pick(self.scales);
        let random = &mut self.random;
        let vector: Vec<f32> =
            (0..self.dimensions).map(|_| (far + centre.real() + spread * random.real()) as f32 * scale).collect();
        blob(&vector.into_iter().map(|x| x.clamp(-f32::MAX, f32::MAX)).collect::<Vec<_>>())
    }

    fn fill(&mut self) {
        let is_text = self.random.once_in(3);
        let key = if is_text { "id TEXT PRIMARY KEY" } else { "id INTEGER PRIMARY KEY" };
        self.db
            .execute_batch(&format!(
                "CREATE TABLE many({key}, v BLOB); CREATE TABLE u(id INTEGER PRIMARY KEY, v BLOB); \
                 CREATE TABLE q(id INTEGER PRIMARY KEY, v BLOB); BEGIN"
            ))
            .unwrap();
        for row in 0..ROWS {
            let id = if is_text { Value::Text(format!("key {row}")) } else { Value::Integer(3 * row as i64) };
            let vector = if self.random.once_in(20) { Value::Null } else { Value::Blob(self.vector()) };
            self.db.execute("INSERT INTO many VALUES (?1, ?2)", params![id, vector]).unwrap();
        }
        for row in 0..40 + self.random.below(80) {
            let vector = self.vector();
            let table = if row % 3 == 0 { "u" } else { "q" };
            self.db.execute(&format!("INSERT INTO {table}(v) VALUES (?1)"), [vector]).unwrap();
        }
        self.db
            .execute_batch(
                "INSERT INTO q(v) VALUES (NULL); INSERT INTO q(v) SELECT v FROM many WHERE v IS NOT NULL LIMIT 9",
            )
            .unwrap();
        self.db.execute_batch("COMMIT; CREATE VIRTUAL TABLE i USING vec_index(many, v)").unwrap();
        self.change();
    }

    /// Rows that the index has not folded in.
    fn change(&mut self) {
        for _ in 0..self.random.below(60) {
            let (vector, row) = (self.vector(), self.random.below(ROWS));
            self.db
                .execute(
                    "UPDATE many SET v = ?1 WHERE rowid = (SELECT rowid FROM many LIMIT 1 OFFSET ?2)",
                    params![vector, row as i64],
                )
                .unwrap();
        }
        let gone = self.random.below(30) as i64;
        self.db
            .execute("DELETE FROM many WHERE rowid IN (SELECT rowid FROM many ORDER BY hex(v) LIMIT ?1)", [gone])
            .unwrap();
        if self.random.once_in(3) {
            self.db.execute("INSERT INTO i(i) VALUES ('merge')", []).unwrap();
        }
    }

    fn ask(&self, sql: &str, parameters: &[Value]) -> Vec<Hit> {
        let mut statement = self.db.prepare(sql).unwrap();
        let hit = |row: &rusqlite::Row<'_>| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, f64>(3)?.to_bits(), row.get(4)?))
        };
        let rows = statement.query_map(params_from_iter(parameters), hit).unwrap();
        rows.map(|row| row.unwrap_or_else(|error| panic!("{sql}: {error}"))).collect()
    }

    fn path(&self) -> String {
        let sql = "SELECT path FROM vec_stats WHERE source = 'main.many' AND column_name = 'v'";
        self.db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// One search by scan for each query, without its own row.
    fn one_by_one(&self, tables: &str, queries: &str, k: usize, metric: &str, own: bool, bound: &str) -> Vec<Hit> {
        let sql = format!("SELECT rowid, v FROM {queries} WHERE v IS NOT NULL AND rowid <= {MOST}");
        let mut statement = self.db.prepare(&sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).unwrap();
        let options = format!(r#"{{"metric": "{metric}", "index": false}}"#);
        let own = if own { "(rowid <> ?1 OR source <> 'many')" } else { "1" };
        let sql = format!(
            "SELECT ?1, rowid, id, score, source FROM \
             (SELECT * FROM vec_topk('{tables}', 'v', ?2, NULL, ?3) WHERE {own} LIMIT {k}) WHERE {bound}"
        );
        rows.map(Result::unwrap)
            .flat_map(|(rowid, vector)| {
                self.ask(&sql, &[Value::Integer(rowid), Value::Blob(vector), Value::Text(options.clone())])
            })
            .collect()
    }

    fn together(&self, tables: &str, queries: &str, k: usize, options: &str, bound: &str) -> Vec<Hit> {
        let sql = format!(
            "SELECT query_rowid, rowid, id, score, source FROM vec_topk_many('{tables}', 'v', '{queries}', 'v', {k}, ?1) \
             WHERE query_rowid <= {MOST} AND {bound}"
        );
        self.ask(&sql, &[Value::Text(options.into())])
    }
}

#[test]
fn many_queries_are_answered_like_each_alone() {
    let (mut by_index, mut met, mut missed) = (0, 0, 0);
    for seed in 0..10 {
        println!("seed {seed}");
        let mut case = Case::new(seed);
        let metric = case.random.pick(&METRICS);
        let k = case.random.pick(&[0, 1, 3, 10, 100, 400]);
        for (tables, queries, own) in
            [("many", "q", false), ("many", "many", true), ("u, many", "q", false), ("many, u", "many", true)]
        {
            let alone = case.one_by_one(tables, queries, k, metric, own, "1");
            let options = format!(r#"{{"metric": "{metric}", "exclude_self": {own}}}"#);
            let likely = case.together(tables, queries, k, &options, "1");
            by_index += u32::from(case.path() == "index");
            met += alone.len();
            let found: HashSet<_> = likely.iter().map(without_id).collect();
            missed += alone.iter().filter(|hit| !found.contains(&without_id(hit))).count();
            assert_eq!(likely.len(), alone.len(), "seed {seed}, {tables}, {queries}, k = {k}, {options}");
            for way in [r#""exact": true"#, r#""index": false"#] {
                let options = format!(r#"{{"metric": "{metric}", "exclude_self": {own}, {way}}}"#);
                let many = case.together(tables, queries, k, &options, "1");
                assert!(
                    many == alone,
                    "seed {seed}, {tables}, {queries}, k = {k}, {options}: {:?}",
                    first_difference(&many, &alone)
                );
                by_index += u32::from(case.path() == "index");
            }
            // A bound that some row meets exactly.
            if let Some(hit) = alone.get(alone.len() / 3) {
                let bound = format!("score >= {:e}", f64::from_bits(hit.3));
                let options = format!(r#"{{"metric": "{metric}", "exclude_self": {own}, "exact": true}}"#);
                let (many, alone) = (
                    case.together(tables, queries, k, &options, &bound),
                    case.one_by_one(tables, queries, k, metric, own, &bound),
                );
                assert!(
                    many == alone,
                    "seed {seed}, {tables}, {queries}, {bound}: {:?}",
                    first_difference(&many, &alone)
                );
            }
        }
    }
    assert!(by_index > 20, "{by_index} by index");
    // By chance one in 30,000 may be.
    assert!(missed * 1000 <= met, "{missed} of {met} missed");
}

fn without_id((query, row, _, score, source): &Hit) -> (i64, i64, u64, &str) {
    (*query, *row, *score, source)
}

fn first_difference<'a>(a: &'a [Hit], b: &'a [Hit]) -> (usize, usize, Option<(&'a Hit, &'a Hit)>) {
    (a.len(), b.len(), a.iter().zip(b).find(|(a, b)| a != b))
}

#[test]
fn an_exact_search_by_an_index_is_the_scan() {
    let (mut by_index, mut by_name) = (0, 0);
    for seed in 100..140 {
        println!("seed {seed}");
        let mut case = Case::new(seed);
        for step in 0..6 {
            let metric = case.random.pick(&METRICS[..3]);
            let k = case.random.pick(&["1", "10", "10", "100", "400", "NULL"]);
            let vector = if step % 2 == 0 {
                case.vector()
            } else {
                case.db
                    .query_row("SELECT v FROM q WHERE v IS NOT NULL ORDER BY random() LIMIT 1", [], |row| row.get(0))
                    .unwrap()
            };
            let ask = |way: &str| {
                let options = format!(r#"{{"metric": "{metric}", {way}}}"#);
                let sql =
                    format!("SELECT 0, rowid, id, score, source FROM vec_topk('many', 'v', ?1, {k}, ?2) LIMIT 120");
                case.ask(&sql, &[Value::Blob(vector.clone()), Value::Text(options)])
            };
            let scan = ask(r#""index": false"#);
            for (way, by_index) in
                [(r#""exact": true"#, &mut by_index), (r#""exact": true, "index": "i""#, &mut by_name)]
            {
                let exact = ask(way);
                let difference = first_difference(&exact, &scan);
                assert!(exact == scan, "seed {seed}, step {step}, {metric}, {k}, {way}: {difference:?}");
                *by_index += u32::from(case.path() == "index");
            }
            case.change();
        }
    }
    // Too many rows are left to a scan, unless the index was named.
    assert!(by_index > 100 && by_name > by_index, "{by_index} by index, {by_name} by name");
}

/// `vec_stats` counts each query as a search, and for it what a search of its own would have counted.
#[test]
fn what_is_counted_is_that_of_each_alone() {
    const SEED: u64 = 11;
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open_in_memory().unwrap();
    let mut random = Random(SEED);
    let mut vector = || blob(&(0..64).map(|_| random.real() as f32).collect::<Vec<_>>());
    db.execute_batch("CREATE TABLE alone(v BLOB); CREATE TABLE asking(id INTEGER PRIMARY KEY, v BLOB)").unwrap();
    for row in 0..2000 {
        db.execute("INSERT INTO alone VALUES (?1)", [vector()]).unwrap();
        if row % 50 == 0 {
            db.execute("INSERT INTO asking(v) VALUES (?1)", [vector()]).unwrap();
        }
    }
    db.execute_batch(
        "CREATE TABLE other AS SELECT v FROM alone LIMIT 1500; CREATE VIRTUAL TABLE i USING vec_index(alone, v);
         INSERT INTO alone VALUES (zeroblob(12)), (zeroblob(16)); INSERT INTO asking(v) SELECT v FROM asking LIMIT 5",
    )
    .unwrap();
    let counted = |sql: &str, queries: i64| -> Vec<[i64; 6]> {
        db.execute_batch("DELETE FROM vec_stats WHERE source IN ('main.alone', 'main.other')").unwrap();
        assert_eq!(db.query_row(sql, [], |row| row.get(0)), Ok(7 * queries), "{sql}");
        let sql = "SELECT searches, rows_scanned, candidates, rescored, skipped, path = 'index' FROM vec_stats
                   WHERE source IN ('main.alone', 'main.other') ORDER BY source";
        let mut statement = db.prepare(sql).unwrap();
        let counts = |row: &rusqlite::Row<'_>| Ok([0, 1, 2, 3, 4, 5].map(|at| row.get(at).unwrap()));
        statement.query_map([], counts).unwrap().map(Result::unwrap).collect()
    };
    for tables in ["alone", "alone, other"] {
        for (way, is_indexed) in [(r#""exact": true"#, true), (r#""index": false"#, false)] {
            let options = format!(r#"'{{"skip_bad": true, {way}}}'"#);
            let many = counted(
                &format!("SELECT count(*) FROM vec_topk_many('{tables}', 'v', 'asking', 'v', 7, {options})"),
                45,
            );
            let alone = counted(
                &format!("SELECT count(*) FROM asking AS q CROSS JOIN vec_topk('{tables}', 'v', q.v, 7, {options})"),
                45,
            );
            assert_eq!(many, alone, "seed {SEED}, {tables}, {options}");
            let [searches, rows, candidates, rescored, skipped, by_index] = many[0];
            assert_eq!((searches, skipped, by_index), (45, 90, i64::from(is_indexed)));
            let nothing_else = if is_indexed { rows } else { candidates + rescored };
            assert!(nothing_else == 0 && rows + candidates.min(rescored) >= 7 * 45, "{many:?}");
        }
        // Batches that need not be exact look at other codes than single searches do, and have other candidates.
        let sql =
            format!("SELECT count(*) FROM vec_topk_many('{tables}', 'v', 'asking', 'v', 7, '{{\"skip_bad\": true}}')");
        let [searches, rows, candidates, rescored, skipped, by_index] = counted(&sql, 45)[0];
        assert_eq!((searches, rows, skipped, by_index), (45, 0, 90, 1));
        assert!(candidates >= rescored && rescored >= 7 * 45, "{candidates}, {rescored}");
    }
}

/// More queries than are taken at a time, read and written by one statement.
#[test]
fn edges_are_of_the_table_as_it_was() {
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB, near INTEGER)").unwrap();
    let mut random = Random(9);
    for _ in 0..270 {
        let vector: Vec<f32> = (0..8192).map(|_| random.real() as f32).collect();
        db.execute("INSERT INTO t(v) VALUES (?1)", [blob(&vector)]).unwrap();
    }
    let edges = "SELECT query_rowid, rowid FROM vec_topk_many('t', 'v', 't', 'v', 2, '{\"exclude_self\": true}')";
    let list = |sql: &str| -> Vec<(i64, i64)> {
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let before = list(edges);
    assert_eq!(before.len(), 540);
    db.execute_batch("CREATE TABLE e(a, b)").unwrap();
    db.execute(&format!("INSERT INTO e {edges}"), []).unwrap();
    assert_eq!(list("SELECT a, b FROM e"), before);
    // Each new row is nearest to the one it copies; the statement must not meet it.
    db.execute(
        "INSERT INTO t(v, near) SELECT (SELECT v FROM t AS s WHERE s.id = m.query_rowid), m.rowid FROM \
         vec_topk_many('t', 'v', 't', 'v', 1, '{\"exclude_self\": true}') AS m",
        [],
    )
    .unwrap();
    let nearest: Vec<i64> = before.iter().step_by(2).map(|edge| edge.1).collect();
    let written = list("SELECT id, near FROM t WHERE near IS NOT NULL ORDER BY id");
    assert_eq!(written.iter().map(|row| row.1).collect::<Vec<_>>(), nearest);
}

#[test]
fn an_interrupt_ends_it() {
    fafcas::register_auto_extension().unwrap();
    let mut db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE TABLE t(v BLOB); WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
         INSERT INTO t SELECT zeroblob(2048) FROM n",
    )
    .unwrap();
    let mut calls = 0;
    db.progress_handler(
        1000,
        Some(move || {
            calls += 1;
            calls > 3
        }),
    )
    .unwrap();
    let sql = "SELECT count(*) FROM vec_topk_many('t', 'v', 't', 'v', 5)";
    let error = db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_err();
    assert!(error.to_string().contains("interrupted"), "{error}");
}

/// A statement that only reads gets its rows query by query. They are the same as those of a statement that writes, which
/// are all found first.
#[test]
fn rows_that_stream_are_those_found_at_once() {
    const ROWS: i64 = 1100;
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE TABLE streamed(id INTEGER PRIMARY KEY, v BLOB); CREATE TABLE o(a); INSERT INTO o VALUES (1), (2);
         CREATE TABLE kept(a, b, c, d); CREATE VIEW odd AS SELECT id AS rowid, id, v FROM streamed WHERE id % 2",
    )
    .unwrap();
    let mut random = Random(21);
    for _ in 0..ROWS {
        db.execute("INSERT INTO streamed(v) VALUES (?1)", [blob(&[random.real() as f32, 1.0])]).unwrap();
    }
    let number = |sql: &str| -> i64 { db.query_row(sql, [], |row| row.get(0)).unwrap() };
    let digest = |rows: &str| {
        number(&format!("SELECT CAST(sum(a * b + 7 * c + round(d * 1000)) AS INTEGER) + 9 * count(*) FROM ({rows})"))
    };
    // More than a million hits, and fewer.
    for (queries, asked, hits) in [("streamed", "query_rowid > 0", ROWS * ROWS), ("odd", "query_rowid < 99", 49 * ROWS)]
    {
        let rows = format!(
            "SELECT query_id AS a, rank AS b, rowid AS c, score AS d \
             FROM vec_topk_many('streamed', 'v', '{queries}', 'v', 1000000) WHERE {asked}"
        );
        db.execute_batch(&format!("DELETE FROM kept; INSERT INTO kept {rows}")).unwrap();
        assert_eq!(number("SELECT count(*) FROM kept"), hits, "{queries}");
        assert_eq!(digest(&rows), digest("SELECT * FROM kept"), "{queries}");
        // An inner loop that asks the same again, from the beginning.
        assert_eq!(number(&format!("SELECT count(*) FROM o CROSS JOIN ({rows})")), 2 * hits, "{queries}");
        // Who takes one row has one query answered.
        db.execute_batch("DELETE FROM vec_stats WHERE source = 'main.streamed'").unwrap();
        number(&format!("SELECT b FROM ({rows}) LIMIT 1"));
        assert_eq!(number("SELECT searches FROM vec_stats WHERE source = 'main.streamed'"), 1, "{queries}");
    }
}
