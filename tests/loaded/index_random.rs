//! Random histories of an indexed table: whatever was done to it, a search answers as if there were no index.
//!
//! The oracle is the same search without the index. Scores must be the scan's to the bit, errors its words; rows may be
//! missed as rarely as the contract allows.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::{self, Random, blob, load, scratch};
use rusqlite::{Connection, params};

/// An index answers for 1000 rows at least; a history adds and removes some hundreds.
const ROWS: usize = 1500;
const STEPS: usize = 600;
/// One neighbour in 30,000 may be missed; about 25,000 are asked for in a history.
const MISSES: usize = 5;

#[test]
fn integer_keys() {
    run(&Key::Integer, 24, &[1, 2]);
}

#[test]
fn text_keys() {
    run(&Key::Text, 33, &[3, 4]);
}

#[test]
fn no_keys() {
    run(&Key::None, 48, &[5, 6]);
}

fn run(key: &Key, dimensions: usize, seeds: &[u64]) {
    for seed in seeds {
        let mut history = History::new(key, dimensions, *seed);
        for step in 0..STEPS {
            history.step();
            history.doing = format!("{key:?}, seed {seed}, step {step}: {}", history.doing);
            if step % 2 == 0 {
                history.compare();
            }
        }
        let History { compared, by_index, refused, missed, .. } = history;
        let name = format!("{key:?}, seed {seed}");
        println!("{name}: {compared} comparisons, {by_index} by index, {refused} refused, {missed} rows missed");
        assert!(missed <= MISSES, "{name}: {missed} rows missed");
        assert!(by_index * 3 > compared * 2, "{name}: {by_index} of {compared} by index");
        assert!(refused > 0, "{name}: no row of another length was met");
    }
}

/// How rows are known, which decides what VACUUM and REPLACE do to their rowids.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Key {
    Integer,
    Text,
    None,
}

/// What ALTER changes and ROLLBACK brings back.
#[derive(Clone)]
struct Names {
    table: String,
    column: String,
    index: String,
}

/// A connection that holds a snapshot, and what things were called in it.
struct Snapshot {
    connection: Connection,
    names: Names,
}

struct History {
    key: Key,
    dimensions: usize,
    random: Random,
    path: std::path::PathBuf,
    /// Reads, and makes the transactions.
    connection: Connection,
    /// Writes, and has never seen the library.
    plain: Connection,
    snapshot: Option<Snapshot>,
    names: Names,
    /// Each open BEGIN or SAVEPOINT, with the names before it.
    open: Vec<(&'static str, Names)>,
    /// Rows of another length, which keep searches from the index.
    strays: usize,
    created: usize,
    doing: String,
    compared: usize,
    by_index: usize,
    refused: usize,
    missed: usize,
}

impl History {
    fn new(key: &Key, dimensions: usize, seed: u64) -> Self {
        let path = scratch(&format!("index-random-{key:?}-{seed}")).join("test.db");
        let connection = with_library(&path);
        let plain = Connection::open(&path).unwrap();
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
        let table = format!("nodes {key:?}");
        let names = Names { table, column: "embedding".into(), index: "vectors".into() };
        let mut history = Self {
            key: *key,
            dimensions,
            random: Random(seed),
            path,
            connection,
            plain,
            snapshot: None,
            names,
            open: Vec::new(),
            strays: 0,
            created: 0,
            doing: "CREATE".into(),
            compared: 0,
            by_index: 0,
            refused: 0,
            missed: 0,
        };
        let id = match key {
            Key::Integer => "id INTEGER PRIMARY KEY",
            Key::Text => "id TEXT PRIMARY KEY",
            Key::None => "id",
        };
        let Names { table, .. } = &history.names;
        history.connection.execute_batch(&format!("CREATE TABLE \"{table}\"({id}, embedding BLOB); BEGIN")).unwrap();
        (0..ROWS).for_each(|_| history.insert("INSERT"));
        let Names { table, .. } = &history.names;
        let create = format!("COMMIT; CREATE VIRTUAL TABLE vectors USING vec_index(\"{table}\", embedding)");
        history.connection.execute_batch(&create).unwrap();
        history
    }

