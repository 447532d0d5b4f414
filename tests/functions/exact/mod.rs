//! Exact search against a naive loop: the same rows, the same scores, whatever the plan.
//!
//! Each case is a random table (names, keys, ties, NULLs, zero vectors, duplicates, JSON, wrong lengths), a random
//! search, and some filters, each asked in every spelling that makes SQLite plan it differently. `FAFCAS_SEED=n` runs
//! one case alone.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod naive;
mod plans;
mod table;

use crate::support::{Random, blob};
use naive::{Hit, Metric, best_first};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::collections::HashMap;
use table::{KINDS, Key, Table, quoted, vector};

const CASES: u64 = 60;

/// How far a score may lie from the naive loop's, in proportion: f32 sums of up to 70 terms in another order.
const TOLERANCE: f64 = 1e-5;

#[test]
fn every_plan_gives_the_rows_of_a_naive_loop() {
    fafcas::register_auto_extension().unwrap();
    let one: Option<u64> = std::env::var("FAFCAS_SEED").ok().map(|seed| seed.parse().unwrap());
    for seed in one.map_or(0..CASES, |seed| seed..seed + 1) {
        println!("FAFCAS_SEED={seed}");
        let mut random = Random(seed);
        let case = Case::random(&mut random);
        case.check(false, &mut random);
        case.check(true, &mut random);
    }
}

