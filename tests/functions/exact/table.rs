//! Random tables: odd names, every sort of key, and in the searched column whatever may be found there.

use crate::support::{Random, blob};
use rusqlite::types::{ToSql, Value};
use rusqlite::{Connection, params_from_iter};

/// What identifies the rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Key {
    Integer,
    Undeclared,
    Text,
    TextWithoutRowid,
}

impl Key {
    const ALL: [Self; 4] = [Self::Integer, Self::Undeclared, Self::Text, Self::TextWithoutRowid];

    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::TextWithoutRowid)
    }
}

pub struct Row {
    pub rowid: i64,
    key: String,
    pub kind: &'static str,
    pub stored: Option<Vec<f32>>,
    as_json: bool,
}

/// The searched table. A second one, `meta(rid, key, kind)`, says of which kind each of its rows is.
pub struct Table {
    pub name: &'static str,
    pub column: &'static str,
    pub key: Key,
    pub rows: Vec<Row>,
}

pub const KINDS: [&str; 3] = ["a", "b", "c"];
const NAMES: [&str; 9] = ["nodes", "odd name", "50%s%n", "say \"hi\"", "it's", "a,b", "main.x", "select", "naïve [x]"];

impl Table {
    /// `whole` numbers are small, so that their sums are exact in f32 and ties are many.
    pub fn random(random: &mut Random, dimensions: usize, whole: bool) -> Self {
        let mut table = Self {
            name: random.pick(&NAMES),
            column: random.pick(&NAMES),
            key: random.pick(&Key::ALL),
            rows: Vec::new(),
        };
        let count = if random.once_in(8) { 500 } else { random.below(60) };
        let wrong_lengths = random.once_in(4);
        let mut rowid = -5;
        for number in 0..count {
            rowid += 1 + random.below(3) as i64;
            table.rows.push(Row {
                rowid,
                // Not in the order of the rowids.
                key: format!("k{:05}", (number * 7919) % 100_000),
                kind: random.pick(&KINDS),
                stored: match random.below(20) {
                    0 | 1 => None,
                    2 => Some(vec![0.0; dimensions]),
                    3..=6 if number > 0 => table.rows[random.below(number)].stored.clone(),
                    7 if wrong_lengths => Some(vector(random, dimensions + 1, whole)),
                    _ => Some(vector(random, dimensions, whole)),
                },
                as_json: random.once_in(3),
            });
        }
        table
    }

    /// The row's id as text, under which the tests know it.
    pub fn name_of(&self, row: &Row) -> String {
        if self.key.is_text() { row.key.clone() } else { row.rowid.to_string() }
    }

    pub fn has_wrong_lengths(&self, dimensions: usize) -> bool {
        self.rows.iter().flat_map(|row| &row.stored).any(|stored| stored.len() != dimensions)
    }

    pub fn write(&self, connection: &Connection) {
        let (name, column) = (quoted(self.name), quoted(self.column));
        let (declared, inserted, suffix) = match self.key {
            Key::Integer => ("rid INTEGER PRIMARY KEY, ", "rowid, ", ""),
            Key::Undeclared => ("", "rowid, ", ""),
            Key::Text => ("key TEXT PRIMARY KEY, ", "rowid, key, ", ""),
            Key::TextWithoutRowid => ("key TEXT PRIMARY KEY, ", "key, ", "WITHOUT ROWID"),
        };
        connection.execute_batch(&format!("CREATE TABLE {name}({declared}{column} BLOB) {suffix}")).unwrap();
        connection
            .execute_batch("CREATE TABLE IF NOT EXISTS meta(rid INTEGER PRIMARY KEY, key TEXT UNIQUE, kind TEXT)")
            .unwrap();

        let places = ["?"; 3][..inserted.matches(',').count() + 1].join(", ");
        let sql = format!("INSERT INTO {name}({inserted}{column}) VALUES ({places})");
        let mut insert = connection.prepare(&sql).unwrap();
        let mut insert_meta = connection.prepare("INSERT OR IGNORE INTO meta VALUES (?, ?, ?)").unwrap();
        for row in &self.rows {
            let identity: &[&dyn ToSql] = match self.key {
                Key::Integer | Key::Undeclared => &[&row.rowid],
                Key::Text => &[&row.rowid, &row.key],
                Key::TextWithoutRowid => &[&row.key],
            };
            let value = row.value();
            insert.execute(params_from_iter(identity.iter().chain([&(&value as &dyn ToSql)]))).unwrap();
            insert_meta.execute((row.rowid, &row.key, row.kind)).unwrap();
        }
    }
}

impl Row {
    fn value(&self) -> Value {
        match &self.stored {
            None => Value::Null,
            Some(stored) if self.as_json => Value::Text(format!("{stored:?}")),
            Some(stored) => Value::Blob(blob(stored)),
        }
    }
}

pub fn vector(random: &mut Random, dimensions: usize, whole: bool) -> Vec<f32> {
    let number = |random: &mut Random| if whole { random.below(7) as f32 - 3.0 } else { random.real() as f32 };
    (0..dimensions).map(|_| number(random)).collect()
}

pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
