//! Columns of every element type, searched with `options.type`, against a column with the same numbers in f32, and bits by hamming
//! against a naive loop.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::{Random, blob};
use half::{bf16, f16};
use rusqlite::Connection;
use rusqlite::types::Value;

const DIMENSIONS: usize = 40;
const ROWS: usize = 400;

/// A type, how a number is stored in it, and what the stored bytes mean.
pub struct Stored {
    pub name: &'static str,
    pub bytes: fn(&[f32]) -> Vec<u8>,
    pub meaning: fn(&[u8]) -> Vec<f32>,
}

pub static TYPES: [Stored; 4] = [
    Stored {
        name: "f16",
        bytes: |numbers| numbers.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
        meaning: |bytes| bytes.chunks(2).map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect(),
    },
    Stored {
        name: "bf16",
        bytes: |numbers| numbers.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
        meaning: |bytes| bytes.chunks(2).map(|pair| bf16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect(),
    },
    Stored {
        name: "int8",
        bytes: |numbers| numbers.iter().map(|x| (x * 127.0) as i8 as u8).collect(),
        meaning: |bytes| bytes.iter().map(|&byte| (f32::from(byte as i8) + 128.0) * (2.0 / 255.0) - 1.0).collect(),
    },
    Stored {
        name: "bit",
        bytes: |numbers| {
            let bits = |eight: &[f32]| eight.iter().rev().fold(0, |byte, x| byte << 1 | u8::from(*x > 0.0));
            numbers.chunks(8).map(bits).collect()
        },
        meaning: |bytes| bytes.iter().flat_map(|byte| (0..8).map(move |at| f32::from(byte >> at & 1))).collect(),
    },
];

/// `small` has the type, `wide` the same numbers in f32. Every seventh row has no vector.
fn table(connection: &Connection, stored: &Stored, random: &mut Random) -> Vec<Option<Vec<u8>>> {
    connection
        .execute_batch(
            "DROP TABLE IF EXISTS typed; CREATE TABLE typed(id INTEGER PRIMARY KEY, kind INTEGER, small BLOB, wide BLOB)",
        )
        .unwrap();
    let mut insert = connection.prepare("INSERT INTO typed(kind, small, wide) VALUES (?1, ?2, ?3)").unwrap();
    let mut rows = Vec::new();
    for at in 0..ROWS {
        let numbers: Vec<f32> = (0..DIMENSIONS).map(|_| random.real() as f32).collect();
        let small = (at % 7 != 6).then(|| (stored.bytes)(&numbers));
        let wide = small.as_ref().map(|small| blob(&(stored.meaning)(small)));
        insert.execute((at as i64 % 3, &small, wide)).unwrap();
        rows.push(small);
    }
    rows
}

fn rows(connection: &Connection, sql: &str, query: &[u8]) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let parameters: Vec<&[u8]> = if sql.contains("?1") { vec![query] } else { vec![] };
    let rows = statement.query_map(rusqlite::params_from_iter(parameters), |row| {
        (0..columns).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<Value>>>()
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Statements in which COLUMN and OPTIONS stand for the column and the options of its type.
const STATEMENTS: [&str; 8] = [
    "SELECT rowid, score, rank FROM vec_topk('typed', 'COLUMN', ?1, 25, 'OPTIONS')",
    "SELECT rowid, score, distance FROM vec_topk('typed', 'COLUMN', ?1, NULL, 'OPTIONS')",
    "SELECT t.rowid, t.score FROM vec_topk('typed', 'COLUMN', ?1, NULL, 'OPTIONS') AS t JOIN typed AS n ON n.id = t.rowid
     WHERE n.kind = 1 LIMIT 12",
    "SELECT rowid, score FROM vec_topk('typed', 'COLUMN', ?1, NULL, 'OPTIONS') WHERE rowid IN (SELECT id FROM typed WHERE id % 9 = 0)",
    "SELECT query_rowid, rowid, score FROM vec_topk_many('typed', 'COLUMN', 'typed', 'COLUMN', 4, 'MANY') ORDER BY 1, rank",
    "SELECT rowid, score, rank FROM vec_mmr('typed', 'COLUMN', ?1, 9, 0.6, 'OPTIONS')",
    "SELECT rowid, x, y FROM vec_map('typed', 'COLUMN', 'TYPE')",
    "SELECT rule, ok, actual = 'all', expected FROM fafcas_health('typed', 'COLUMN', 'TYPE')
     WHERE rule NOT IN ('unit_length', 'source')",
];

#[test]
fn columns_of_each_type_are_searched_as_their_numbers_in_f32() {
    fafcas::register_auto_extension().unwrap();
    let connection = Connection::open_in_memory().unwrap();
    let mut random = Random(17);
    for stored in &TYPES {
        table(&connection, stored, &mut random);
        let query = blob(&(0..DIMENSIONS).map(|_| random.real() as f32).collect::<Vec<_>>());
        for metric in ["dot", "cosine", "l2", "l1"] {
            for statement in STATEMENTS {
                let asked = |column, element| {
                    let sql = statement
                        .replace("COLUMN", column)
                        .replace("OPTIONS", &format!(r#"{{"metric": "{metric}", "type": "{element}"}}"#))
                        .replace(
                            "MANY",
                            &format!(r#"{{"metric": "{metric}", "type": "{element}", "exclude_self": true}}"#),
                        )
                        .replace("TYPE", &format!(r#"{{"type": "{element}"}}"#));
                    rows(&connection, &sql, &query)
                };
                let (small, wide) = (asked("small", stored.name), asked("wide", "f32"));
                assert_eq!(small, wide, "{} {metric}: {statement}", stored.name);
                assert!(small.len() > 8, "{} {metric}: {statement}", stored.name);
            }
        }
    }
}

#[test]
fn words_join_a_column_of_each_type_as_one_of_f32() {
    fafcas::register_auto_extension().unwrap();
    let connection = Connection::open_in_memory().unwrap();
    let mut random = Random(19);
    for stored in &TYPES {
        table(&connection, stored, &mut random);
        let words = "DROP TABLE IF EXISTS words; CREATE VIRTUAL TABLE words USING fts5(body);
            INSERT INTO words(rowid, body) SELECT id, iif(id % 5, 'elm', 'ash elm') FROM typed";
        connection.execute_batch(words).unwrap();
        let query = blob(&(0..DIMENSIONS).map(|_| random.real() as f32).collect::<Vec<_>>());
        for k in ["20", "NULL"] {
            let asked = |column: &str, element: &str| {
                let sql = format!(
                    r#"SELECT rowid, score, by_vector, by_words FROM vec_hybrid('typed', '{column}', 'words', ?1, 'ash', {k},
                    '{{"metric": "cosine", "type": "{element}"}}')"#
                );
                rows(&connection, &sql, &query)
            };
            let (small, wide) = (asked("small", stored.name), asked("wide", "f32"));
            assert_eq!(small, wide, "{} {k}", stored.name);
            let both = small.iter().filter(|row| !row.contains(&Value::Null)).count();
            assert!(both > 5 && both < small.len(), "{} {k}: {both} of {}", stored.name, small.len());
        }
    }
}

#[test]
fn hamming_counts_the_bits_that_differ() {
    fafcas::register_auto_extension().unwrap();
    let connection = Connection::open_in_memory().unwrap();
    let mut random = Random(18);
    let bits = &TYPES[3];
    let stored = table(&connection, bits, &mut random);
    let query: Vec<u8> = (0..DIMENSIONS / 8).map(|_| random.next() as u8).collect();
    let distance = |row: &[u8]| row.iter().zip(&query).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
    let mut expected: Vec<(u32, i64)> =
        (1..).zip(&stored).filter_map(|(rowid, row)| row.as_ref().map(|row| (distance(row), rowid))).collect();
    expected.sort_unstable();
    let expected: Vec<Vec<Value>> = expected
        .into_iter()
        .map(|(distance, rowid)| vec![Value::Integer(rowid), Value::Real(distance.into())])
        .collect();
    let options = r#"{"metric": "hamming", "type": "bit"}"#;
    let asked = |rest: &str| {
        let sql = format!("SELECT rowid, distance FROM vec_topk('typed', 'small', {rest}, '{options}')");
        rows(&connection, &sql, &query)
    };
    assert_eq!(asked("?1, NULL"), expected);
    assert_eq!(asked("?1, 30"), expected[..30]);
    let json = format!("{:?}", (bits.meaning)(&query).iter().map(|bit| *bit as u8).collect::<Vec<_>>());
    assert_eq!(asked(&format!("'{json}', 30")), expected[..30]);
    let own = format!(
        "SELECT count(*), min(distance), max(rowid = query_rowid)
         FROM vec_topk_many('typed', 'small', 'typed', 'small', 1, '{options}') WHERE rank = 1"
    );
    let vectors = stored.iter().flatten().count() as i64;
    assert_eq!(rows(&connection, &own, &[]), [[Value::Integer(vectors), Value::Real(0.0), Value::Integer(1)]]);
    let mmr = format!("SELECT rowid, -score FROM vec_mmr('typed', 'small', ?1, 20, 1.0, '{options}')");
    assert_eq!(rows(&connection, &mmr, &query), expected[..20]);
}