    /// Does one thing to the table.
    fn step(&mut self) {
        let is_free = self.open.is_empty();
        if self.strays > 0 && self.random.once_in(2) {
            return self.mend();
        }
        match self.random.below(46) {
            0..=4 => self.insert("INSERT"),
            5..=7 => self.insert("INSERT OR REPLACE"),
            8..=11 => self.delete(),
            12..=16 => self.update_vector(),
            17..=18 => self.write("UPDATE t SET c = NULL WHERE rowid = ?1", self.random_row()),
            19 if self.strays == 0 => {
                self.strays += 1;
                self.write("UPDATE t SET c = x'0000803f' WHERE rowid = ?1", self.random_row());
            }
            20..=22 => self.move_row(),
            23 => self.write("UPDATE t SET rowid = -rowid WHERE rowid BETWEEN ?1 AND ?1 + 3", self.random_row()),
            24 => self.reuse(),
            25 => self.write("DELETE FROM t WHERE rowid BETWEEN ?1 AND ?1 + 20", self.random_row()),
            26 => (0..30).for_each(|_| self.insert("INSERT")),
            27..=29 if is_free => self.begin("BEGIN"),
            30..=31 => self.begin("SAVEPOINT s"),
            32..=35 if !is_free => self.end(),
            36 => self.command("merge"),
            37..=38 => self.rebuild(),
            39 => self.check(),
            40 if is_free => self.vacuum(),
            41 if is_free => self.reopen(),
            42 => self.take_snapshot(),
            43..=44 => self.rename(),
            _ => self.change_key(),
        }
    }

    fn sql(&self, template: &str) -> String {
        let Names { table, column, index } = &self.names;
        // The templates call them t, c and i, as words of their own.
        let word = |word: &str| match word {
            "t" => format!("\"{table}\""),
            "c" => format!("\"{column}\""),
            "i" => format!("\"{index}\""),
            other => other.to_string(),
        };
        template.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }

    /// Outside transactions, every third change is made by a program without the library.
    fn writer(&mut self) -> &Connection {
        if self.connection.is_autocommit() && self.random.once_in(3) { &self.plain } else { &self.connection }
    }

    fn write(&mut self, template: &str, row: Option<i64>) {
        let sql = self.sql(template);
        self.doing = format!("{sql} {row:?}");
        if let Some(row) = row {
            let doing = self.doing.clone();
            self.writer().execute(&sql, [row]).unwrap_or_else(|error| panic!("{doing}: {error}"));
        }
    }

    fn random_row(&self) -> Option<i64> {
        // A generator of its own, so that looking does not need the history to be mutable.
        let count: i64 = self.connection.query_row(&self.sql("SELECT count(*) FROM t"), [], |row| row.get(0)).unwrap();
        let offset = Random(self.random.0 ^ 0x5eed).below(count.max(1) as usize) as i64;
        let sql = self.sql("SELECT rowid FROM t LIMIT 1 OFFSET ?1");
        self.connection.query_row(&sql, [offset], |row| row.get(0)).ok()
    }

    /// Vectors in a few clusters, some of them twice.
    fn vector(&mut self) -> Vec<f32> {
        let mut centre = Random(self.random.below(40) as u64);
        let spread = self.random.pick(&[0.0, 0.1, 0.5, 1.0]);
        (0..self.dimensions).map(|_| (centre.real() + spread * self.random.real()) as f32).collect()
    }

    fn insert(&mut self, verb: &str) {
        let vector = blob(&self.vector());
        self.created += 1;
        let is_replacing = verb.ends_with("REPLACE");
        let old = if is_replacing { self.random_row() } else { None };
        let id = if self.key == Key::Text { format!("key {}", self.created) } else { self.created.to_string() };
        let (sql, known) = match (self.key, old) {
            (_, None) if self.key == Key::Integer => (self.sql("INSERT INTO t (id, c ) VALUES (NULL, ?2)"), None),
            (_, None) => (self.sql("INSERT INTO t (id, c ) VALUES (?1, ?2)"), None),
            (Key::Text, Some(row)) => {
                (self.sql("INSERT OR REPLACE INTO t (id, c ) SELECT id, ?2 FROM t WHERE rowid = ?1"), Some(row))
            }
            (_, Some(row)) => (self.sql("INSERT OR REPLACE INTO t (rowid, c ) VALUES (?1, ?2)"), Some(row)),
        };
        self.doing = format!("{sql} {known:?}");
        let doing = self.doing.clone();
        let done = match known {
            Some(row) => self.writer().execute(&sql, params![row, vector]),
            None if self.key == Key::Integer => self.writer().execute(&sql, params![rusqlite::types::Null, vector]),
            None => self.writer().execute(&sql, params![id, vector]),
        };
        done.unwrap_or_else(|error| panic!("{doing}: {error}"));
    }

