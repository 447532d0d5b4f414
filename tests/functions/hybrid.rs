//! `vec_hybrid` against a naive loop over all rows, and against the SQL of docs/reference.md.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::{Random, blob};
use rusqlite::{Connection, ffi};
use std::collections::HashMap;
use std::ffi::c_int;

const WORDS: [&str; 12] = ["ash", "bat", "cob", "dew", "elm", "fir", "gum", "hop", "ink", "jut", "kex", "oak"];
const SPREAD: f64 = 0.2;

type Row = (i64, f64, Option<f64>, Option<f64>);

fn text(random: &mut Random) -> String {
    let word = |random: &mut Random| WORDS[random.below(12).min(random.below(12))];
    (0..random.below(9)).map(|_| word(random)).collect::<Vec<_>>().join(" ")
}

fn vector(random: &mut Random) -> Vec<f32> {
    (0..8).map(|_| random.real() as f32).collect()
}

/// Rows with and without vectors, and rows of the full text that the table has not.
fn open(random: &mut Random, rows: usize) -> Connection {
    fafcas::register_auto_extension().unwrap();
    let connection = Connection::open_in_memory().unwrap();
    let tables =
        "CREATE TABLE notes(seq INTEGER PRIMARY KEY, body, v); CREATE VIRTUAL TABLE words USING fts5(body, more)";
    connection.execute_batch(tables).unwrap();
    for at in 0..rows as i64 {
        let (body, more, row) = (text(random), text(random), at * 3 - 20);
        let stored = (!random.once_in(5)).then(|| blob(&vector(random)));
        if !random.once_in(6) {
            connection
                .execute("INSERT INTO notes VALUES (?1, ?2, fafcas_normalize(?3))", (row, &body, stored))
                .unwrap();
        }
        if !random.once_in(6) {
            connection.execute("INSERT INTO words(rowid, body, more) VALUES (?1, ?2, ?3)", (row, body, more)).unwrap();
        }
    }
    connection
}

