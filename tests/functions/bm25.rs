//! `bm25_share` and `bm25_bound` against the formula, computed from what fts5vocab tells, and against FTS5's own `bm25`.
//!
//! Traps that are not code of ours (what FTS5 refuses, sorts the wrong way or cannot know) are sentences of docs/reference.md.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::Random;
use rusqlite::{Connection, ToSql};
use std::collections::{HashMap, HashSet};

const WORDS: [&str; 12] = ["ash", "bat", "cob", "dew", "elm", "fir", "gum", "hop", "ink", "jut", "kex", "oak"];

fn open() -> Connection {
    fafcas::register_auto_extension().unwrap();
    Connection::open_in_memory().unwrap()
}

/// A text of which the first words are frequent and the last are rare.
fn text(random: &mut Random) -> String {
    let count = random.below(20);
    let word = |random: &mut Random| WORDS[random.below(12).min(random.below(12))];
    (0..count).map(|_| word(random)).collect::<Vec<_>>().join(" ")
}

/// Each kind of table of two columns, with these rows; some rows are deleted again where that can be done.
fn table(connection: &Connection, kind: &str, random: &mut Random) {
    connection
        .execute_batch(&format!("CREATE TABLE kept(a, b); CREATE VIRTUAL TABLE t USING fts5(a, b{kind})"))
        .unwrap();
    for rowid in 1..=random.below(60) as i64 {
        let (a, b) = (text(random), text(random));
        connection.execute("INSERT INTO kept(rowid, a, b) VALUES (?1, ?2, ?3)", (rowid, &a, &b)).unwrap();
        connection.execute("INSERT INTO t(rowid, a, b) VALUES (?1, ?2, ?3)", (rowid, &a, &b)).unwrap();
    }
    let delete = "INSERT INTO t(t, rowid, a, b) SELECT 'delete', rowid, a, b FROM kept WHERE rowid % 7 = 0";
    let delete = if kind.contains("content") { delete } else { "DELETE FROM t WHERE rowid % 7 = 0" };
    connection.execute_batch(&format!("{delete}; DELETE FROM kept WHERE rowid % 7 = 0")).unwrap();
}

/// Rowid, share and bound of all matches.
fn shares(connection: &Connection, query: &str, weights: &str) -> Vec<(i64, f64, f64)> {
    let sql = format!("SELECT rowid, bm25_share(t{weights}), bm25_bound(t) FROM t WHERE t MATCH ?1 ORDER BY rowid");
    let mut statement = connection.prepare(&sql).unwrap();
    let rows = statement.query_map([query], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

fn one<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str, given: &[&dyn ToSql]) -> T {
    connection.query_row(sql, given, |row| row.get(0)).unwrap()
}

fn error(connection: &Connection, sql: &str) -> String {
    let mut statement = match connection.prepare(sql) {
        Ok(statement) => statement,
        Err(error) => return error.to_string(),
    };
    let mut rows = statement.raw_query();
    loop {
        match rows.next() {
            Err(error) => return error.to_string(),
            Ok(None) => panic!("{sql} has no error"),
            Ok(Some(_)) => {}
        }
    }
}

/// The formula of the documentation, from the words as fts5vocab lists them.
struct Formula {
    /// For each word and row, how often it stands in each of the columns.
    frequencies: HashMap<(String, i64), [f64; 2]>,
    lengths: HashMap<i64, f64>,
    rows: f64,
}

impl Formula {
    fn read(connection: &Connection) -> Self {
        connection.execute_batch("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, t, instance)").unwrap();
        let mut statement = connection.prepare("SELECT term, doc, col = 'b' FROM temp.vocabulary").unwrap();
        let (mut frequencies, mut lengths) = (HashMap::<_, [f64; 2]>::new(), HashMap::new());
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (term, doc, column): (String, i64, isize) =
                (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
            frequencies.entry((term, doc)).or_default()[column as usize] += 1.0;
            *lengths.entry(doc).or_insert(0.0) += 1.0;
        }
        Self { frequencies, lengths, rows: one::<i64>(connection, "SELECT count(*) FROM kept", &[]) as f64 }
    }

    fn idf(&self, word: &str) -> f64 {
        let with = self.frequencies.keys().filter(|(term, _)| term == word).count() as f64;
        let idf = ((self.rows - with + 0.5) / (with + 0.5)).ln();
        if idf > 0.0 { idf } else { 1e-6 }
    }

    fn bound(&self, words: &[&str]) -> f64 {
        words.iter().map(|word| 2.2 * self.idf(word)).sum()
    }

    fn share(&self, words: &[&str], row: i64, weights: [f64; 2]) -> f64 {
        let mean = self.lengths.values().sum::<f64>() / self.rows;
        let norm = 1.2 * (0.25 + 0.75 * self.lengths[&row] / mean);
        let part = |word: &&str| {
            let found = self.frequencies.get(&(word.to_string(), row)).copied().unwrap_or_default();
            let frequency = found[0] * weights[0] + found[1] * weights[1];
            2.2 * self.idf(word) * frequency / (frequency + norm)
        };
        words.iter().map(part).sum::<f64>() / self.bound(words)
    }
}

const KINDS: [&str; 7] = [
    "",
    ", content = 'kept'",
    ", content = ''",
    ", columnsize = 0",
    ", prefix = '1 2'",
    ", tokenize = 'porter'",
    ", tokenize = 'unicode61 remove_diacritics 2', content = 'kept'",
];

#[test]
fn the_value_is_that_of_the_formula_from_fts5vocab() {
    for seed in 0..70 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let connection = open();
        table(&connection, KINDS[seed as usize % KINDS.len()], &mut random);
        let formula = Formula::read(&connection);
        let words: Vec<&str> = (0..1 + random.below(5)).map(|_| random.pick(&WORDS)).collect();
        let found = shares(&connection, &words.join(" OR "), ", 3.0, 0.5");
        let with_a_word: HashSet<i64> = formula
            .frequencies
            .keys()
            .filter(|(term, _)| words.contains(&term.as_str()))
            .map(|(_, row)| *row)
            .collect();
        assert_eq!(found.len(), with_a_word.len());
        for (row, share, bound) in found {
            let (wanted, most) = (formula.share(&words, row, [3.0, 0.5]), formula.bound(&words));
            assert!(
                (share - wanted).abs() < 1e-12 && (bound - most).abs() < 1e-9,
                "row {row}: {share}, not {wanted}; {bound}, not {most}"
            );
        }
    }
}