    fn delete(&mut self) {
        self.write("DELETE FROM t WHERE rowid = ?1", self.random_row());
    }

    fn update_vector(&mut self) {
        let (sql, vector) = (self.sql("UPDATE t SET c = ?2 WHERE rowid = ?1"), blob(&self.vector()));
        let row = self.random_row();
        self.doing = format!("{sql} {row:?}");
        self.writer().execute(&sql, params![row, vector]).unwrap();
    }

    /// Gives rows of another length their length back.
    fn mend(&mut self) {
        let (sql, vector) = (self.sql("UPDATE t SET c = ?1 WHERE length( c ) = 4"), blob(&self.vector()));
        self.doing.clone_from(&sql);
        self.writer().execute(&sql, [vector]).unwrap();
        self.strays = 0;
    }

    /// To a rowid that is free, or in use: then the row there goes without a delete trigger.
    fn move_row(&mut self) {
        let Some(from) = self.random_row() else { return };
        let to = if self.random.once_in(3) { self.random.below(ROWS) as i64 } else { 10_000 + self.created as i64 };
        self.created += 1;
        let sql = self.sql("UPDATE OR REPLACE t SET rowid = ?2 WHERE rowid = ?1");
        self.doing = format!("{sql} {from} {to}");
        self.writer().execute(&sql, [from, to]).unwrap();
    }

    /// The greatest rowid is given again to the next row.
    fn reuse(&mut self) {
        let sql = self.sql("SELECT max(rowid) FROM t");
        let last = self.connection.query_row(&sql, [], |row| row.get(0)).unwrap();
        self.write("DELETE FROM t WHERE rowid = ?1", last);
        self.insert("INSERT");
        self.doing = "the last row deleted, another inserted".into();
    }

    fn change_key(&mut self) {
        self.created += 1;
        let template = match self.key {
            Key::Integer => format!("UPDATE t SET id = {} WHERE id = ?1", 20_000 + self.created),
            _ => format!("UPDATE t SET id = 'other {}' WHERE rowid = ?1", self.created),
        };
        self.write(&template, self.random_row());
    }

    fn begin(&mut self, sql: &'static str) {
        self.open.push((sql, self.names.clone()));
        self.batch(sql);
    }

    /// Ends the innermost transaction or savepoint.
    fn end(&mut self) {
        let Some((begun, before)) = self.open.pop() else { return };
        let keep = self.random.once_in(2);
        if !keep {
            self.names = before;
            // It may be back.
            self.strays = 1;
        }
        self.batch(match (begun, keep) {
            ("BEGIN", true) => "COMMIT",
            ("BEGIN", false) => "ROLLBACK",
            (_, true) => "RELEASE s",
            (_, false) => "ROLLBACK TO s; RELEASE s",
        });
    }

    fn end_all(&mut self) {
        while !self.open.is_empty() {
            self.end();
        }
    }