fn pairs(connection: &Connection, sql: &str, given: &[&dyn rusqlite::ToSql]) -> Vec<(i64, f64)> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map(given, |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

fn rows(connection: &Connection, sql: &str, given: &[&dyn rusqlite::ToSql]) -> Vec<Row> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map(given, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

fn expression(words: &[&str]) -> String {
    words.join(" OR ")
}

/// All rows with both scores, the best first; with `k` only those among the first of one of the lists.
fn naive(connection: &Connection, query: &[u8], words: &[&str], k: Option<usize>) -> Vec<Row> {
    let seen = k.map_or(usize::MAX, |k| (10 * k).max(100));
    let cosines = "SELECT seq, vec_dot(v, ?1) FROM notes WHERE v IS NOT NULL ORDER BY 2 DESC, 1";
    let cosines = pairs(connection, cosines, &[&query]);
    let found = "SELECT rowid, -bm25(words, 2.0, 0.5) FROM words WHERE words MATCH ?1 ORDER BY 2 DESC, 1";
    let found = if words.is_empty() { Vec::new() } else { pairs(connection, found, &[&expression(words)]) };
    let bound = "SELECT 0, bm25_bound(words) FROM words WHERE words MATCH ?1 LIMIT 1";
    let bound = pairs(connection, bound, &[&expression(words)]).first().map_or(1.0, |(_, bound)| *bound);
    let nearest = &cosines[..cosines.len().min(100)];
    let first = nearest.first().map_or(0.0, |(_, cosine)| *cosine);
    let sum: f64 = nearest.iter().map(|(_, cosine)| (2.5 * (cosine - first) / SPREAD).exp()).sum();
    let sum = sum + (5.0 * (4.8 - first / SPREAD)).exp();
    let doubt = if nearest.is_empty() { 1.0 } else { 1.0 - 1.0 / sum };
    let (cosine_of, bm25_of): (HashMap<_, _>, HashMap<_, _>) =
        (cosines.iter().copied().collect(), found.iter().copied().collect());
    let rows: Vec<i64> = pairs(connection, "SELECT seq, 0.0 FROM notes", &[]).into_iter().map(|(row, _)| row).collect();
    let is_seen = |list: &[(i64, f64)], row: i64| list.iter().take(seen).any(|(listed, _)| *listed == row);
    let mut joined: Vec<Row> = rows
        .into_iter()
        .filter(|&row| is_seen(&cosines, row) || is_seen(&found, row))
        .map(|row| {
            let (cosine, bm25) = (cosine_of.get(&row).copied(), bm25_of.get(&row).copied());
            let near = cosine.unwrap_or(nearest.last().map_or(0.0, |(_, cosine)| *cosine));
            (row, near + 1.5 * SPREAD * doubt * doubt * bm25.map_or(0.0, |bm25| added(bm25, bound)) / 3.0, cosine, bm25)
        })
        .collect();
    joined.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    joined.truncate(k.unwrap_or(usize::MAX));
    joined
}

fn added(bm25: f64, bound: f64) -> f64 {
    bm25 * (bound / (bound + 140.0) + 30.0 * (bm25 / bound).powi(3))
}

fn assert_same(found: &[Row], wanted: &[Row]) {
    let near = |a: Option<f64>, b: Option<f64>| {
        a.is_some() == b.is_some() && (a.unwrap_or(0.0) - b.unwrap_or(0.0)).abs() < 1e-9
    };
    assert_eq!(found.len(), wanted.len(), "{found:?}, not {wanted:?}");
    for (found, wanted) in found.iter().zip(wanted) {
        let is_same = found.0 == wanted.0 && near(Some(found.1), Some(wanted.1));
        assert!(is_same && near(found.2, wanted.2) && near(found.3, wanted.3), "{found:?}, not {wanted:?}");
    }
}

const OPTIONS: &str = r#"{"weight": 1.5, "weights": [2.0, 0.5], "spread": 0.2}"#;
const WITH_K: &str = "SELECT rowid, score, by_vector, by_words FROM vec_hybrid('notes', 'v', 'words', ?1, ?2, ?3, ?4)";

#[test]
fn the_rows_of_a_naive_loop_with_k_and_without() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let count = random.pick(&[0, 5, 60, 400]);
        let connection = open(&mut random, count);
        let query: Vec<u8> = pairs_of_normalised(&connection, &vector(&mut random));
        let words: Vec<&str> = WORDS.into_iter().filter(|_| random.once_in(4)).collect();
        let text = format!("{} \"nowhere*", words.join("\n"));
        // A word that no row has counts in the bound.
        let words = [&words[..], &["nowhere"]].concat();
        for k in [None, Some(0), Some(1), Some(7), Some(1000)] {
            let found = rows(&connection, WITH_K, &[&query, &text, &k.map(|k| k as i64), &OPTIONS]);
            assert_same(&found, &naive(&connection, &query, &words, k));
        }
    }
}

fn pairs_of_normalised(connection: &Connection, vector: &[f32]) -> Vec<u8> {
    connection.query_row("SELECT fafcas_normalize(?1)", [blob(vector)], |row| row.get(0)).unwrap()
}