#[test]
fn it_is_bm25_as_a_share_of_the_bound_for_every_kind_of_query() {
    let queries = [
        "ash",
        "ash OR oak",
        "oak OR oak OR ash",
        "ash AND fir",
        "NEAR(elm fir, 5)",
        "\"ash bat\"",
        "ash + bat",
        "a*",
        "^ash",
        "a : ash OR kex",
        "(ash OR bat) NOT oak",
        "ash NOT bat",
        "nowhere OR elm",
    ];
    let kinds = [&KINDS[..], &[", detail = 'column'", ", tokenize = 'trigram'"]].concat();
    for (seed, kind) in (0..).zip(kinds) {
        let (connection, mut random) = (open(), Random(seed));
        table(&connection, kind, &mut random);
        for query in queries {
            let sql = "SELECT count(*), total(abs(share - score / bound) > 1e-12), total(share NOT BETWEEN 0 AND 1) FROM
                (SELECT bm25_share(t, 2, 1) AS share, -bm25(t, 2, 1) AS score, bm25_bound(t) AS bound FROM t WHERE t MATCH ?1 LIMIT -1 OFFSET 0)";
            match connection.query_row(sql, [query], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?, row.get::<_, f64>(2)?))
            }) {
                Ok((_, wrong, outside)) => assert_eq!((wrong, outside), (0.0, 0.0), "{kind} {query}"),
                // Without places, phrases cannot be looked for.
                Err(error) => assert!(
                    kind.contains("detail") && error.to_string().contains("queries are not supported"),
                    "{kind} {query}: {error}"
                ),
            }
        }
    }
}

#[test]
fn tables_that_keep_too_little_give_shares_from_0_to_1() {
    // Neither lengths nor texts: the mean length stands in, where FTS5's own bm25 gives more than any row can have.
    let connection = open();
    table(&connection, ", content = '', columnsize = 0", &mut Random(4));
    let found = shares(&connection, "oak OR kex", "");
    assert!(!found.is_empty() && found.iter().all(|(_, share, _)| (0.0..=1.0).contains(share)), "{found:?}");
    // Neither places nor texts: FTS5 says of each row that no word stands in it.
    for detail in ["none", "column"] {
        let connection = open();
        table(&connection, &format!(", content = '', detail = '{detail}'"), &mut Random(4));
        let found = shares(&connection, "oak OR kex", "");
        assert!(!found.is_empty() && found.iter().all(|(_, share, _)| *share == 0.0), "{detail}: {found:?}");
    }
}

/// A hundred rows; "rare" and "odd" are in one each, "common" is in most.
fn hundred() -> Connection {
    let connection = open();
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
        SELECT i, CASE i WHEN 1 THEN 'rare word' WHEN 2 THEN 'odd word' ELSE 'common word' END FROM n";
    connection.execute_batch(&format!("CREATE VIRTUAL TABLE t USING fts5(a); INSERT INTO t(rowid, a) {rows}")).unwrap();
    connection
}