    fn batch(&mut self, sql: &str) {
        self.doing = sql.into();
        self.connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn command(&mut self, command: &str) {
        self.doing = command.into();
        self.try_command(command).unwrap_or_else(|error| panic!("{}: {error}", self.doing));
    }

    fn try_command(&self, command: &str) -> rusqlite::Result<usize> {
        self.connection.execute(&self.sql("INSERT INTO i ( i ) VALUES (?1)"), [command])
    }

    fn rebuild(&mut self) {
        self.command("rebuild");
    }

    /// Only where rowids are not the user's own may rows have gone astray.
    fn check(&mut self) {
        self.doing = "check".into();
        if let Err(error) = self.try_command("check") {
            assert!(self.key != Key::Integer && error.to_string().contains("'rebuild'"), "{}: {error}", self.doing);
            self.rebuild();
            self.command("check");
        }
    }

    fn vacuum(&mut self) {
        self.snapshot = None;
        self.batch("VACUUM");
        // Where it renumbers, the index is of no use from then on.
        if self.key != Key::Integer && self.random.once_in(2) {
            self.compare();
            self.rebuild();
        }
    }

    fn reopen(&mut self) {
        self.doing = "close and open".into();
        self.connection = with_library(&self.path);
    }

    fn take_snapshot(&mut self) {
        self.end_all();
        let connection = with_library(&self.path);
        connection.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema").unwrap();
        self.snapshot = Some(Snapshot { connection, names: self.names.clone() });
        self.doing = "a snapshot".into();
    }

    fn rename(&mut self) {
        self.created += 1;
        let (old, number) = (self.names.clone(), self.created);
        let sql = match self.random.below(3) {
            0 => {
                self.names.table = format!("nodes {:?} {number}", self.key);
                format!("ALTER TABLE \"{}\" RENAME TO \"{}\"", old.table, self.names.table)
            }
            1 => {
                self.names.column = format!("embedding {number}");
                format!("ALTER TABLE \"{}\" RENAME \"{}\" TO \"{}\"", old.table, old.column, self.names.column)
            }
            _ => {
                self.names.index = format!("vectors {number}");
                format!("ALTER TABLE \"{}\" RENAME TO \"{}\"", old.index, self.names.index)
            }
        };
        self.batch(&sql);
    }

    /// Asks with and without the index.
    fn compare(&mut self) {
        let metric = self.random.pick(&["dot", "cosine", "l2"]);
        let limit = self.random.pick(&[1, 10, 10, 10, 100]);
        let is_streamed = self.random.once_in(4);
        let asked = Question { metric, limit, is_streamed, query: blob(&self.vector()) };
        self.count(&asked.compare(&self.connection, &self.names, &self.doing));
        if let Some(Snapshot { connection, names }) = &self.snapshot
            && self.random.once_in(4)
        {
            self.count(&asked.compare(connection, names, &format!("{}, in a snapshot", self.doing)));
        }
    }

    fn count(&mut self, compared: &Compared) {
        self.compared += 1;
        self.by_index += usize::from(compared.by_index);
        self.refused += usize::from(compared.is_refused);
        self.missed += compared.missed;
    }
}

fn with_library(path: &std::path::Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    load(&connection, &support::library()).unwrap();
    connection
}

struct Question {
    metric: &'static str,
    limit: i64,
    is_streamed: bool,
    query: Vec<u8>,
}

/// What came of it.
#[derive(Default)]
struct Compared {
    by_index: bool,
    /// Both gave the same error.
    is_refused: bool,
    /// Rows that the index missed.
    missed: usize,
}

type Answer = Result<Vec<(i64, f64)>, String>;

impl Question {
    fn ask(&self, connection: &Connection, names: &Names, options: &str, limit: i64) -> Answer {
        let k = if self.is_streamed { "" } else { "AND k = ?4" };
        let sql = format!(
            "SELECT rowid, score FROM vec_topk
             WHERE table_name = ?1 AND column_name = ?2 AND query = ?3 {k} AND options = ?5 LIMIT ?4"
        );
        let options = format!(r#"{{"metric":"{}"{options}}}"#, self.metric);
        let mut statement = connection.prepare_cached(&sql).unwrap();
        let table = format!("\"{}\"", names.table);
        let rows = statement
            .query_map(params![table, names.column, self.query, limit, options], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).map_err(|error| error.to_string())
    }

    /// Asks with and without the index.
    fn compare(&self, connection: &Connection, names: &Names, doing: &str) -> Compared {
        let Self { metric, limit, is_streamed, .. } = self;
        let doing = format!("{doing}; {metric}, {limit} rows, streamed {is_streamed}");
        let scan = self.ask(connection, names, r#","index":false"#, *limit);
        // By its name it is used even where a scan would be faster.
        let named = format!(r#","index":"{}""#, names.index);
        let index = self.ask(connection, names, &named, *limit);
        if scan.is_err() {
            assert_eq!(scan, index, "{doing}");
            return Compared { is_refused: true, ..Compared::default() };
        }
        let sql = "SELECT path = 'index' FROM vec_stats WHERE source = 'main.' || ?1 AND column_name = ?2";
        let by_index = connection.query_row(sql, [&names.table, &names.column], |row| row.get(0)).unwrap();
        let (Ok(scan), Ok(index)) = (&scan, &index) else { panic!("{doing}\n{scan:?}\n{index:?}") };
        if scan == index {
            return Compared { by_index, ..Compared::default() };
        }
        assert_eq!(scan.len(), index.len(), "{doing}");
        let all = self.ask(connection, names, r#","index":false"#, 1_000_000).unwrap();
        let known = |hit: &(i64, f64)| all.iter().position(|other| other == hit);
        let places: Vec<_> = index.iter().map(known).collect();
        assert!(places.iter().all(Option::is_some), "a wrong row or score: {doing}\n{scan:?}\n{index:?}");
        assert!(places.is_sorted(), "out of order: {doing}");
        let missed = scan.iter().filter(|hit| !index.contains(hit)).count();
        println!("{missed} of {} missed: {doing}", scan.len());
        Compared { by_index, missed, ..Compared::default() }
    }
}