#[test]
fn the_answer_is_that_of_the_sql_in_the_reference() {
    let page = std::fs::read_to_string("docs/reference.md").unwrap();
    let start = page.find("WITH nearest AS").unwrap();
    let sql = &page[start..start + page[start..].find("```").unwrap()];
    for seed in 0..20 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let connection = open(&mut random, 300);
        if seed == 0 {
            // Where no row has a vector, words alone count.
            connection.execute_batch("UPDATE notes SET v = NULL").unwrap();
        }
        let query = pairs_of_normalised(&connection, &vector(&mut random));
        add_exp(&connection);
        let mut statement = connection.prepare(sql).unwrap();
        let mut wanted = statement.query(rusqlite::named_params! {":query": query, ":any_word": "oak OR kex OR ash", ":spread": SPREAD, ":k": 10}).unwrap();
        let mut listed: Vec<Row> = Vec::new();
        while let Some(row) = wanted.next().unwrap() {
            listed.push((row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap(), row.get(3).unwrap()));
        }
        let found = rows(&connection, WITH_K, &[&query, &"oak kex ash", &10, &r#"{"spread": 0.2}"#]);
        assert_eq!(found.len(), 10);
        assert_same(&found, &listed);
    }
}

/// The function that SQLite has only where it was built with its mathematics.
#[allow(unsafe_code)]
fn add_exp(connection: &Connection) {
    unsafe extern "C" fn exp(answer: *mut ffi::sqlite3_context, _: c_int, values: *mut *mut ffi::sqlite3_value) {
        // SAFETY: SQLite passes the context of the call and the one argument that it was registered with.
        unsafe { ffi::sqlite3_result_double(answer, ffi::sqlite3_value_double(*values).exp()) };
    }
    // SAFETY: the connection is open, the name static, and nothing is captured.
    let code = unsafe {
        let (db, nothing) = (connection.handle(), std::ptr::null_mut());
        ffi::sqlite3_create_function_v2(db, c"exp".as_ptr(), 1, ffi::SQLITE_UTF8, nothing, Some(exp), None, None, None)
    };
    assert_eq!(code, ffi::SQLITE_OK);
}

#[test]
fn an_index_answers_and_finds_the_same() {
    let mut random = Random(7);
    let connection = open(&mut random, 3000);
    let queries: Vec<Vec<u8>> = (0..5).map(|_| pairs_of_normalised(&connection, &vector(&mut random))).collect();
    let ask = |query: &Vec<u8>| rows(&connection, WITH_K, &[query, &"oak kex", &10, &None::<String>]);
    let scanned: Vec<_> = queries.iter().map(ask).collect();
    connection.execute_batch("CREATE VIRTUAL TABLE notes_vec USING vec_index(notes, v)").unwrap();
    let indexed = |query: &Vec<u8>| rows(&connection, WITH_K, &[query, &"oak kex", &10, &r#"{"index": "notes_vec"}"#]);
    assert_eq!(queries.iter().map(indexed).collect::<Vec<_>>(), scanned);
}

#[test]
fn the_spread_is_that_of_the_rows_themselves() {
    let mut random = Random(8);
    let connection = open(&mut random, 400);
    let query = pairs_of_normalised(&connection, &vector(&mut random));
    let added = |options: Option<String>| -> f64 {
        let found = rows(&connection, WITH_K, &[&query, &"oak kex", &None::<i64>, &options]);
        found.iter().filter_map(|row| Some(row.1 - row.2?)).sum()
    };
    let given = |spread: f64| added(Some(format!("{{\"spread\": {spread}}}")));
    // Random vectors of 8 dimensions: their cosines lie about 1 / sqrt(8) apart, of which 0.85 is 0.3.
    let (low, found, high) = (given(0.25), added(None), given(0.35));
    assert!(low > 0.0 && low < found && found < high, "{low} {found} {high}");
}

/// Conditions on the rowid are passed down; the rows and their scores must be those of all rows, filtered afterwards.
#[test]
fn conditions_without_k_filter_all_rows_also_where_they_are_passed_down() {
    for seed in 100..130 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let connection = open(&mut random, 400);
        if random.once_in(2) {
            connection.execute_batch("CREATE VIRTUAL TABLE notes_vec USING vec_index(notes, v)").unwrap();
        }
        let query = pairs_of_normalised(&connection, &vector(&mut random));
        let words: Vec<&str> = WORDS.into_iter().filter(|&word| word == "oak" || random.once_in(4)).collect();
        let list: Vec<i64> = (0..20).map(|_| random.below(1300) as i64 - 30).collect();
        let naive = naive(&connection, &query, &words, None);
        let (low, one) = (list[0], list[1]);
        let conditions: [(String, &dyn Fn(i64) -> bool); 6] = [
            ("h.rowid IN (SELECT value FROM json_each(?3))".into(), &|row| list.contains(&row)),
            (format!("h.rowid >= {low} AND h.rowid < {}", low + 90), &|row| (low..low + 90).contains(&row)),
            (format!("h.rowid = {one}"), &|row| row == one),
            (format!("h.rowid < {low} OR h.rowid IN (SELECT value FROM json_each(?3))"), &|row| {
                row < low || list.contains(&row)
            }),
            ("EXISTS (SELECT 1 FROM json_each(?3) WHERE value = h.rowid)".into(), &|row| list.contains(&row)),
            (format!("(h.rowid = {one} OR h.rowid = {low})"), &|row| row == one || row == low),
        ];
        for (condition, holds) in conditions {
            println!("{condition}");
            let wanted: Vec<Row> = naive.iter().copied().filter(|row| holds(row.0)).collect();
            // Without k as a literal, what k is cannot be known, and nothing is passed down.
            for call in [format!("?2, NULL, '{OPTIONS}'"), format!("?2, ?4, '{OPTIONS}'")] {
                for order in ["h.score DESC, h.rowid", "h.rank"] {
                    let sql = format!(
                        "SELECT h.rowid, h.score, h.by_vector, h.by_words \
                         FROM vec_hybrid('notes', 'v', 'words', ?1, {call}) AS h WHERE ({condition}) AND ?4 IS NULL ORDER BY {order}"
                    );
                    let found = rows(&connection, &sql, &[&query, &words.join(" "), &json(&list), &None::<i64>]);
                    assert_same(&found, &wanted);
                }
            }
        }
    }
}

fn json(list: &[i64]) -> String {
    format!("[{}]", list.iter().map(i64::to_string).collect::<Vec<_>>().join(","))
}

#[test]
fn a_list_of_rowids_is_passed_down_and_the_rowid_of_another_table_is_not() {
    let connection = open(&mut Random(9), 60);
    let plan = |condition: &str, columns: &str| -> String {
        let sql = format!(
            "EXPLAIN QUERY PLAN SELECT {columns} FROM vec_hybrid('notes', 'v', 'words', '[1]', 'oak') AS h JOIN notes AS n ON n.seq = h.rowid WHERE {condition}"
        );
        let mut statement = connection.prepare(&sql).unwrap();
        let lines = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
        lines.map(Result::unwrap).filter(|line| line.contains("VIRTUAL TABLE")).collect()
    };
    let all = "VIRTUAL TABLE INDEX";
    for (condition, columns, is_passed) in [
        ("h.rowid IN (1, 2, 3)", "h.score", true),
        ("h.rowid IN (SELECT seq FROM notes WHERE body = 'ash')", "h.score", true),
        ("h.rowid > 7", "h.score", true),
        ("h.rowid IN (1, 2, 3)", "h.rank", false),
        ("n.body = 'ash'", "h.score", false),
    ] {
        let plan = plan(condition, columns);
        assert!(plan.contains(all) && plan.contains(" rowid") == is_passed, "{condition}, {columns}: {plan}");
    }
}

/// Words that no row has: what their pieces in another table are worth, worked out in SQL.
#[test]
fn misspelt_words_are_found_by_their_pieces() {
    let connection = open(&mut Random(5), 300);
    connection
        .execute_batch(
            "CREATE VIRTUAL TABLE pieces USING fts5(title, tokenize = 'trigram');
             INSERT OR IGNORE INTO notes(seq, body) VALUES (10, 'x'), (13, 'x');
             INSERT INTO pieces(rowid, title)
             SELECT seq, CASE seq WHEN 10 THEN 'Rollback journal' WHEN 13 THEN 'Jornada' ELSE body END FROM notes",
        )
        .unwrap();
    let query = pairs_of_normalised(&connection, &vector(&mut Random(6)));
    let ask = |words: &str, options: &str| {
        let sql = format!(
            "SELECT rowid, score, by_vector, by_words FROM vec_hybrid('notes', 'v', 'words', ?1, ?2, NULL, '{options}')"
        );
        rows(&connection, &sql, &[&query, &words])
    };
    let by_words =
        |rows: Vec<Row>| -> HashMap<i64, f64> { rows.into_iter().filter_map(|row| Some((row.0, row.3?))).collect() };
    // "jornal" is nowhere; "oak" has rows, and too few letters to be misspelt.
    let plain = by_words(ask("jornal oak", "{}"));
    let fuzzy = by_words(ask("jornal oak", r#"{"fuzzy": "pieces"}"#));
    let shares =
        "SELECT rowid, bm25_share(pieces) FROM pieces WHERE pieces MATCH '\"jor\" OR \"orn\" OR \"rna\" OR \"nal\"'";
    let absent = 2.2 * (pairs(&connection, "SELECT 0, 2.0 * count(*) + 1 FROM pieces", &[])[0].1).ln();
    let mut wanted = plain.clone();
    for (row, share) in pairs(&connection, shares, &[]).into_iter().filter(|(_, share)| *share >= 0.2) {
        *wanted.entry(row).or_default() += 1.2 * share * absent;
    }
    assert!(wanted.len() > plain.len() && plain.len() > 9);
    assert_eq!(fuzzy.len(), wanted.len());
    for (row, bm25) in wanted {
        assert!((fuzzy[&row] - bm25).abs() < 1e-9, "{row}: {} instead of {bm25}", fuzzy[&row]);
    }
    // A word that a row has is not taken for another one.
    assert_eq!(ask("ash oak", "{}"), ask("ash oak", r#"{"fuzzy": "pieces"}"#));
}