/// A list of sources answers as its members do one by one, merged: ties go by the order of the list, then by rowid.
#[test]
fn several_sources_answer_like_each_alone_merged() {
    fafcas::register_auto_extension().unwrap();
    for seed in 0..CASES {
        println!("FAFCAS_SEED={seed}");
        let mut random = Random(seed);
        let connection = Connection::open_in_memory().unwrap();
        let names = &["one", "%s%n", "it's, two"][..1 + random.below(3)];
        for name in names {
            Table { name, column: "v", ..Table::random(&mut random, 2, true) }.write(&connection);
        }
        let ask = |source: &str, k: Option<usize>, filter: &str| {
            let k = k.map_or("NULL".into(), |k| k.to_string());
            let arguments = format!(r#"?1, 'v', '[2,-1]', {k}, '{{"skip_bad": true}}'"#);
            let sql = format!(
                "SELECT source, rowid, id, score FROM vec_topk({arguments}) WHERE {filter} ORDER BY score DESC"
            );
            let mut statement = connection.prepare(&sql).unwrap();
            let rows = statement.query_map([source], |row| {
                let [source, rowid, id, score] = [0, 1, 2, 3].map(|column| row.get_unwrap::<_, Value>(column));
                Ok((score, source, rowid, id))
            });
            rows.unwrap().collect::<rusqlite::Result<Vec<_>>>().unwrap()
        };
        let low = random.below(30);
        let filters =
            ["1", "rowid > {}", "+rowid > {}", "rowid IN ({}, 3, 5)", "score >= {}", "rowid = {} OR score > 9"];
        for filter in filters.map(|filter| filter.replace("{}", &low.to_string())) {
            let mut alone: Vec<_> = names.iter().flat_map(|name| ask(&quoted(name), None, &filter)).collect();
            // A stable sort: each member is in order already, and the members are in the order of the list.
            alone.sort_by(|(a, ..), (b, ..)| number(b).total_cmp(&number(a)));
            let list = names.iter().copied().map(quoted).collect::<Vec<_>>().join(", ");
            assert_eq!(ask(&list, None, &filter), alone, "{list} where {filter}");
            if filter == "1" {
                let k = random.below(alone.len() + 2);
                assert_eq!(ask(&list, Some(k), &filter), alone[..k.min(alone.len())], "{list}, k = {k}");
            }
        }
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Real(real) => *real,
        other => panic!("a score of {other:?}"),
    }
}

struct Case {
    connection: Connection,
    table: Table,
    metric: Metric,
    k: usize,
    /// The search as SQL writes it, without k and with k, and what is to be bound.
    all: String,
    nearest: String,
    bound: Vec<Value>,
    /// What the naive loop finds: every row with a vector, best first.
    hits: Vec<Hit>,
    /// Whether scores are exact and ties ordered, so that the answer is one sequence and no other.
    settled: bool,
}

type Filter = Box<dyn Fn(&Hit) -> bool>;

impl Case {
    fn random(random: &mut Random) -> Self {
        let metric = random.pick(&Metric::ALL);
        let whole = !random.once_in(4);
        let most = random.pick(&[4, 4, 70]);
        let dimensions = 1 + random.below(most);
        let table = Table::random(random, dimensions, whole);
        let query = vector(random, dimensions, whole);
        let hits = naive::search(&table, &query, metric);
        let k = random.below(table.rows.len() + 10);

        let connection = Connection::open_in_memory().unwrap();
        table.write(&connection);
        for preparation in ["ANALYZE", "CREATE INDEX meta_kind ON meta(kind)"] {
            if random.once_in(2) {
                connection.execute_batch(preparation).unwrap();
            }
        }
        let skip_bad = table.has_wrong_lengths(dimensions);
        if skip_bad {
            assert_wrong_length_is_told(&connection, &table, &query);
        }
        let options = format!(r#"{{"metric": "{}", "skip_bad": {skip_bad}}}"#, metric.name());
        let (all, nearest, bound) = searches(&table, &query, k, &options, random.once_in(2));
        let settled = whole && metric != Metric::Cosine && table.key != Key::TextWithoutRowid;
        Self { connection, table, metric, k, all, nearest, bound, hits, settled }
    }

    /// The relation of the search, whole and through filters.
    fn check(&self, with_k: bool, random: &mut Random) {
        self.check_order(with_k);
        self.check_bounds_that_are_met(with_k, random);
        for (spellings, filter) in self.filters(random) {
            for spelling in spellings {
                self.check_filter(with_k, &spelling, &filter, random);
            }
        }
    }

    fn filters(&self, random: &mut Random) -> Vec<(Vec<String>, Filter)> {
        let kind = random.pick(&KINDS);
        let bound = self.bound(random);
        let bounds = plans::by_bound(bound, self.metric.distance(bound));
        let mut filters: Vec<(Vec<String>, Filter)> = Vec::new();
        let links: &[(&str, &str)] =
            if self.table.key.is_text() { &[("id", "key")] } else { &[("rowid", "rid"), ("id", "rid")] };
        for (link, other) in links {
            let kinds = plans::by_kind(link, other, kind);
            filters.push((plans::both(&kinds, &bounds), Box::new(move |hit| hit.kind == kind && hit.score > bound)));
            filters.push((kinds, Box::new(move |hit| hit.kind == kind)));
        }
        filters.push((bounds, Box::new(move |hit| hit.score > bound)));
        if self.table.key != Key::TextWithoutRowid {
            let (low, high) = (random.below(40) as i64 - 5, random.below(120) as i64);
            let (from, to) = (low.to_string(), high.to_string());
            filters.push((plans::by_range("rowid", &from, &to), Box::new(move |hit| (low..high).contains(&hit.rowid))));
            let pair = plans::by_pair("rowid", &from, &to);
            filters.push((pair, Box::new(move |hit| hit.rowid == low || hit.rowid == high)));
        }
        if self.table.key.is_text() && !self.hits.is_empty() {
            let [low, high] = [(); 2].map(|()| self.hits[random.below(self.hits.len())].name.clone());
            let [from, to] = [&low, &high].map(|name| format!("'{name}'"));
            let range = (low.clone(), high.clone());
            let in_range = move |hit: &Hit| hit.name >= range.0 && hit.name < range.1;
            filters.push((plans::by_range("id", &from, &to), Box::new(in_range)));
            let pair = plans::by_pair("id", &from, &to);
            filters.push((pair, Box::new(move |hit| hit.name == low || hit.name == high)));
        }
        filters
    }

    /// The bare search: in order, ranked, with distances.
    fn check_order(&self, with_k: bool) {
        let sql = "SELECT t.rowid, t.id, t.score, t.distance, t.rank FROM {t} AS t";
        let rows = self.ask(with_k, sql, |row| (hit(row), row.get_unwrap::<_, f64>(3), row.get_unwrap::<_, i64>(4)));
        for (place, (hit, distance, rank)) in rows.iter().enumerate() {
            assert_eq!(*rank, place as i64 + 1);
            assert!(near(*distance, self.metric.distance(hit.score)), "{distance} is no distance of {hit:?}");
        }
        let found: Vec<Hit> = rows.into_iter().map(|(hit, ..)| hit).collect();
        let expected = self.relation(with_k);
        self.assert_scores(&found, &expected, sql);
        if self.settled {
            assert_eq!(names(&found), names(&expected));
        }
    }

    /// Bounds equal to some row's own score or distance: pushed down or compared by SQLite, they part the rows alike.
    fn check_bounds_that_are_met(&self, with_k: bool, random: &mut Random) {
        let row = random.below(self.hits.len() + 1);
        for column in ["score", "distance"] {
            let bound = format!("(SELECT s.{column} FROM {{t}} AS s LIMIT 1 OFFSET {row})");
            for comparison in ["<", "<=", "=", ">=", ">"] {
                let [pushed, compared] = ["", "+"].map(|sign| {
                    let sql = format!("SELECT t.id FROM {{t}} AS t WHERE {sign}t.{column} {comparison} {bound}");
                    self.ask(with_k, &sql, |row| row.get_unwrap::<_, Value>(0))
                });
                assert_eq!(pushed, compared, "{column} {comparison} that of row {row}\n{}", self.all);
            }
        }
    }

    /// One filter in one spelling: all that pass, then a page of them, best first.
    fn check_filter(&self, with_k: bool, spelling: &str, filter: &Filter, random: &mut Random) {
        // Rounding, or the order of ties that nothing settles, may choose another k-th row.
        if with_k && self.k < self.hits.len() && !self.settled {
            return;
        }
        let sql = self.spelt(with_k, &format!("SELECT t.rowid, t.id, t.score FROM {spelling}"));
        let expected: Vec<Hit> = self.relation(with_k).into_iter().filter(|hit| filter(hit)).collect();
        let mut found = self.ask(with_k, &sql, hit);
        found.sort_by(best_first);
        self.assert_scores(&found, &expected, &sql);
        let (mut found, mut due) = (names(&found), names(&expected));
        found.sort_unstable();
        due.sort_unstable();
        assert_eq!(found, due, "{sql}");

        let (limit, offset) = (random.below(12), random.below(3));
        let sql = format!("{sql} ORDER BY t.score DESC LIMIT {limit} OFFSET {offset}");
        let page: Vec<Hit> = expected.into_iter().skip(offset).take(limit).collect();
        self.assert_scores(&self.ask(with_k, &sql, hit), &page, &sql);
    }

    fn relation(&self, with_k: bool) -> Vec<Hit> {
        let count = if with_k { self.k.min(self.hits.len()) } else { self.hits.len() };
        self.hits[..count].to_vec()
    }

    fn spelt(&self, with_k: bool, sql: &str) -> String {
        sql.replace("{t}", if with_k { &self.nearest } else { &self.all })
    }

    /// Runs a statement in which `{t}` stands for the search.
    fn ask<T>(&self, with_k: bool, sql: &str, read: impl Fn(&rusqlite::Row) -> T) -> Vec<T> {
        let sql = self.spelt(with_k, sql);
        let mut statement = self.connection.prepare(&sql).unwrap_or_else(|error| panic!("{sql}\n{error}"));
        let bound = &self.bound[..statement.parameter_count()];
        let rows = statement.query_map(params_from_iter(bound), |row| Ok(read(row))).unwrap();
        rows.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{sql}\n{error}"))
    }

    /// Best first, as many as expected and as good, each row once and with its own score.
    fn assert_scores(&self, found: &[Hit], expected: &[Hit], sql: &str) {
        assert!(found.is_sorted_by(|a, b| a.score >= b.score), "{sql}\n{found:?}");
        assert_eq!(found.len(), expected.len(), "{sql}\n{found:?}\n{expected:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(near(found.score, expected.score), "{sql}\n{found:?} where {expected:?} is due");
        }
        let mut known: HashMap<&str, f64> = self.hits.iter().map(|hit| (&*hit.name, hit.score)).collect();
        for hit in found {
            let score = known.remove(&*hit.name).unwrap_or_else(|| panic!("{sql}\n{hit:?} twice, or without a vector"));
            assert!(near(hit.score, score), "{sql}\n{hit:?} scores {score}");
        }
    }

    /// Some score's upper neighbourhood, wide enough that rounding moves no score across it.
    fn bound(&self, random: &mut Random) -> f64 {
        let gaps = self.hits.windows(2).filter(|pair| pair[0].score - pair[1].score > 1e-3);
        let bounds: Vec<f64> = gaps.map(|pair| f64::midpoint(pair[0].score, pair[1].score)).collect();
        if bounds.is_empty() { -1e6 } else { random.pick(&bounds) }
    }
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= TOLERANCE * (1.0 + expected.abs())
}

fn names(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| &*hit.name).collect()
}

/// Reads rowid, id and score.
fn hit(row: &rusqlite::Row) -> Hit {
    let name = match row.get_unwrap(1) {
        Value::Text(text) => text,
        Value::Integer(integer) => integer.to_string(),
        other => panic!("an id of {other:?}"),
    };
    Hit { rowid: row.get_unwrap::<_, Option<i64>>(0).unwrap_or(0), name, kind: "", score: row.get_unwrap(2) }
}

/// The search without k and with it, its arguments bound or written out.
fn searches(table: &Table, query: &[f32], k: usize, options: &str, bind: bool) -> (String, String, Vec<Value>) {
    let (name, column) = (quoted(table.name), quoted(table.column));
    if bind {
        let texts = [name, column, options.to_owned()].map(Value::Text);
        let bound = texts.into_iter().chain([Value::Blob(blob(query)), Value::Integer(k as i64)]).collect();
        return ("vec_topk(?1, ?2, ?4, NULL, ?3)".into(), "vec_topk(?1, ?2, ?4, ?5, ?3)".into(), bound);
    }
    let [name, column] = [name, column].map(|text| text.replace('\'', "''"));
    let search = |k: &str| format!("vec_topk('{name}', '{column}', '{query:?}', {k}, '{options}')");
    (search("NULL"), search(&k.to_string()), Vec::new())
}

/// Without `skip_bad` the search is an error that names the table and both lengths.
fn assert_wrong_length_is_told(connection: &Connection, table: &Table, query: &[f32]) {
    let sql = "SELECT count(*) FROM vec_topk(?1, ?2, ?3, 5)";
    let arguments = (quoted(table.name), quoted(table.column), blob(query));
    let message = connection.query_row(sql, arguments, |row| row.get::<_, i64>(0)).unwrap_err().to_string();
    let dimensions = query.len();
    for part in [table.name.replace('"', "\"\""), dimensions.to_string(), (dimensions + 1).to_string()] {
        assert!(message.starts_with("vec_topk: ") && message.contains(&part), "{message} lacks {part}");
    }
}