#[test]
fn words_that_no_row_can_have_are_in_the_bound_and_signs_are_not() {
    let connection = hundred();
    let share = |query: &str| shares(&connection, query, "").first().map_or(f64::NAN, |(_, share, _)| *share);
    let alone = share("rare");
    assert!(alone > 0.4 && share("rare OR odd") < 0.6 * alone && share("rare OR nowhere") < 0.6 * alone);
    // What has no words is not a word that is nowhere.
    assert_eq!(share("rare OR \"!!!\" OR \"\u{2603}\""), alone);
    // No function tells which words stand after NOT, so they count.
    assert!(share("rare NOT odd") < 0.6 * alone);
    assert_eq!(share("rare OR rare"), alone);
    // Words of most rows reach a high share of nearly nothing.
    let (_, high, bound) = shares(&connection, "common", "")[0];
    assert!(high > 0.3 && bound < 1e-5);
}

#[test]
fn without_match_it_is_0_and_without_a_table_an_error() {
    let connection = hundred();
    assert_eq!(
        one::<f64>(
            &connection,
            "SELECT total(s) + count(b) - 100 FROM (SELECT bm25_share(t) AS s, bm25_bound(t) AS b FROM t LIMIT -1 OFFSET 0)",
            &[]
        ),
        0.0
    );
    for (sql, said) in [
        (
            "SELECT bm25_share(1)",
            "bm25_share: expected an FTS5 table in a query with MATCH, not INTEGER 1 (if it is one, run the statement again)",
        ),
        (
            "SELECT bm25_bound()",
            "bm25_bound: expected an FTS5 table in a query with MATCH, not NULL (if it is one, run the statement again)",
        ),
        (
            "SELECT bm25_share('t') FROM t WHERE t MATCH 'rare'",
            "bm25_share: expected an FTS5 table in a query with MATCH, not TEXT 't' (if it is one, run the statement again)",
        ),
        (
            "SELECT max(bm25_share(t)) FROM t WHERE t MATCH 'rare'",
            "bm25_share: expected an FTS5 table in a query with MATCH, not ",
        ),
    ] {
        let found = error(&connection, sql);
        assert!(found.starts_with(said), "{sql}: {found}");
    }
}

#[test]
fn weights_are_finite_numbers_of_0_or_more() {
    let connection = hundred();
    for weight in ["-1", "-0.5", "1e999", "'2'", "NULL", "x'00'"] {
        let found = error(&connection, &format!("SELECT bm25_share(t, {weight}) FROM t WHERE t MATCH 'rare'"));
        assert!(
            found.starts_with("bm25_share: expected weight 1 as a finite number of 0 or more, not "),
            "{weight}: {found}"
        );
    }
    assert_eq!(shares(&connection, "rare", ", 0")[0].1, 0.0);
    let huge = shares(&connection, "rare", ", 1e308")[0].1;
    assert!(huge > 0.999 && huge <= 1.0, "{huge}");
    // More weights than columns, as in bm25().
    assert_eq!(shares(&connection, "rare", ", 1, 7"), shares(&connection, "rare", ""));
}

#[test]
fn connections_that_share_a_cache_each_have_their_own() {
    fafcas::register_auto_extension().unwrap();
    let open = || Connection::open("file:bm25?mode=memory&cache=shared").unwrap();
    let share = "SELECT bm25_share(t) FROM t WHERE t MATCH 'sea'";
    let first = open();
    first
        .execute_batch("CREATE VIRTUAL TABLE t USING fts5(a); INSERT INTO t VALUES ('sea'), ('land'), ('air')")
        .unwrap();
    let wanted: f64 = one(&first, share, &[]);
    let second = open();
    assert_eq!(one::<f64>(&second, share, &[]), wanted);
    drop(first);
    second.execute_batch("INSERT INTO t VALUES ('fire')").unwrap();
    assert!(one::<f64>(&second, share, &[]) > 0.0);
    assert_eq!(one::<f64>(&open(), share, &[]), one::<f64>(&second, share, &[]));
}

#[test]
fn many_words_and_many_rows_at_once() {
    let connection = hundred();
    let query: Vec<String> = (0..3000).map(|at| format!("w{at}")).chain(["rare".into()]).collect();
    let (_, share, _) = shares(&connection, &query.join(" OR "), "")[0];
    assert!(share > 0.0 && share < 0.001, "{share}");
    // Rows that something else found, each with its share: the plus keeps SQLite from a MATCH for each of them.
    let sql = "SELECT group_concat(rowid) FROM (SELECT rowid, bm25_share(t) AS share FROM t
        WHERE t MATCH 'rare OR odd' AND +rowid IN (1, 2, 3) ORDER BY share DESC, rowid)";
    assert_eq!(one::<String>(&connection, sql, &[]), "1,2");
}
